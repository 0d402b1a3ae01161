"""Where everything stands: boxes and labels that never overlap, lines that never run through a box. Pure.

Sizes come from outside and everything is whole numbers, so one layout serves pixels and the cells of a terminal.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import floor
from typing import Callable, Mapping, Sequence

from tracer.drawing.graph import Box, Graph
from tracer.drawing.layers import Layers, Place, layered
from tracer.drawing.order import Neighbours, Rows, neighbours, ordered

_SWEEPS = 16
#: How much more a line through several rows wants to be straight than a box wants to be centred.
_STRAIGHT = 4

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle; ``x`` and ``y`` are its upper left corner."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def centre(self) -> int:
        return self.x + self.width // 2


@dataclass(frozen=True, slots=True)
class Line:
    """An edge as it is drawn: ``parts`` from the source to the target, two where a label lies between them. Within a
    part two points above one another are joined by a straight line, any other two across the space between rows."""

    parts: tuple[tuple[Point, ...], ...]
    label: Area | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """``boxes`` by id, and one line per edge in the graph's order; ``rows`` are the (top, bottom) of each row."""

    boxes: Mapping[str, Area]
    lines: tuple[Line, ...]
    rows: tuple[tuple[int, int], ...]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """What things measure. ``between_rows`` gets the number of a row and how many lines leave it downwards, and gives
    the height of the space below it."""

    box: Callable[[Box], tuple[int, int]]
    label: Callable[[str], tuple[int, int]]
    between: int
    between_rows: Callable[[int, int], int]
    margin: int
    #: The width that is kept free for a line through a row.
    line: int
    #: How far apart lines leave or reach the same box, at most.
    port: int


def layout(graph: Graph, sizes: Sizes) -> Layout:
    """Lay a graph out from top to bottom. The same graph and sizes give the same layout."""
    layers = layered(graph)
    rows = ordered(layers)
    measured = _measured(graph, layers, sizes)
    x = _across(rows, layers, measured, sizes)
    tops = _down(rows, layers, measured, sizes)
    areas: dict[Place, Area] = {}
    spans: list[tuple[int, int]] = []
    for row, top in zip(rows, tops, strict=True):
        height = max(measured[place][1] for place in row)
        spans.append((top, top + height))
        for place in row:
            wide, high = measured[place]
            areas[place] = Area(x[place], top + (height - high) // 2, wide, high)
    ports = _ports(layers, areas, sizes)
    row_of = {place: number for number, row in enumerate(rows) for place in row}
    lines = tuple(_line(number, layers, areas, ports, spans, row_of) for number in range(len(graph.edges)))
    return Layout(
        {box.id: areas[box.id] for box in graph.boxes},
        lines,
        tuple(spans),
        max((area.right for area in areas.values()), default=0) + sizes.margin,
        (spans[-1][1] if spans else 0) + sizes.margin,
    )


def _measured(graph: Graph, layers: Layers, sizes: Sizes) -> dict[Place, tuple[int, int]]:
    found: dict[Place, tuple[int, int]] = {place: (sizes.line, 1) for row in layers.rows for place in row}
    found |= {box.id: sizes.box(box) for box in graph.boxes}
    return found | {place: sizes.label(graph.edges[number].label) for number, place in layers.labels.items()}


def _down(rows: Rows, layers: Layers, measured: Mapping[Place, tuple[int, int]], sizes: Sizes) -> list[int]:
    crossing = [0] * len(rows)
    row_of = {place: number for number, row in enumerate(rows) for place in row}
    for chain in layers.chains:
        for upper in chain[:-1]:
            crossing[row_of[upper]] += 1
    tops, y = [], sizes.margin
    for number, row in enumerate(rows):
        tops.append(y)
        y += max(measured[place][1] for place in row) + sizes.between_rows(number, crossing[number])
    return tops


def _across(rows: Rows, layers: Layers, measured: Mapping[Place, tuple[int, int]], sizes: Sizes) -> dict[Place, int]:
    """The left edge of each place: as near to the mean of its neighbours as the order of its row allows."""
    above, below = neighbours(layers)
    centre: dict[Place, float] = {}
    for row in rows:
        at = 0
        for place in row:
            centre[place] = at + measured[place][0] / 2
            at += measured[place][0] + sizes.between
    for sweep in range(_SWEEPS):
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            _settle(row, near, centre, measured, sizes.between)
    left = {place: floor(centre[place] - measured[place][0] / 2 + 0.5) for row in rows for place in row}
    shift = sizes.margin - min(left.values(), default=0)
    for row in rows:  # rounding may have pushed two together by one
        edge = sizes.margin
        for place in row:
            left[place] = max(left[place] + shift, edge)
            edge = left[place] + measured[place][0] + sizes.between
    return left


def _settle(
    row: Sequence[Place],
    near: Neighbours,
    centre: dict[Place, float],
    measured: Mapping[Place, tuple[int, int]],
    between: int,
) -> None:
    """Move the places of a row to where they want to be, in the least squares that keep their order and distance.

    With the distances taken out that is an isotonic regression: neighbours that would swap are pooled at their mean.
    """
    offset, pools = 0.0, []
    offsets = []
    for number, place in enumerate(row):
        if number:
            offset += (measured[row[number - 1]][0] + measured[place][0]) / 2 + between
        offsets.append(offset)
        others = near.get(place, ())
        wanted = sum(centre[other] for other in others) / len(others) if others else centre[place]
        weight = float(_STRAIGHT if isinstance(place, tuple) else 1 if others else 0.2)
        pools.append((wanted - offset, weight, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (one, heavy, many), (other, light, few) = pools[-2], pools.pop()
            pools[-1] = ((one * heavy + other * light) / (heavy + light), heavy + light, many + few)
    settled = (value for value, _, count in pools for _ in range(count))
    for place, value, moved in zip(row, settled, offsets, strict=True):
        centre[place] = value + moved


def _ports(layers: Layers, areas: Mapping[Place, Area], sizes: Sizes) -> dict[tuple[int, Place], int]:
    """Where each edge leaves and reaches its boxes: side by side, in the order of where they come from and go to."""
    upper: dict[Place, list[int]] = defaultdict(list)
    lower: dict[Place, list[int]] = defaultdict(list)
    for number, chain in enumerate(layers.chains):
        upper[chain[0]].append(number)
        lower[chain[-1]].append(number)
    found: dict[tuple[int, Place], int] = {}
    for ends, following in ((upper, 1), (lower, -2)):
        for place, numbers in ends.items():
            area = areas[place]
            inner = sorted(numbers, key=lambda number, step=following: areas[layers.chains[number][step]].centre)  # type: ignore[misc]
            step = min(sizes.port, area.width // (len(inner) + 1))
            first = area.centre - step * (len(inner) - 1) // 2
            for position, number in enumerate(inner):
                found[number, place] = first + step * position
    return found


def _line(  # noqa: PLR0913, PLR0917 - what stands where, as it was found out above
    number: int,
    layers: Layers,
    areas: Mapping[Place, Area],
    ports: Mapping[tuple[int, Place], int],
    spans: Sequence[tuple[int, int]],
    row_of: Mapping[Place, int],
) -> Line:
    chain = layers.chains[number]
    label = layers.labels.get(number)
    parts: list[list[Point]] = [[]]
    for place in chain:
        area, (top, bottom) = areas[place], spans[row_of[place]]
        x = ports.get((number, place), area.centre)
        if place != chain[0]:
            parts[-1] += [(x, top), (x, area.y)] if place == chain[-1] or place == label else [(x, top)]
        if place == label:
            parts.append([])
        if place != chain[-1]:
            parts[-1] += [(x, area.bottom), (x, bottom)] if place == chain[0] or place == label else [(x, bottom)]
    drawn = [tuple(dict.fromkeys(part)) for part in parts]
    if number in layers.reversed:
        drawn = [part[::-1] for part in reversed(drawn)]
    return Line(tuple(drawn), None if label is None else areas[label])
