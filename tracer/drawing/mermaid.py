"""A graph as Mermaid text, for pages that draw it themselves: a README on a code host, a wiki."""

from __future__ import annotations

from typing import Iterator

from tracer.drawing.graph import Box, Graph
from tracer.terminal import inert

#: How Mermaid writes the outline of each kind.
_OUTLINES = {
    "start": ('(["', '"])'),
    "end": ('(["', '"])'),
    "model": ('["', '"]'),
    "code": ('["', '"]'),
    "decision": ('{"', '"}'),
    "person": ('[/"', '"/]'),
    "action": ('[["', '"]]'),
}
#: What Mermaid, or the HTML that it makes, reads as something else than the character. ``#`` is how it writes others.
_WRITTEN = str.maketrans({character: f"#{ord(character)};" for character in '#"&<>`\\;|{}[]()*_~'})


def mermaid(graph: Graph) -> str:
    """A flowchart from top to bottom. Boxes are numbered, so that no name of theirs can be a word of Mermaid's."""
    number = {box.id: f"n{position}" for position, box in enumerate(graph.boxes)}
    lines = [f"  {number[box.id]}{_box(box)}" for box in graph.boxes]
    for edge in graph.edges:
        label = f'|"{_written(edge.label)}"|' if edge.label else ""
        lines.append(f"  {number[edge.source]} -->{label} {number[edge.target]}")
    return "\n".join([*_heading(graph), "flowchart TD", *lines]) + "\n"


def _heading(graph: Graph) -> Iterator[str]:
    title = _written(graph.title)
    if title:
        yield from ("---", f'title: "{title}"', "---")
    yield f"%% {' '.join(inert(graph.title).split())}: read it from top to bottom".replace("{", "").replace("}", "")


def _box(box: Box) -> str:
    opening, closing = _OUTLINES[box.kind]
    return f"{opening}{'<br/>'.join(_written(line) for line in (box.label, *box.lines))}{closing}"


def _written(text: str) -> str:
    return " ".join(inert(text).split()).translate(_WRITTEN)
