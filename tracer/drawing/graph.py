"""A graph to be drawn: boxes and arrows, as plain values. What they mean is for whoever makes them to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What a box stands for. Each has a glyph, a colour and a word in the legend.
Kind = Literal["start", "end", "model", "code", "decision", "person", "action"]


@dataclass(frozen=True, slots=True)
class Box:
    """``label`` is its name; ``lines`` are said below it, smaller. ``id`` is what edges call it, unique in a graph."""

    id: str
    label: str
    kind: Kind = "code"
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow; ``label`` says when it is taken, empty meaning always."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """Raises ValueError for two boxes of one id, an edge to no box, or an edge from a box to itself."""

    title: str
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...] = ()
    #: The graph in a sentence or a few, for who can't see it.
    description: str = ""

    def __post_init__(self) -> None:
        known = {box.id for box in self.boxes}
        if len(known) != len(self.boxes):
            raise ValueError("two boxes of a graph have the same id")
        for edge in self.edges:
            if edge.source not in known or edge.target not in known:
                raise ValueError(f"the edge {edge.source} -> {edge.target} leads to or from no box")
            if edge.source == edge.target:
                raise ValueError(f"the edge {edge.source} -> {edge.target} leads back at once: say that in the box")
