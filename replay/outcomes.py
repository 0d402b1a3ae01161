"""What a fault came to: one replay held against the same replay without it. Pure.

What tells a fault that was handled from one that slipped through is the trace: a retry, a fallback, another decision,
a guardrail that failed, a question to a human are recorded steps. Where the result is another and no step says why,
nobody would have noticed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Literal

from replay.compare import compare
from replay.divergence import one_line, short
from replay.result import Replay
from tracer.model import PayloadRef, Step, Trace

Outcome = Literal["same", "degraded", "escalated", "failed", "different", "needs-live", "stopped", "not-applicable"]
#: The tag by which a step says of itself that it answered with less than it should.
DEGRADED_TAG = "degraded"


@dataclass(frozen=True, slots=True)
class Played:
    """A replay and its trace. ``value`` reads a recorded value."""

    replay: Replay
    trace: Trace
    value: Callable[[PayloadRef], Any]


def judged(base: Played, played: Played) -> tuple[Outcome, str]:
    """What became of the replay with the fault, and one line on why."""
    done = played.replay
    if done.stopped is not None:
        if "--on-divergence live" in done.stopped.divergence.accept:
            return "needs-live", str(done.stopped.divergence)
        return "stopped", str(done.stopped)
    if done.error is not None and not _same_error(base.replay.error, done.error):
        return "failed", one_line(f"{type(done.error).__name__}: {done.error}")
    if done.waiting is not None and base.replay.waiting is None:
        return "escalated", one_line(f"it waits for a human: {done.waiting.question}")
    if (asked := _asked(played.trace)) and len(asked) > len(_asked(base.trace)):
        return "escalated", f"{asked[-1].path} asks a human"
    said = list(dict.fromkeys(_said(base, played)))
    changed = _changed(base, played)
    if said:
        return "degraded", "; ".join(said)
    return ("different", changed) if changed else ("same", "")


def _same_error(one: BaseException | None, other: BaseException) -> bool:
    return type(one) is type(other) and str(one) == str(other)


def _asked(trace: Trace) -> list[Step]:
    return [step for step in trace.steps if step.kind == "human"]


# -- what says that something was noticed ------------------------------------------------------------------------------


def _said(base: Played, played: Played) -> Iterator[str]:
    known = {step.path: step for step in base.trace.steps}
    first_failed_ns = min(
        (step.started_ns for step in played.trace.steps if _newly_failed(step, known.get(step.path))), default=None
    )
    before: dict[tuple[str, str | None], Step] = {}
    for step in played.trace.steps:
        recorded = known.get(step.path)
        if (words := _step_says(base, played, step, recorded)) is not None:
            yield words
        elif recorded is None and step.outcome == "ok" and step.origin != "injected":
            tried = before.get((step.name, step.identity))
            if "retry_of" in step.tags:
                yield f"{step.path} answered, a retry"
            elif tried is not None and tried.output != step.output:
                yield f"{step.path} answered, tried again"
            elif first_failed_ns is not None and step.started_ns > first_failed_ns:
                yield f"{step.path} answered instead"
        before.setdefault((step.name, step.identity), step)


def _newly_failed(step: Step, recorded: Step | None) -> bool:
    return step.outcome == "failed" and (recorded is None or recorded.outcome != "failed")


def _step_says(base: Played, played: Played, step: Step, recorded: Step | None) -> str | None:
    """What one step says by itself of not being as it should."""
    if step.tags.get(DEGRADED_TAG) and not (recorded is not None and recorded.tags.get(DEGRADED_TAG)):
        return f"{step.path} says that it is degraded"
    if step.kind == "attempt" and _newly_failed(step, recorded):
        return f"{step.path} failed, a fallback was tried"
    if step.kind == "guardrail":
        if _newly_failed(step, recorded):
            return f"{step.path} failed"
        if _passed(played, step) is False and (recorded is None or _passed(base, recorded) is not False):
            return f"{step.path} was not passed"
    is_choice = step.kind == "router" and step.outcome == "ok" and not _holds_attempts(played.trace, step)
    if is_choice and recorded is not None and _choice(base, recorded) != _choice(played, step):
        return f"{step.path} decided otherwise"
    return None


def _holds_attempts(trace: Trace, step: Step) -> bool:
    return any(below.parent_id == step.step_id and below.kind == "attempt" for below in trace.steps)


def _passed(played: Played, step: Step) -> Any:
    """What a guardrail gave: a verdict with ``passed``, or a plain True or False."""
    verdict = None if step.output is None else played.value(step.output)
    return verdict if isinstance(verdict, bool) else getattr(verdict, "passed", None)


def _choice(played: Played, step: Step) -> Any:
    """What a router decided: of a choice by confidence its band, else all that it gave."""
    if step.output is None:
        return None
    band = getattr(played.value(step.output), "band", None)
    return step.output.digest if band is None else band


# -- what is another than it was ---------------------------------------------------------------------------------------


def _changed(base: Played, played: Played) -> str:
    """The first thing that is another: an effect, which would have acted on the world, or the result."""
    were, are = _effects(base.trace), _effects(played.trace)
    for (name, identity), count in are.items():
        if count > were[name, identity]:
            return f"the effect {name} would have got other inputs"
    for (name, identity), count in were.items():
        if count > are[name, identity]:
            return f"the effect {name} would not have happened"
    if base.replay.waiting is not None:
        return "" if played.replay.waiting is not None else "it waits for a human without the fault"
    if base.replay.error is not None or played.replay.error is not None:
        is_same = base.replay.error is not None and played.replay.error is not None
        return "" if is_same else f"it raised {type(base.replay.error).__name__} without the fault"
    if _digest(base.trace) is not None and _digest(base.trace) == _digest(played.trace):
        return ""
    changes = compare(base.replay.output, played.replay.output)
    if not changes:
        return ""
    first = changes[0]
    return f"the result differs at {first.path}: {short(first.before)} -> {short(first.after)}"


def _effects(trace: Trace) -> Counter[tuple[str, str | None]]:
    return Counter((step.name, step.identity) for step in trace.steps if step.effect)


def _digest(trace: Trace) -> str | None:
    return None if trace.root is None or trace.root.output is None else trace.root.output.digest
