"""What a router decided, in words, and the tries it made. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Mapping

from tracer import format as fmt
from tracer.attempts import attempts_in, first_of
from tracer.attempts import in_words as of_attempts
from tracer.decisions import TRY, Decision, decision_in, in_words
from tracer.format import Shown
from tracer.model import Status, Step, Trace
from web.view.text import one_line

_VERDICTS = {"done": "taken", "retry": "tried again", "next": "on to the next", "raise": "raised", "stop": "the end"}
_CANDIDATES = 8
#: No seconds are as many.
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
    decision = decision_in(step.tags)
    return f"→ {one_line(decision.chosen, 60)}" if decision is not None and decision.chosen else ""


def decided(trace: Trace, step: Step, *, base: str) -> Decided | None:
    """The decision of a step, or None where it took none."""
    decision = decision_in(step.tags)
    tries = tuple(_tries(trace, step, base))
    if decision is None and step.call is not None:
        return _retried(trace, step, base)
    if decision is None:
        return Decided("", (), tries) if tries else None
    return Decided(one_line(in_words(decision), 600), tuple(_facts(decision)), tries)


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
