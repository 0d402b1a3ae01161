"""A long trace at a glance: every step that did something itself, its time from left to right, its place downwards.

Pure, and of bounded size however long the trace is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Iterable, Mapping, Sequence

from tracer import format as fmt
from tracer.model import Step
from web.view.folding import Families

#: Fewer steps are seen at a glance anyway.
FROM = 40
WIDTH, HEIGHT = 1000, 44
#: Pieces of a row nearer to each other than this are one.
_NEAR = 4
_ROW_PIECES = 16
_DOORS = 25


@dataclass(frozen=True, slots=True)
class Door:
    """A stretch of the map that leads to the step that had begun by then."""

    x: int
    width: int
    step_id: str
    label: str


@dataclass(frozen=True, slots=True)
class Minimap:
    """Paths in units of WIDTH and HEIGHT, a stroke of 1 per row; ``seen`` is the part that the table shows."""

    plain: str
    model: str
    failed: str
    doors: tuple[Door, ...]
    seen: tuple[int, int]


def minimap(
    ordered: Sequence[tuple[Step, int]], families: Families, *, start: int, end: int, shown: tuple[int, int]
) -> Minimap | None:
    """``shown`` are the first and last place, among ``ordered``, that the table shows. None for a short trace."""
    if len(ordered) < FROM:
        return None
    rows: dict[str, dict[int, list[tuple[int, int]]]] = {tone: defaultdict(list) for tone in ("p", "m", "f")}
    scale = WIDTH / (end - start)
    for place, (step, _) in enumerate(ordered):
        children = families.get(step.step_id, ())
        # What only waits for its parts, or passes their failure on, is told by them.
        if children and (step.failure is None or any(child.failure is not None for child in children)):
            continue
        x = int((step.started_ns - start) * scale)
        until = int(((end if step.ended_ns is None else step.ended_ns) - start) * scale)
        tone = "f" if step.failure is not None else "m" if step.call is not None else "p"
        rows[tone][place * HEIGHT // len(ordered)].append((min(x, WIDTH - 3), max(until, x + 3)))
    seen = (shown[0] * HEIGHT // len(ordered), -(-(shown[1] + 1) * HEIGHT // len(ordered)))
    return Minimap(
        _path(rows["p"]), _path(rows["m"]), _path(rows["f"]), tuple(_doors(ordered, start=start, end=end)), seen
    )


def _path(rows: Mapping[int, Iterable[tuple[int, int]]]) -> str:
    parts = []
    for y, pieces in sorted(rows.items()):
        parts += [f"M{x} {y}.5h{min(until, WIDTH) - x}" for x, until in _joined(pieces)]
    return "".join(parts)


def _joined(pieces: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    near = _NEAR
    found = sorted(pieces)
    while True:
        joined: list[tuple[int, int]] = []
        for x, until in found:
            if joined and x - joined[-1][1] <= near:
                joined[-1] = (joined[-1][0], max(until, joined[-1][1]))
            else:
                joined.append((x, until))
        if len(joined) <= _ROW_PIECES:
            return joined
        found, near = joined, near * 2


def _doors(ordered: Sequence[tuple[Step, int]], *, start: int, end: int) -> Iterable[Door]:
    begun = sorted((step for step, _ in ordered), key=lambda step: step.started_ns)
    width, at = WIDTH // _DOORS, 0
    for number in range(_DOORS):
        moment = start + (end - start) * number // _DOORS
        while at + 1 < len(begun) and begun[at + 1].started_ns <= moment:
            at += 1
        since = fmt.duration(moment - start) or "0"
        yield Door(number * width, width, begun[at].step_id, f"at {since}: {begun[at].name}")
