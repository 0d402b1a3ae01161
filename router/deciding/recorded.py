"""What the recorded decisions share, and the simplest of them: rules. (``cascading``, ``voting`` are the others.)

Outside a workflow everything works and nothing is recorded.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, TypeVar

from router.confidences import Confidence
from router.deciding.rules import Ruled, Rules, name_of
from router.errors import NoConfidence
from tracer import recorded, span
from tracer.decisions import DECISION, Decision

T = TypeVar("T")
Target = TypeVar("Target")
#: How sure an answer is; None, or NoConfidence raised, where that can't be told.
Sure = Callable[[T], Confidence | None]


def decide(rules: Rules[Target], question: Any, *, name: str = "rules") -> Ruled[Target]:
    """Choose a target by rules; a step of kind router that holds the rule that applied and those that did not. What a
    predicate looks up is recorded, so that a replay decides as the run did."""
    with span(name, kind="router", input={"question": question}) as step:
        ruled = rules.choose(question, recorded)
        chosen = name_of(ruled.target)
        decision = Decision("rules", chosen, ruled.why, rules.candidates)
        told = {"target": chosen, "rule": ruled.rule, "why": ruled.why, "passed_over": ruled.passed_over}
        step.set(tags={DECISION: decision.as_tag()}, output=told)
        return ruled


def confidence_in(value: T, sure: Sure[T]) -> Confidence | None:
    """How sure an answer is, as the caller's function says it. Raises TypeError for what is no Confidence."""
    try:
        confidence = sure(value)
    except NoConfidence:
        return None
    if confidence is not None and not isinstance(confidence, Confidence):
        raise TypeError(
            f"confidence= must give a router.Confidence, which says what it is, not {confidence!r}: use stated, "
            "from_logprobs, from_classifier or agreement, or Confidence(value, source)"
        )
    return confidence


def told_of(confidence: Confidence | None) -> Mapping[str, Any]:
    """A confidence as tags tell it."""
    return {} if confidence is None else {"confidence": confidence.value, "confidence_from": confidence.source}
