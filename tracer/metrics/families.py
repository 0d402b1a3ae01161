"""The metrics there are: their names, what they count, and the labels they are told apart by.

A name once given stays: dashboards and alerts of others hold on to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Mapping, Sequence

#: In seconds. The first fourteen are those that OpenTelemetry's conventions name for the duration of a model call; runs
#: with people or batches in them take longer.
BOUNDS_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 327.68, 1310.72)
BOUNDS_NS = tuple(round(bound * 1e9) for bound in BOUNDS_S)
#: Billionths: nanoseconds of a second, nano-dollars of a dollar.
NANO = 10**9


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. What is counted is divided by ``scale`` when it is shown."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    what: str
    labels: tuple[str, ...] = ()
    scale: int = 1


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many were at most as long as each bound and longer than the one before, how many were longer than all; and
    the sum of all, in nanoseconds."""

    counts: Sequence[int]
    sum_ns: int


@dataclass(frozen=True, slots=True)
class Metric:
    """A family with its values, by the values of its labels."""

    family: Family
    values: Mapping[tuple[str, ...], float | Histogram]


_RUN = ("workflow",)
_STEP = ("workflow", "step")
_CALL = ("workflow", "step", "model")

RUNS = Family("playhead_runs_total", "counter", "Runs that ended, by how.", (*_RUN, "status"))
RUN_SECONDS = Family("playhead_run_duration_seconds", "histogram", "How long runs took.", _RUN)
FELL_BACK = Family(
    "playhead_runs_fell_back_total", "counter", "Runs in which another target than the first candidate answered.", _RUN
)
STEPS = Family("playhead_steps_total", "counter", "Steps of runs that ended.", (*_STEP, "kind", "outcome"))
STEP_SECONDS = Family("playhead_step_duration_seconds", "histogram", "How long steps took.", _STEP)
DECISIONS = Family("playhead_decisions_total", "counter", "Choices between models that were recorded.", _STEP)
FALLBACKS = Family(
    "playhead_fallbacks_total", "counter", "Decisions in which another target than the first candidate answered.", _STEP
)
RETRIES = Family(
    "playhead_retries_total",
    "counter",
    "Attempts that repeat one: counted by who decided (router), and where a request was sent again (call).",
    (*_STEP, "by"),
)
ESCALATIONS = Family("playhead_escalations_total", "counter", "Questions put to a human.", _STEP)
CALLS = Family("playhead_model_calls_total", "counter", "Model calls of runs that ended.", (*_CALL, "outcome"))
CALL_SECONDS = Family(
    "playhead_model_call_duration_seconds", "histogram", "How long model calls took.", ("workflow", "model")
)
TOKENS = Family(
    "playhead_tokens_total", "counter", "Tokens that model calls used, by direction.", (*_CALL, "direction")
)
COST = Family(
    "playhead_cost_dollars_total", "counter", "What model calls cost, as far as prices are known.", _CALL, NANO
)
UNPRICED = Family("playhead_unpriced_calls_total", "counter", "Model calls whose cost is unknown.", _CALL)

#: What the ledger counts; the others are looked at when they are asked for.
COUNTED = (
    *(RUNS, FELL_BACK, STEPS, DECISIONS, FALLBACKS, RETRIES, ESCALATIONS),
    *(CALLS, TOKENS, COST, UNPRICED),
)
TIMED = (RUN_SECONDS, STEP_SECONDS, CALL_SECONDS)

BUILD = Family("playhead_build_info", "gauge", "Always 1; the version of the viewer.", ("version",))
STORE_UP = Family("playhead_store_up", "gauge", "1 where the store could be read for this answer, else 0.")
OPEN_RUNS = Family("playhead_uncounted_runs", "gauge", "Runs that are known and not counted: they go on, or come next.")
QUESTIONS = Family("playhead_open_questions", "gauge", "Questions that wait for a human.")
PROCESSES = Family("playhead_recorder_processes", "gauge", "Processes that record from this machine.")
QUEUED = Family("playhead_recorder_queued_events", "gauge", "Events that wait in journals for the store.")
QUEUED_BYTES = Family("playhead_recorder_queued_bytes", "gauge", "Bytes of journal that wait for the store.")
BEHIND = Family("playhead_recorder_behind_seconds", "gauge", "For how long the oldest of these events has waited.")
ABANDONED = Family("playhead_recorder_abandoned_journals", "gauge", "Journals of dead processes, not yet brought in.")
WRITTEN = Family("playhead_recorder_written_events_total", "counter", "Events written, since this viewer started.")
REFUSED = Family(
    "playhead_recorder_refused_traces_total", "counter", "Traces refused because a journal was full, as far as known."
)
DEGRADED = Family(
    "playhead_recorder_degraded_total", "counter", "What could not be done, by the words of the warning.", ("what",)
)
