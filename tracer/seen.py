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
