"""The order of the boxes within their rows: with few lines that cross. Pure, and the same for the same graph.

Sweeps down and up put each place at the mean position of its neighbours in the row before (the barycentre heuristic).
They end in the nearest good order, not in the best, so they begin anew from several; the best one seen is kept.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right, insort
from collections import defaultdict
from typing import Mapping, Sequence

from tracer.digest import blake2b
from tracer.drawing.layers import Layers, Place

_SWEEPS = 12
_STARTS = 24
#: With more places than this the order of the graph is the only start: it would take seconds.
_FEW = 300

Rows = tuple[tuple[Place, ...], ...]
Neighbours = Mapping[Place, Sequence[Place]]


def ordered(layers: Layers) -> Rows:
    """The rows of ``layers``, each in an order of its own."""
    above, below = neighbours(layers)
    best: Sequence[Sequence[Place]] = layers.rows
    fewest = _crossings(best, below)
    for start in range(_STARTS if sum(map(len, layers.rows)) <= _FEW else 1):
        rows = [_begun(row, start) for row in layers.rows]
        for sweep in range(_SWEEPS):
            if not fewest:
                return tuple(map(tuple, best))
            _sweep(rows, above, below, downwards=sweep % 2 == 0)
            crossing = _crossings(rows, below)
            if crossing < fewest:
                best, fewest = [list(row) for row in rows], crossing
    return tuple(map(tuple, best))


def _begun(row: Sequence[Place], start: int) -> list[Place]:
    """The graph's own order, and then shuffled ones that are the same everywhere."""
    if not start:
        return list(row)
    return sorted(row, key=lambda place: blake2b(f"{start} {place}".encode("utf-8", "replace"), digest_size=8).digest())


def neighbours(layers: Layers) -> tuple[Neighbours, Neighbours]:
    """For each place those that lead to it from the row above, and those that it leads to in the row below."""
    above: dict[Place, list[Place]] = defaultdict(list)
    below: dict[Place, list[Place]] = defaultdict(list)
    for chain in layers.chains:
        for upper, lower in itertools.pairwise(chain):
            above[lower].append(upper)
            below[upper].append(lower)
    return above, below


def _sweep(rows: list[list[Place]], above: Neighbours, below: Neighbours, *, downwards: bool) -> None:
    near = above if downwards else below
    numbers = range(1, len(rows)) if downwards else range(len(rows) - 2, -1, -1)
    for number in numbers:
        at = {place: position for position, place in enumerate(rows[number - 1 if downwards else number + 1])}
        means = {
            place: sum(at[other] for other in near[place]) / len(near[place]) if near.get(place) else float(position)
            for position, place in enumerate(rows[number])
        }
        rows[number].sort(key=means.__getitem__)


def _crossings(rows: Sequence[Sequence[Place]], below: Neighbours) -> int:
    return sum(_between(upper, lower, below) for upper, lower in itertools.pairwise(rows))


def _between(upper: Sequence[Place], lower: Sequence[Place], below: Neighbours) -> int:
    at = {place: position for position, place in enumerate(lower)}
    seen: list[int] = []
    crossing = 0
    for place in upper:
        ends = sorted(at[other] for other in below.get(place, ()))
        crossing += sum(len(seen) - bisect_right(seen, end) for end in ends)
        for end in ends:
            insort(seen, end)
    return crossing
