"""Two traces, step by step: what is the same, what changed, and where it began. Pure.

Steps are aligned by what they are: in a replay by the recorded step that each was matched with; otherwise by name and
equal inputs under the same parents, and by position only among what is left.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Literal, Sequence

from replay.compare import Change, compare
from replay.lens import readable
from tracer.model import PayloadRef, Step, Trace

Word = Literal["same", "changed", "added", "removed"]
ValueOf = Callable[[PayloadRef], Any]


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One step on either side, at ``depth`` below the root. ``inputs``, ``outputs`` and ``facts`` say what differs."""

    depth: int
    before: Step | None
    after: Step | None
    word: Word
    inputs: tuple[Change, ...] = ()
    outputs: tuple[Change, ...] = ()
    facts: tuple[Change, ...] = ()

    @property
    def step(self) -> Step:
        """The step, from the side that has it."""
        one = self.after or self.before
        assert one is not None
        return one

    @property
    def changes(self) -> tuple[Change, ...]:
        return (*self.inputs, *self.outputs, *self.facts)


@dataclass(frozen=True, slots=True)
class Diff:
    """``rows`` is the aligned tree in order; ``first`` the row where the two part: the earliest step that got another
    input, or that differs without a differing step inside it."""

    before: Trace
    after: Trace
    rows: tuple[DiffRow, ...]
    first: DiffRow | None

    @property
    def same(self) -> bool:
        return self.first is None

    @property
    def cost_delta_nusd(self) -> int:
        return self.after.summary.cost_nusd - self.before.summary.cost_nusd

    @property
    def duration_delta_ns(self) -> int | None:
        one, other = self.before.summary.duration_ns, self.after.summary.duration_ns
        return None if one is None or other is None else other - one

    @property
    def token_delta(self) -> int:
        one, other = self.before.summary, self.after.summary
        return other.input_tokens + other.output_tokens - one.input_tokens - one.output_tokens


def diff(before: Trace, after: Trace, value_of: ValueOf) -> Diff:
    """Align two traces and compare every pair. ``value_of`` loads a payload; equal addresses are never loaded."""
    rows = tuple(_Aligner(before, after, value_of).rows())
    return Diff(before, after, rows, _first(rows))


class _Aligner:
    def __init__(self, before: Trace, after: Trace, value_of: ValueOf) -> None:
        self._before, self._after = _tree(before), _tree(after)
        self._value_of = value_of

    def rows(self) -> list[DiffRow]:
        return self._level(self._before.get(None, []), self._after.get(None, []), 0)

    def _level(self, before: list[Step], after: list[Step], depth: int) -> list[DiffRow]:
        rows: list[DiffRow] = []
        for one, other in _paired(before, after):
            rows.append(self._row(one, other, depth))
            below = [] if one is None or _is_replaced(other) else self._before.get(one.step_id, [])
            beside = [] if other is None else self._after.get(other.step_id, [])
            rows += self._level(below, beside, depth + 1)
        return rows

    def _row(self, one: Step | None, other: Step | None, depth: int) -> DiffRow:
        if one is None or other is None:
            return DiffRow(depth, one, other, "added" if one is None else "removed")
        inputs = self._differences(one, other, one.input, other.input)
        outputs = self._differences(one, other, one.output, other.output)
        if one.outcome != "ok" or other.outcome != "ok":
            outputs = _failures(one, other) or (() if one.outcome == other.outcome else outputs)
        facts = _facts(one, other)
        return DiffRow(depth, one, other, "changed" if inputs or outputs or facts else "same", inputs, outputs, facts)

    def _differences(
        self, one: Step, other: Step, left: PayloadRef | None, right: PayloadRef | None
    ) -> tuple[Change, ...]:
        if (left and left.digest) == (right and right.digest):
            return ()
        values = []
        for step, ref in ((one, left), (other, right)):
            request = None if step.input is None or ref is step.input else self._value_of(step.input)
            values.append(None if ref is None else readable(step, request, self._value_of(ref)))
        return compare(*values)


def _tree(trace: Trace) -> dict[str | None, list[Step]]:
    known = {step.step_id for step in trace.steps}
    tree: dict[str | None, list[Step]] = {}
    for step in trace.steps:
        tree.setdefault(step.parent_id if step.parent_id in known else None, []).append(step)
    return tree


def in_order(trace: Trace) -> Iterator[tuple[Step, int]]:
    """The steps of a trace as its tree is read, each with its depth."""
    tree = _tree(trace)
    waiting = [(step, 0) for step in reversed(tree.get(None, []))]
    while waiting:
        step, depth = waiting.pop()
        yield step, depth
        waiting += [(child, depth + 1) for child in reversed(tree.get(step.step_id, []))]


def _is_replaced(step: Step | None) -> bool:
    """Whether the plan answered in place of this step: what lay below it is gone by its own word, and no difference."""
    return step is not None and step.origin in {"edited", "stood-in", "injected"}


def _paired(before: Sequence[Step], after: Sequence[Step]) -> list[tuple[Step | None, Step | None]]:
    """Pair two lists of siblings, in the order of the second, with what is only in the first where it came."""
    partner = _partners(before, after)
    found = {step.step_id for step in partner.values()}
    lone = [(at, step) for at, step in enumerate(before) if step.step_id not in found]
    place = {step.step_id: at for at, step in enumerate(before)}
    paired: list[tuple[Step | None, Step | None]] = []
    for step in after:
        match = partner.get(step.step_id)
        while match is not None and lone and lone[0][0] < place[match.step_id]:
            paired.append((lone.pop(0)[1], None))
        paired.append((match, step))
    return [*paired, *((step, None) for _, step in lone)]


def _partners(before: Sequence[Step], after: Sequence[Step]) -> dict[str, Step]:
    """The step of the first list that each one of the second is, by its id: the surest reasons first."""
    partner: dict[str, Step] = {}
    taken: set[str] = set()
    for keys_of in (_recorded, _same_input, _same_place):
        free: dict[object, deque[Step]] = {}
        for one in before:
            if one.step_id not in taken:
                for key in keys_of(one):
                    free.setdefault(key, deque()).append(one)
        for step in after:
            if step.step_id in partner:
                continue
            for key in keys_of(step):
                queue = free.get(key, deque())
                while queue and queue[0].step_id in taken:
                    queue.popleft()
                if queue and step.step_id not in partner:
                    partner[step.step_id] = queue.popleft()
                    taken.add(partner[step.step_id].step_id)
    return partner


def _recorded(step: Step) -> tuple[object, ...]:
    """The step of the record that this one is, or was matched with: two replays of one trace have the same."""
    return (step.source_step_id or step.step_id,)


def _same_input(step: Step) -> tuple[object, ...]:
    return () if step.identity is None else ((step.name, step.identity),)


def _same_place(step: Step) -> tuple[object, ...]:
    return ((step.name, step.occurrence),)


def _failures(one: Step, other: Step) -> tuple[Change, ...]:
    left, right = (_said(step) for step in (one, other))
    return () if left == right else (Change("error", left, right),)


def _said(step: Step) -> str | None:
    return None if step.failure is None else f"{step.failure.type}: {step.failure.message}"


def _facts(one: Step, other: Step) -> tuple[Change, ...]:
    """What differs beside the values: how it ended, and which model answered."""
    pairs: list[tuple[str, str | None, str | None]] = [
        ("outcome", one.outcome, other.outcome),
        ("kind", one.kind, other.kind),
    ]
    if one.call is not None and other.call is not None:
        pairs.append(("model", one.call.model, other.call.model))
    return tuple(Change(name, left, right) for name, left, right in pairs if left != right)


def _first(rows: Sequence[DiffRow]) -> DiffRow | None:
    """The earliest row that got another input, or that differs and has no differing row inside it."""
    for index, row in enumerate(rows):
        if row.word != "same" and (row.word != "changed" or row.inputs or not _differs_inside(rows, index)):
            return row
    return None


def _differs_inside(rows: Sequence[DiffRow], index: int) -> bool:
    for later in itertools.islice(rows, index + 1, None):
        if later.depth <= rows[index].depth:
            return False
        if later.word != "same":
            return True
    return False
