"""What the model calls inside each step add up to: models, tokens, cost. Pure; one pass over the trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

from tracer import format as fmt
from tracer.format import NOTHING, Shown
from tracer.model import Step

#: What a call's cost reads when there is no sum to it; calls that all read the same keep the word.
_NOT_BILLED = ("free", "not billed", "…")
_UNKNOWN = "?"
#: Of more models than this, one wants the number only.
_MODELS = 12


@dataclass(slots=True)
class Totals:
    """The sums over the model calls in one step and below it, itself among them."""

    steps: int = 0
    failed: int = 0
    calls: int = 0
    #: Tokens; None where no call said any.
    read: int | None = None
    written: int | None = None
    models: tuple[str, ...] = ()
    _nusd: int = 0
    _unpriced: int = 0
    _words: frozenset[str] = frozenset()
    _first: Shown = NOTHING

    def take(self, step: Step) -> None:
        """Count one step."""
        self.steps += 1
        self.failed += step.failure is not None
        call = step.call
        if call is None:
            return
        shown = fmt.call_cost(step)
        self.calls += 1
        self.read = _sum(self.read, call.usage.input_tokens)
        self.written = _sum(self.written, call.usage.output_tokens)
        name = call.model or call.model_asked
        if name:
            self.models = _joined((name,), self.models)
        is_word = shown.text in (*_NOT_BILLED, _UNKNOWN)
        self._words |= {shown.text if is_word else "a sum"}
        self._first = shown
        if shown.text not in _NOT_BILLED:
            self._nusd += call.cost.nusd if call.cost else 0
            self._unpriced += call.cost is None

    def add(self, inner: Totals) -> None:
        """Count what was counted in a part; of several parts the last one first."""
        self.steps += inner.steps
        self.failed += inner.failed
        if not inner.calls:
            return
        self.calls += inner.calls
        self.read, self.written = _sum(self.read, inner.read), _sum(self.written, inner.written)
        self.models = _joined(inner.models, self.models)
        self._nusd += inner._nusd
        self._unpriced += inner._unpriced
        self._words |= inner._words
        self._first = inner._first or self._first

    @property
    def cost(self) -> Shown:
        """Said honestly: a word where there is no sum to it, a floor where a price is unknown."""
        if self.calls and len(self._words) == 1 and "a sum" not in self._words:
            return self._first
        return fmt.cost_sum(self._nusd, calls=self.calls, unpriced=self._unpriced)

    @property
    def tokens(self) -> Shown:
        return fmt.tokens(self.read, self.written)

    @property
    def model(self) -> Shown:
        """The model, where there is one; else how many."""
        names = ", ".join(self.models)
        return Shown(names if len(self.models) < 2 else f"{len(self.models)} models", names)


def totals_of(ordered: Sequence[tuple[Step, int]]) -> Mapping[str, Totals]:
    """The totals of each step by its id. ``ordered`` has parents before their children."""
    found = {step.step_id: Totals() for step, _ in ordered}
    for step, _ in reversed(ordered):
        mine = found[step.step_id]
        mine.take(step)
        if step.parent_id is not None and step.parent_id in found:
            found[step.parent_id].add(mine)
    return found


def _joined(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[str, ...]:
    return before if before == after else tuple(dict.fromkeys((*before, *after)))[:_MODELS]


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else one + other
