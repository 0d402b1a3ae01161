"""A graph in box-drawing characters; where it is wider than the terminal, as a list that says the same."""

from __future__ import annotations

import itertools
from typing import Iterator, Sequence

from tracer.drawing.graph import Box, Graph
from tracer.drawing.layout import Layout, Point, Sizes, layout
from tracer.drawing.texts import cells, wrapped
from tracer.drawing.words import KINDS, kinds_in
from tracer.terminal import inert

_TEXT_WIDTH = 34
_NORTH, _EAST, _SOUTH, _WEST = 1, 2, 4, 8
_LINES = " ╵╶└╷│┌├╴┘─┴┐┤┬┼"


def text(graph: Graph, *, width: int = 100) -> str:
    """The drawing and its legend, in lines of at most ``width`` columns wherever one fits."""
    is_wide = layout(graph, _sizes({})).width > width
    body = list(_listed(graph)) if is_wide else _drawn(graph)
    legend = [f"{KINDS[kind][0]} {KINDS[kind][1]}" for kind in kinds_in(graph)]
    return "\n".join([" ".join(inert(graph.title).split()), "", *body, "", *_flowing(legend, width)]) + "\n"


def _flowing(words: Sequence[str], width: int) -> Iterator[str]:
    line = ""
    for word in words:
        if line and cells(line) + 3 + cells(word) > width:
            yield line
            line = word
        else:
            line = f"{line}   {word}" if line else word
    if line:
        yield line


def _listed(graph: Graph) -> Iterator[str]:
    number = {box.id: position for position, box in enumerate(graph.boxes, 1)}
    label = {box.id: " ".join(inert(box.label).split()) for box in graph.boxes}
    for box in graph.boxes:
        yield f"{number[box.id]:>3}. {KINDS[box.kind][0]} {label[box.id]}"
        yield from (f"       {' '.join(inert(line).split())}" for line in box.lines)
        for edge in graph.edges:
            if edge.source == box.id:
                when = f"{' '.join(inert(edge.label).split())} " if edge.label else ""
                yield f"       {when}→ {number[edge.target]}. {label[edge.target]}"


def _lines_of(box: Box) -> list[str]:
    label = wrapped(f"{KINDS[box.kind][0]} {box.label}", _TEXT_WIDTH, cells, most=2)
    return [*label, *(part for line in box.lines for part in wrapped(line, _TEXT_WIDTH, cells, most=3))]


def _label(label: str) -> str:
    return f" {wrapped(label, _TEXT_WIDTH, cells, most=1)[0]} "


def _drawn(graph: Graph) -> list[str]:
    # Twice: how far the rows stand apart depends on how many lines run sideways between them.
    spaces = [_tracks(space) for space in _between(layout(graph, _sizes({})))]
    heights = {row: max(tracks.values(), default=-1) + 3 for row, tracks in enumerate(spaces)}
    laid = layout(graph, _sizes(heights))
    grid = _Grid(laid.width, laid.height)
    for space, (_, bottom) in zip(_between(laid), laid.rows, strict=False):
        tracks = _tracks(space)
        for upper, lower in space:
            grid.bend(upper, lower, bottom + 1 + tracks.get((upper[0], lower[0]), 0))
    for line in laid.lines:
        for part in line.parts:
            for one, other in itertools.pairwise(part):
                if one[0] == other[0]:
                    grid.upright(*sorted((one, other), key=lambda point: point[1]))
    for edge, line in zip(graph.edges, laid.lines, strict=True):
        (_, before), (x, y) = line.parts[-1][-2:]
        grid.put(x, y - 1 if y >= before else y, "▼" if y >= before else "▲")
        if line.label is not None:
            grid.put(line.label.x, line.label.y, _label(edge.label))
    for box in graph.boxes:
        area = laid.boxes[box.id]
        grid.box(area.x, area.y, area.width, area.height, _lines_of(box))
    return grid.lines()


def _sizes(heights: dict[int, int]) -> Sizes:
    return Sizes(
        # Odd widths have a middle, so that lines between boxes of different widths can be straight.
        box=lambda box: (max(map(cells, _lines_of(box))) + 4 | 1, len(_lines_of(box)) + 2),
        label=lambda label: (cells(_label(label)) | 1, 1),
        between=2,
        between_rows=lambda row, _: heights.get(row, 3),
        margin=0,
        line=1,
        port=4,
    )


def _between(laid: Layout) -> list[list[tuple[Point, Point]]]:
    """For each space between rows the lines that run sideways in it: (where from above, where to below)."""
    number = {bottom: row for row, (_, bottom) in enumerate(laid.rows)}
    found: list[list[tuple[Point, Point]]] = [[] for _ in laid.rows]
    for line in laid.lines:
        for part in line.parts:
            for one, other in itertools.pairwise(part):
                upper, lower = sorted((one, other), key=lambda point: point[1])
                if upper[0] != lower[0]:
                    found[number[upper[1]]].append((upper, lower))
    return found


def _tracks(space: Sequence[tuple[Point, Point]]) -> dict[tuple[int, int], int]:
    """Which line of a space each one runs sideways in: never two over one another. What comes from above a column that
    another leaves by goes further up."""
    waiting = sorted({(upper[0], lower[0]) for upper, lower in space}, key=lambda ends: (min(ends), max(ends), ends))
    found: dict[tuple[int, int], int] = {}
    track = 0
    while waiting:
        leaving = {lower for _, lower in waiting}
        free = [ends for ends in waiting if not any(ends[1] == upper and ends != (upper, to) for upper, to in waiting)]
        edge = -1
        for ends in free or waiting[:1]:  # none is free where two change places: they cross
            if min(ends) > edge and leaving:
                found[ends] = track
                edge = max(ends)
        waiting = [ends for ends in waiting if ends not in found]
        track += 1
    return found


class _Grid:
    """Cells that lines are drawn over, and that text then stands on."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._lines: dict[Point, int] = {}
        self._text: dict[Point, str] = {}

    def upright(self, top: Point, bottom: Point) -> None:
        for y in range(top[1], bottom[1]):
            self._add((top[0], y), _NORTH | _SOUTH)

    def bend(self, upper: Point, lower: Point, y: int) -> None:
        """From above down to line ``y``, sideways, and down again."""
        self.upright(upper, (upper[0], y))
        left, right = sorted((upper[0], lower[0]))
        for x in range(left + 1, right):
            self._add((x, y), _EAST | _WEST)
        self._add((upper[0], y), _NORTH | (_EAST if upper[0] == left else _WEST))
        self._add((lower[0], y), _SOUTH | (_EAST if lower[0] == left else _WEST))
        self.upright((lower[0], y + 1), lower)

    def put(self, x: int, y: int, text: str) -> None:
        for character in text:
            wide = cells(character)
            if wide:
                self._text[x, y] = character
                if wide > 1:
                    self._text[x + 1, y] = ""  # the second half of a wide character
                x += wide
            elif (x - 1, y) in self._text:
                self._text[x - 1, y] += character

    def box(self, x: int, y: int, width: int, height: int, lines: Sequence[str]) -> None:
        self.put(x, y, f"┌{'─' * (width - 2)}┐")
        self.put(x, y + height - 1, f"└{'─' * (width - 2)}┘")
        for row in range(1, height - 1):
            line = lines[row - 1]
            self.put(x, y + row, f"│ {line}{' ' * (width - 4 - cells(line))} │")

    def lines(self) -> list[str]:
        rows = (
            "".join(self._text.get((x, y), _LINES[self._lines.get((x, y), 0)]) for x in range(self._width))
            for y in range(self._height)
        )
        return [row.rstrip() for row in rows]

    def _add(self, at: Point, directions: int) -> None:
        self._lines[at] = self._lines.get(at, 0) | directions
