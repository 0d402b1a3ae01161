"""What a plan would do with a trace, told from the record alone: nothing runs. Pure.

What the record can't tell is whether the code has changed since, and what inputs a step gets downstream of a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from replay.plan import Plan
from replay.record import MODEL_KINDS, REACHING_KINDS, Record
from tracer.model import Step
from tracer.wire import HttpRequest

#: How the reason of a row ends that goes live where its input comes out another.
GOES_LIVE = "it goes live"


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One recorded step, and what the plan makes of it: served, runs, live, edited, fails, stood in, stops; or unknown
    (downstream of a change, where only the new inputs will tell)."""

    depth: int
    path: str
    kind: str
    word: str
    reason: str = ""


def preview(record: Record, plan: Plan) -> tuple[PreviewRow, ...]:
    """The recorded steps in order, each with its fate. Steps below one whose body does not run are not listed."""
    return tuple(_Preview(record, plan).rows())


class _Preview:
    def __init__(self, record: Record, plan: Plan) -> None:
        self._record = record
        self._plan = plan
        self._changed = False
        self._live_follows = False
        self._from_reached = False

    def rows(self) -> list[PreviewRow]:
        rows: list[PreviewRow] = []
        roots = [step for step in self._record.trace.steps if step.parent_id is None]
        waiting = [(step, 0) for step in reversed(roots)]
        while waiting:
            step, depth = waiting.pop()
            word, reason = ("runs", "") if step.parent_id is None else self._fate(step)
            rows.append(PreviewRow(depth, step.path, step.kind, word, reason))
            self._changed = self._changed or word in {"live", "edited", "fails", "stood in"}
            self._live_follows = self._live_follows or (word == "live" and not step.effect)
            if word in {"runs", "live", "unknown"}:
                waiting += [(child, depth + 1) for child in reversed(self._record.below(step.step_id))]
        return rows

    def _fate(self, step: Step) -> tuple[str, str]:
        return self._by_rule(step) or self._by_record(step)

    def _by_rule(self, step: Step) -> tuple[str, str] | None:
        plan, path = self._plan, step.path
        if rule := plan.rule("edit", path):
            return "edited", str(rule)
        is_call = step.kind in MODEL_KINDS and self._request(step) is not None
        by_fault: Callable[..., Any] = plan.rule_above if is_call else plan.rule
        if (rule := by_fault("fail", path)) and (is_call or not self._record.has_model_call(step)):
            return "fails", str(rule)
        self._from_reached = self._from_reached or plan.rule("from", path) is not None
        guarded = step.effect or (self._is_unsafe(step) and not plan.rule_above("allow", path))
        by_name = plan.rule("live", path) if guarded else plan.rule_above("live", path)
        if by_name or (self._from_reached and not guarded):
            return "live", str(by_name or next(rule for rule in plan.rules if rule.verb == "from"))
        by_model: Callable[..., Any] = plan.rule_above if step.kind == "llm" else plan.rule
        if is_call and (rule := by_model("substitute", path)):
            return "live", str(rule)
        return None

    def _by_record(self, step: Step) -> tuple[str, str]:
        plan, record = self._plan, self._record
        if not step.effect and plan.reaches_into(step, record.below):
            return "runs", "the plan reaches into it"
        if self._changed:
            return "unknown", f"served if its input stays the same, otherwise {self._otherwise(step)}"
        if not step.effect and plan.verify and step.kind not in REACHING_KINDS | {"human"}:
            return "runs", "--verify"
        if not record.ended(step):
            asks = step.outcome == "waiting"
            return self._unusable(step, "a human was asked" if asks else "the record was cut off inside it")
        if (culprit := record.result(step).culprit) is not None:
            return self._unusable(step, f"its result can't be restored at {culprit}")
        return "served", "an effect: it does not happen again" if step.effect else ""

    def _unusable(self, step: Step, why: str) -> tuple[str, str]:
        """What becomes of an unchanged step whose result the record can't give."""
        if not self._record.reaches_out(step):
            return "runs", why
        if step.effect and (rule := self._plan.rule("stand_in", step.path)):
            return "stood in", str(rule)
        if not step.effect and self._plan.on_divergence == "live" and not self._record.ended(step):
            return "live", why
        return "stops", f"{why}; unless a stand-in is declared in the code" if step.effect else why

    def _otherwise(self, step: Step) -> str:
        plan = self._plan
        if step.effect:
            return "stood in for" if plan.rule("stand_in", step.path) else "its declared stand-in, or the replay stops"
        if step.kind not in REACHING_KINDS:
            return "it runs"
        allowed = self._live_follows or plan.on_divergence == "live"
        if self._is_unsafe(step):
            allowed = plan.rule_above("allow", step.path) is not None
        return GOES_LIVE if allowed else "the replay stops"

    def _request(self, step: Step) -> HttpRequest | None:
        value = None if step.input is None else self._record.value(step.input)
        return value if isinstance(value, HttpRequest) else None

    def _is_unsafe(self, step: Step) -> bool:
        request = self._request(step) if step.kind == "http" else None
        return request is not None and request.method.upper() not in {"GET", "HEAD", "OPTIONS"}
