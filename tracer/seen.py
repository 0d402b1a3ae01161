"""What measuring takes of each trace and step: flat rows, read by the store and counted by ``tracer.stats``. No payload
among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping, NamedTuple

from tracer.model import Kind, Outcome, Status


class RunSeen(NamedTuple):
    """A trace. ``unpriced`` of its model calls have no known cost: above zero, ``cost_nusd`` is a floor."""

    trace_id: str
    workflow: str
    version: str | None
    status: Status
    started_ns: int
    ended_ns: int | None
    model_calls: int
    cost_nusd: int
    unpriced: int
    escalations: int
    #: Role -> arm.
    arms: Mapping[str, str]


class StepSeen(NamedTuple):
    """A step that has begun, the root among them. ``tags`` is JSON, of those kinds that decide; else None."""

    trace_id: str
    path: str
    kind: Kind
    started_ns: int
    ended_ns: int | None
    outcome: Outcome | None
    tags: str | None


class CallSeen(NamedTuple):
    """A model call. Only what ``counts`` costs: what was served did not, and of a call around another one the inner
    does."""

    trace_id: str
    path: str
    model: str | None
    started_ns: int
    ended_ns: int | None
    outcome: Outcome | None
    cost_nusd: int | None
    counts: bool
    #: Whether it is a later attempt of a call.
    retries: bool
    input_tokens: int | None = None
    output_tokens: int | None = None
    #: The identity of the price that it was counted by, or why there is none.
    price: str | None = None
    unpriced_because: str | None = None


class ScoreSeen(NamedTuple):
    """A judgement of a step, by name."""

    trace_id: str
    path: str
    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Seen:
    """All of a period. ``steps`` can be gone through once, while the store that gave them reads."""

    runs: tuple[RunSeen, ...]
    steps: Iterable[StepSeen]
    calls: tuple[CallSeen, ...]
    scores: tuple[ScoreSeen, ...]


def as_stories(seen: Seen, resumed_by: Mapping[str, str]) -> Seen:
    """The same, with each run that was resumed (its trace id -> the id of the trace that went on) as one with what it
    came to: the status of the last, the working time and the cost of both. Where the last is not among them, the first
    stands for itself."""
    runs = {run.trace_id: run for run in seen.runs}
    last = {trace_id: end for trace_id in runs if (end := _end(trace_id, resumed_by)) in runs and end != trace_id}
    if not last:
        return seen
    for trace_id, end in last.items():
        runs[end] = _joined(runs.pop(trace_id), runs[end])
    return Seen(
        runs=tuple(runs.values()),
        steps=(_of(step, last) for step in seen.steps if step.trace_id not in last or _stays(step)),
        calls=tuple(_of(call, last) for call in seen.calls),
        scores=tuple(_of(score, last) for score in seen.scores),
    )


def _stays(step: StepSeen) -> bool:
    """Whether a step of a resumed run is there beside what went on: its root and its open questions are not."""
    return "/" in step.path and step.outcome != "waiting"


def _end(trace_id: str, resumed_by: Mapping[str, str]) -> str:
    passed = {trace_id}
    while (later := resumed_by.get(trace_id)) is not None and later not in passed:
        passed.add(trace_id := later)
    return trace_id


def _joined(first: RunSeen, last: RunSeen) -> RunSeen:
    worked_ns = 0 if first.ended_ns is None else first.ended_ns - first.started_ns
    return last._replace(
        started_ns=last.started_ns - worked_ns,
        model_calls=first.model_calls + last.model_calls,
        cost_nusd=first.cost_nusd + last.cost_nusd,
        unpriced=first.unpriced + last.unpriced,
        arms={**first.arms, **last.arms},
    )


def _of(row: Any, last: Mapping[str, str]) -> Any:
    return row._replace(trace_id=last[row.trace_id]) if row.trace_id in last else row
