"""Two traces, step by step: what is the same, what changed, and where it began. Pure.

Steps are aligned by what they are: in a replay by the recorded step that each was matched with; otherwise by name and
equal inputs under the same parents, and by position only among what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Literal, Sequence

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
    """``rows`` is the aligned tree in order; ``first`` the row where the two part: the earliest step that differs
    without a differing step inside it."""

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
        for one, other in _pairs(before, after):
            rows.append(self._row(one, other, depth))
            # What an edited step had below it is gone by the plan's own word: no difference of its own.
            replaced = other is not None and other.origin in {"edited", "stood-in"}
            below = [] if one is None or replaced else self._before.get(one.step_id, [])
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


def _pairs(before: Sequence[Step], after: Sequence[Step]) -> list[tuple[Step | None, Step | None]]:
    """Pair two lists of siblings, in the order of the first with what is only in the second where it came."""
    partner: dict[str, Step] = {}
    free = list(before)
    for same in (_by_source, _by_identity, _by_place):
        for step in after:
            if step.step_id not in partner:
                match = next((one for one in free if same(one, step)), None)
                if match is not None:
                    partner[step.step_id] = match
                    free.remove(match)
    paired: list[tuple[Step | None, Step | None]] = []
    left = list(before)
    for step in after:
        match = partner.get(step.step_id)
        while match is not None and left and left[0] is not match and left[0] in free:
            paired.append((left.pop(0), None))
        if match is not None and match in left:
            left.remove(match)
        paired.append((match, step))
    return [*paired, *((step, None) for step in left if step in free)]


def _by_source(one: Step, other: Step) -> bool:
    return other.source_step_id == one.step_id


def _by_identity(one: Step, other: Step) -> bool:
    return one.name == other.name and one.identity is not None and one.identity == other.identity


def _by_place(one: Step, other: Step) -> bool:
    return one.name == other.name and one.occurrence == other.occurrence


def _failures(one: Step, other: Step) -> tuple[Change, ...]:
    left, right = (_said(step) for step in (one, other))
    return () if left == right else (Change("error", left, right),)


def _said(step: Step) -> str | None:
    return None if step.failure is None else f"{step.failure.type}: {step.failure.message}"


def _facts(one: Step, other: Step) -> tuple[Change, ...]:
    """What differs beside the values: how it ended, and which model answered."""
    pairs = [("outcome", one.outcome, other.outcome), ("kind", one.kind, other.kind)]
    if one.call is not None and other.call is not None:
        pairs.append(("model", one.call.model, other.call.model))
    return tuple(Change(name, left, right) for name, left, right in pairs if left != right)


def _first(rows: Sequence[DiffRow]) -> DiffRow | None:
    """The earliest differing row that has no differing row inside it."""
    for index, row in enumerate(rows):
        if row.word == "same":
            continue
        inside = []
        for later in rows[index + 1 :]:
            if later.depth <= row.depth:
                break
            inside.append(later)
        if not any(later.word == "changed" or (row.word == "changed" and later.word != "same") for later in inside):
            return row
    return None
