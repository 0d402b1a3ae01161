"""Several traces beside each other: each is held against the first, and the rows are one tree. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Sequence

from replay.diff import Diff, DiffRow, ValueOf, diff, in_order
from tracer.model import Step, Trace


@dataclass(frozen=True, slots=True)
class Row:
    """One step in all traces, at ``depth`` below the root. ``cells`` has, for each trace but the first, how it compares
    with the first's; None where it says nothing of the step: neither has it, or the plan answered in place of a step
    around it."""

    depth: int
    step: Step
    base: Step | None
    cells: tuple[DiffRow | None, ...]

    @property
    def same(self) -> bool:
        return self.base is not None and all(cell is None or cell.word == "same" for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Several:
    """``diffs`` are the comparisons with the first trace, ``first`` the earliest row in which one of them parts."""

    traces: tuple[Trace, ...]
    diffs: tuple[Diff, ...]
    rows: tuple[Row, ...]
    first: Row | None

    @property
    def same(self) -> bool:
        return all(found.same for found in self.diffs)


def several(traces: Sequence[Trace], value_of: ValueOf) -> Several:
    """Compare two traces or more, the first with each of the others."""
    base, *others = traces
    diffs = tuple(diff(base, other, value_of) for other in others)
    rows = tuple(_rows(base, diffs))
    parted = {id(found.first) for found in diffs if found.first is not None}
    first = next((row for row in rows if any(id(cell) in parted for cell in row.cells)), None)
    return Several(tuple(traces), diffs, rows, first)


def _rows(base: Trace, diffs: Sequence[Diff]) -> Iterator[Row]:
    """The steps of the first trace in the order of its tree; what only others have follows the step that it follows
    there. Added steps of several traces share a row where they have the same path and inputs."""
    by_base = [{row.before.step_id: row for row in found.rows if row.before is not None} for found in diffs]
    added = [_added(found) for found in diffs]
    yield from _of_added(added, None)
    for step, depth in in_order(base):
        yield Row(depth, step, step, tuple(cells.get(step.step_id) for cells in by_base))
        yield from _of_added(added, step.step_id)


def _added(found: Diff) -> dict[str | None, list[DiffRow]]:
    """The rows that the first trace has not, by its step that they follow."""
    after: dict[str | None, list[DiffRow]] = {}
    follows: str | None = None
    for row in found.rows:
        if row.before is not None:
            follows = row.before.step_id
        else:
            after.setdefault(follows, []).append(row)
    return after


def _of_added(added: Sequence[dict[str | None, list[DiffRow]]], follows: str | None) -> Iterator[Row]:
    shared: dict[tuple[str, str | None], list[DiffRow | None]] = {}
    for at, rows in enumerate(added):
        for row in rows.get(follows, []):
            key = row.step.path, row.step.identity
            shared.setdefault(key, [None] * len(added))[at] = row
    for cells in shared.values():
        one = next(cell for cell in cells if cell is not None)
        yield Row(one.depth, one.step, None, tuple(cells))
