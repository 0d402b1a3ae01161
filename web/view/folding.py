"""Which lines of a long trace are shown: repetitions folded into one, and what lies deep closed until it is opened.

Nothing that a reader is looking at, or that the run failed by, is ever folded away. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Collection, Iterator, Mapping, Sequence

from tracer.model import Step

#: So many steps of one name in a row fold.
RUN_FROM = 10
#: Traces above this many steps show what lies this deep, and nothing deeper, at first.
LONG = 150
DEEPEST = 3
#: What begins the key of a run; a step's key is its id.
RUN = "x"
Families = Mapping[str, Sequence[Step]]


@dataclass(frozen=True, slots=True)
class Line:
    """A step, or several of one name in a row (``run`` holds them all). ``key`` opens and closes it; empty where there
    is nothing to open. ``inside`` counts the steps that a closed step hides."""

    step: Step
    depth: int
    last: bool
    key: str = ""
    is_open: bool = False
    inside: int = 0
    run: tuple[Step, ...] = ()


def lines_of(
    roots: Sequence[Step], families: Families, *, kept: Collection[str], opened: Collection[str], is_long: bool
) -> list[Line]:
    """The lines in tree order. ``kept`` are ids that must stand on a line of their own, with all ids above them."""
    found: list[Line] = []
    stack = list(reversed(list(_grouped(roots, 0, kept, opened))))
    while stack:
        line = stack.pop()
        children = () if line.run else families.get(line.step.step_id, ())
        if children and is_long and line.depth >= DEEPEST:
            line = _closing(line, children, kept, opened)
        found.append(line)
        if children and (line.is_open or not line.key):
            stack.extend(reversed(list(_grouped(children, line.depth + 1, kept, opened))))
    return found


def _closing(line: Line, children: Sequence[Step], kept: Collection[str], opened: Collection[str]) -> Line:
    key = line.step.step_id
    if any(child.step_id in kept for child in children):
        return line
    return Line(line.step, line.depth, line.last, key, is_open=key in opened, inside=len(children))


def _grouped(steps: Sequence[Step], depth: int, kept: Collection[str], opened: Collection[str]) -> Iterator[Line]:
    last = steps[-1] if steps else None
    for _, same in groupby(steps, key=lambda step: (step.name, step.kind)):
        run = tuple(same)
        key = RUN + run[0].step_id
        if len(run) < RUN_FROM:
            yield from (Line(step, depth, step is last) for step in run)
        elif key in opened:
            yield Line(run[0], depth, last=False, key=key, is_open=True, run=run)
            yield from (Line(step, depth, step is last) for step in run)
        else:
            for is_kept, part in groupby(run, key=lambda step: step.step_id in kept):
                members = tuple(part)
                if is_kept or len(members) == 1:
                    yield from (Line(step, depth, step is last) for step in members)
                else:
                    yield Line(members[0], depth, members[-1] is last, key=key, run=members)
