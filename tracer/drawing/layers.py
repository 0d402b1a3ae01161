"""Which row each box stands in: below everything that leads to it. Pure.

An edge that spans several rows, or that has a label, gets a waypoint in each row between: the order of a row then keeps
room for the line, and for the label as for a box.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Iterable, Mapping, Sequence

from tracer.drawing.graph import Graph

#: A box by its id, or the waypoint of an edge: (its number, its row).
Place = str | tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layers:
    """``rows`` from the top, each in the order of the graph; ``chains`` has one per edge: the places that it passes,
    from the upper end to the lower. ``labels`` maps an edge with a label to the waypoint that holds it."""

    rows: tuple[tuple[Place, ...], ...]
    chains: tuple[tuple[Place, ...], ...]
    labels: Mapping[int, Place]
    #: The edges that lead upwards: of each cycle, one.
    reversed: frozenset[int]


def layered(graph: Graph) -> Layers:
    """Rows by the longest path, where edges that would close a cycle count as turned around."""
    ids = [box.id for box in graph.boxes]
    turned = closing(ids, [(edge.source, edge.target) for edge in graph.edges])
    ends = [
        (edge.target, edge.source) if number in turned else (edge.source, edge.target)
        for number, edge in enumerate(graph.edges)
    ]
    spans = [2 if edge.label else 1 for edge in graph.edges]
    row_of = _rows(ids, ends, spans)
    rows: list[list[Place]] = [[] for _ in range(max(row_of.values(), default=-1) + 1)]
    for each in ids:
        rows[row_of[each]].append(each)
    chains: list[tuple[Place, ...]] = []
    labels: dict[int, Place] = {}
    for number, (upper, lower) in enumerate(ends):
        between: list[Place] = [(number, row) for row in range(row_of[upper] + 1, row_of[lower])]
        for point, row in zip(between, range(row_of[upper] + 1, row_of[lower]), strict=True):
            rows[row].append(point)
        if graph.edges[number].label:
            labels[number] = between[-1 if number in turned else 0]  # beside the box where the choice is made
        chains.append((upper, *between, lower))
    return Layers(tuple(map(tuple, rows)), tuple(chains), labels, turned)


def closing(ids: Sequence[str], pairs: Sequence[tuple[str, str]]) -> frozenset[int]:
    """The numbers of the edges that lead back to where a walk in the given order came from."""
    out: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, (source, target) in enumerate(pairs):
        out[source].append((number, target))
    found: set[int] = set()
    entered, left = set(), set()
    for start in ids:
        if start in entered:
            continue
        entered.add(start)
        waiting = [(start, iter(out[start]))]
        while waiting:
            here, leading = waiting[-1]
            following = next(leading, None)
            if following is None:
                left.add(here)
                waiting.pop()
            elif following[1] not in entered:
                entered.add(following[1])
                waiting.append((following[1], iter(out[following[1]])))
            elif following[1] not in left:
                found.add(following[0])
    return frozenset(found)


def _rows(ids: Sequence[str], ends: Sequence[tuple[str, str]], spans: Sequence[int]) -> dict[str, int]:
    above: dict[str, list[tuple[str, int]]] = defaultdict(list)
    below: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for (upper, lower), span in zip(ends, spans, strict=True):
        above[lower].append((upper, span))
        below[upper].append((lower, span))
    row: dict[str, int] = {}
    order = _downwards(ids, above, below)
    for each in order:
        row[each] = max((row[upper] + span for upper, span in above[each]), default=0)
    for each in reversed(order):  # what nothing leads to stands just above what it leads to
        if not above[each] and below[each]:
            row[each] = min(row[lower] - span for lower, span in below[each])
    return row


def _downwards(
    ids: Iterable[str], above: Mapping[str, list[tuple[str, int]]], below: Mapping[str, list[tuple[str, int]]]
) -> list[str]:
    missing = {each: len(above[each]) for each in ids}
    ready = [each for each, count in missing.items() if not count]
    for each in ready:  # grows while it is walked
        for lower, _ in below[each]:
            missing[lower] -= 1
            if not missing[lower]:
                ready.append(lower)
    return ready
