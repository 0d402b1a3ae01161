"""The totals of a trace of which one batch has all that came so far, from its rows in memory; pure.

What it says is what ``totals.totals`` would count from the same rows in the store.
"""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping, NamedTuple

from tracer.store.blame import FailureOf, where_it_failed
from tracer.store.rows import Begun, Ended
from tracer.store.statements import Row

#: A trace without steps.
NOTHING: Mapping[str, Any] = {
    "ended_ns": None,
    "outcome": None,
    "tags": None,
    "failed_step": None,
    "failed_step_id": None,
    "error_type": None,
    "error_message": None,
    "steps": 0,
    "model_calls": 0,
    "models": [],
    "input_tokens": 0,
    "output_tokens": 0,
    "cost_nusd": 0,
    "unpriced": 0,
    "escalations": 0,
}


#: In the tags of a later attempt of a call, as they are written: it is counted with the first.
RETRY = '"retry_of":'


class Told(NamedTuple):
    """A step of the batch that has begun; ``call`` is its row of model_calls, if there is one."""

    step_id: str
    seq: int
    begun: Begun
    ended: Ended | None
    call: Row | None


def summed(steps: list[Told], failure_of: FailureOf) -> Row | None:
    """The summed columns of a trace that consists of these steps, whether it has ended or not. None where that takes a
    look at the store: there are several roots or none, or two models were first called in the same nanosecond."""
    roots = [step for step in steps if step.begun.parent_id is None]
    if len(roots) != 1:
        return None
    root, end = roots[0], roots[0].ended
    row: Row = {
        **NOTHING,
        "started_ns": root.begun.started_ns,
        "tags": _tags(root),
        "steps": len(steps),
        "escalations": sum(step.begun.kind == "human" for step in steps),
    }
    if end is not None:
        row |= {"ended_ns": end.ended_ns, "outcome": end.outcome}
    called = [step for step in steps if step.call is not None]
    if called:
        counted = _calls(called)
        if counted is None:
            return None
        row |= counted
    if end is not None and end.outcome == "failed":
        row |= _failed(root, steps, failure_of)
    return row


def _tags(root: Told) -> dict[str, Any] | None:
    ending = None if root.ended is None else root.ended.end_tags
    if root.begun.tags is None and ending is None:
        return None
    return {**json.loads(root.begun.tags or "{}"), **json.loads(ending or "{}")} or None


def _calls(called: Iterable[Told]) -> Row | None:
    around = {step.begun.parent_id for step in called}
    first: dict[str | None, int] = {}
    total = dict.fromkeys(("model_calls", "input_tokens", "output_tokens", "cost_nusd", "unpriced"), 0)
    for step in called:
        call = step.call or {}
        model = call["model_asked"] if call["model"] is None else call["model"]
        first[model] = min(first.get(model, step.begun.started_ns), step.begun.started_ns)
        total["model_calls"] += RETRY not in (step.begun.tags or "")
        if step.begun.origin == "recorded" or step.step_id in around:
            continue
        for name in ("input_tokens", "output_tokens", "cost_nusd"):
            total[name] += call[name] or 0
        total["unpriced"] += step.ended is not None and call["cost_nusd"] is None
    if len(set(first.values())) < len(first):
        return None
    return {**total, "models": [model for model in sorted(first, key=first.__getitem__) if model is not None]}


class _Failed(NamedTuple):
    step_id: str
    parent_id: str | None
    seq: int
    name: str
    kind: str
    ended_ns: int
    failure: bytes | None
    error_type: str | None
    error_message: str | None


def _failed(root: Told, steps: list[Told], failure_of: FailureOf) -> Row:
    def last_child_of(step_id: str) -> str | None:
        below = [(end.ended_ns, step.seq, step.step_id) for step, end in ended if step.begun.parent_id == step_id]
        return max(below)[2] if below else None

    ended = [(step, step.ended) for step in steps if step.ended is not None]
    failed = [_as_failed(step, end) for step, end in ended if end.outcome == "failed"]
    (at,) = (step for step in failed if step.step_id == root.step_id)
    return where_it_failed(at, failed, failure_of, last_child_of)


def _as_failed(step: Told, ended: Ended) -> _Failed:
    begun = step.begun
    return _Failed(
        step.step_id,
        begun.parent_id,
        step.seq,
        begun.name,
        begun.kind,
        ended.ended_ns,
        ended.failure,
        ended.error_type,
        ended.error_message,
    )
