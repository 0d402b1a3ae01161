"""What a router decided, in words, and the tries it made. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Mapping

from tracer import format as fmt
from tracer.attempts import attempts_in, first_of
from tracer.attempts import in_words as of_attempts
from tracer.decisions import TRY, Decision, decision_in
from tracer.format import Shown
from tracer.model import Status, Step, Trace
from web.view.text import one_line

#: Thresholds from which an answer is taken, and below which nothing is expected of it.
_TAKEN_FROM = ("accept", "sure")
_VERDICTS = {"done": "taken", "retry": "tried again", "next": "on to the next", "raise": "raised", "stop": "the end"}
_CANDIDATES = 8
#: No seconds and no confidence are as many.
_LARGEST = 1e9


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt of a router: at whom, after which wait, and what came of it."""

    number: str
    target: str
    href: str
    status: Status
    waited: str
    time: Shown
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class Decided:
    """``sentence`` says what was chosen and why; ``facts`` what else played a part."""

    sentence: str
    facts: tuple[Shown, ...]
    tries: tuple[Tried, ...]


def taken(step: Step) -> str:
    """What a router's step chose, for its line in the tree: an arrow and the target. Empty for every other step."""
    if step.kind != "router":
        return ""
    decision = decision_of(step)
    return f"→ {one_line(decision.chosen, 60)}" if decision is not None and decision.chosen else ""


def decided(trace: Trace, step: Step, *, base: str) -> Decided | None:
    """The decision of a step, or None where it took none."""
    decision = decision_of(step)
    tries = tuple(_tries(trace, step, base))
    if decision is None and step.call is not None:
        return _retried(trace, step, base)
    if decision is None:
        return Decided("", (), tries) if tries else None
    return Decided(in_words(decision), tuple(_facts(decision)), tries)


def decision_of(step: Step) -> Decision | None:
    """The decision in a step's tags with everything in it of the type it should have: a tag holds whatever was set."""
    try:
        told = decision_in(step.tags)
    except TypeError:
        return None
    if told is None:
        return None
    return Decision(
        policy=told.policy,
        chosen=None if told.chosen is None else str(told.chosen),
        reason=str(told.reason),
        candidates=tuple(str(name) for name in told.candidates),
        confidence=_number(told.confidence),
        confidence_from=None if told.confidence_from is None else str(told.confidence_from),
        thresholds={str(name): value for name, value in _mapping(told.thresholds).items()},
        role=None if told.role is None else str(told.role),
        arm=None if told.arm is None else str(told.arm),
        propensity=_number(told.propensity),
        breakers={str(name): str(state) for name, state in _mapping(told.breakers).items()},
        attempts=int(_number(told.attempts) or 0),
        retries=int(_number(told.retries) or 0),
        waited_s=_number(told.waited_s) or 0.0,
        fell_back=bool(told.fell_back),
    )


def in_words(decision: Decision) -> str:
    """``small was unsure (0.42 < 0.80), so large was asked``."""
    chosen = decision.chosen
    first = decision.candidates[0] if decision.candidates else None
    if chosen is None:
        among = f" of {', '.join(decision.candidates[:_CANDIDATES])}" if decision.candidates else ""
        said = f"none{among} was taken"
    elif decision.policy == "cascade" and first is not None:
        said = _cascaded(decision, first, chosen)
    elif decision.fell_back and first is not None:
        said = f"{first} did not answer, so {chosen} was asked"
    elif decision.policy == "fallback":
        said = f"{chosen} was asked and answered"
    else:
        said = f"{chosen} was chosen{_surely(decision)}"
    told = one_line(said, 300)
    reason = one_line(decision.reason, 300)
    return f"{told}: {reason}" if reason and reason != told else told


def _cascaded(decision: Decision, first: str, chosen: str) -> str:
    sure, least = decision.confidence, _least(decision)
    if sure is None or least is None:
        return f"{first} was not sure, so {chosen} was asked" if chosen != first else f"{first} was taken"
    if chosen != first:
        return f"{first} was unsure ({sure:.2f} < {least:.2f}), so {chosen} was asked"
    return (
        f"{first} was {'sure' if sure >= least else 'unsure'} ({sure:.2f} {'≥' if sure >= least else '<'} {least:.2f})"
    )


def _surely(decision: Decision) -> str:
    sure, least = decision.confidence, _least(decision)
    if sure is None:
        return ""
    against = "" if least is None else f" {'≥' if sure >= least else '<'} {least:.2f}"
    return f" at a confidence of {sure:.2f}{against}"


def _least(decision: Decision) -> float | None:
    thresholds = decision.thresholds
    return next((_number(thresholds[name]) for name in _TAKEN_FROM if name in thresholds), None)


def _mapping(value: Any) -> Mapping[str, Any]:
    """What a tag holds may be anything: it was written by whoever set it."""
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    return float(value) if isinstance(value, int | float) and abs(value) < _LARGEST else None


def _facts(decision: Decision) -> Iterator[Shown]:
    yield Shown(f"by {decision.policy}", "how it was decided", "strong")
    if decision.role:
        yield Shown(f"role {one_line(decision.role, 60)}", "the job that the model does")
    if decision.arm:
        share = f", {decision.propensity * 100:.3g} %" if decision.propensity is not None else ""
        yield Shown(f"{one_line(decision.arm, 60)}{share}", "the arm, and how often it is drawn")
    if decision.confidence_from:
        yield Shown(f"confidence from {one_line(decision.confidence_from, 60)}", "where the number comes from")
    for target, state in list(decision.breakers.items())[:_CANDIDATES]:
        yield Shown(
            f"breaker of {one_line(target, 60)} {state}", "as it was asked", "" if state == "closed" else "warn"
        )
    if decision.attempts:
        retries = f", {fmt.plural(decision.retries, 'retry')}" if decision.retries else ""
        yield Shown(f"{fmt.plural(decision.attempts, 'attempt')}{retries}", "calls that were made")
    if decision.waited_s > 0:
        yield Shown(f"waited {fmt.duration(int(decision.waited_s * 1e9))}", "between attempts")


def _tries(trace: Trace, step: Step, base: str) -> Iterator[Tried]:
    if step.kind == "attempt":
        return
    for child in trace.children(step.step_id):
        told = child.tags.get(TRY)
        if child.kind != "attempt" or not isinstance(told, Mapping):
            continue
        waited, sure = _number(told.get("waited_s")), _number(told.get("confidence"))
        verdict = str(told.get("verdict", ""))
        parts = [_VERDICTS.get(verdict, verdict), str(told.get("band", "")), f"{sure:.2f}" if sure is not None else ""]
        yield Tried(
            number=str(told.get("number", "")),
            target=one_line(str(told.get("target", child.name)), 80),
            href=f"{base}step={child.step_id}",
            status=child.status,
            waited=fmt.duration(int(waited * 1e9)) if waited else "",
            time=fmt.shown_duration(child.duration_ns, child.status),
            verdict=one_line(", ".join(filter(None, parts)), 80),
            why=one_line(str(told.get("why", "")) or _raised(child), 200),
        )


def _retried(trace: Trace, step: Step, base: str) -> Decided | None:
    """All attempts of a call that its client made several times; None for a call that was made once."""
    attempts = attempts_in(trace.steps).get(first_of(step) or step.step_id, ())
    if not attempts:
        return None
    tries = []
    before: Step | None = None
    for number, one in enumerate(attempts, 1):
        call = one.call
        answered = f"HTTP {call.status_code}" if call is not None and call.status_code else ""
        rested_ns = one.started_ns - before.ended_ns if before is not None and before.ended_ns is not None else 0
        tries.append(
            Tried(
                number=str(number),
                target=one_line((call and (call.model or call.model_asked)) or one.name, 80),
                href=f"{base}step={one.step_id}",
                status=one.status,
                waited=fmt.duration(rested_ns) if rested_ns > 0 else "",
                time=fmt.shown_duration(one.duration_ns, one.status),
                verdict=answered,
                why=_raised(one),
            )
        )
        before = one
    return Decided(f"One call, {of_attempts(attempts)}", (), tuple(tries))


def _raised(step: Step) -> str:
    failure = step.failure
    return "" if failure is None else f"{fmt.type_name(failure.type)}: {one_line(failure.message, 160)}"
