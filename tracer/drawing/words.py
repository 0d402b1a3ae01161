"""What the kinds of box are called, for people who have never seen the code."""

from __future__ import annotations

from typing import Iterable

from tracer.drawing.graph import Graph, Kind

#: In the order of a legend: a sign for a terminal, and what it means.
KINDS: dict[Kind, tuple[str, str]] = {
    "start": ("○", "what comes in"),
    "model": ("✦", "a model answers"),
    "code": ("▪", "a fixed rule or program"),
    "decision": ("◆", "a decision: one way is taken"),
    "person": ("☺", "a person is asked"),
    "action": ("➤", "something happens in the world"),
    "end": ("●", "what comes out"),
}


def kinds_in(graph: Graph) -> Iterable[Kind]:
    """The kinds that a graph's legend has to explain."""
    used = {box.kind for box in graph.boxes}
    return (kind for kind in KINDS if kind in used)


def described(graph: Graph) -> str:
    """A graph in plain sentences: its own description, and each arrow."""
    label = {box.id: box.label for box in graph.boxes}
    arrows = [
        f"{label[edge.source]} leads to {label[edge.target]}{f' when {edge.label}' if edge.label else ''}."
        for edge in graph.edges
    ]
    return " ".join([*([graph.description] if graph.description else []), *arrows])
