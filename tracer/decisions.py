"""What a step of kind router decided, as a value and as the tag it is kept in. Pure.

Who decides writes it and who reads traces reads it, so it stands on the ground floor. The tag is small JSON beside the
step, so that rates over many traces are counted without opening a payload.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Mapping

#: The tag of a step of kind router that holds its decision.
DECISION = "decision"
#: The tag of a trace's root that holds the arms it ran with: role -> ``{"arm", "target", "propensity"}``.
ARMS = "arms"
#: The tag of a step of kind attempt: which try it was, at which target, and what came of it.
TRY = "try"
#: Thresholds from which an answer is taken, the first that there is.
_TAKEN_FROM = ("accept", "sure")
#: How many candidates are named where none was taken.
_NAMED = 8
#: No seconds and no confidence are as many.
_LARGEST = 1e9


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice between models. ``None`` and empty mean: played no part in it.

    ``propensity`` is the probability, in (0, 1], with which the arm was drawn; ``waited_s`` are the seconds spent
    between attempts. ``confidence_from`` says what the confidence is: ``logprobs``, ``classifier``, ``agreement`` or
    ``stated``.
    """

    #: How it was decided: ``rules``, ``confidence``, ``cascade``, ``vote``, ``registry``, ``fallback``, ``guardrail``.
    policy: str
    #: The target, band or branch that was taken; None where there was none left to take.
    chosen: str | None = None
    reason: str = ""
    candidates: tuple[str, ...] = ()
    confidence: float | None = None
    confidence_from: str | None = None
    #: By name, as ``{"sure": 0.8, "hopeless": 0.3}``.
    thresholds: Mapping[str, float] = field(default_factory=dict)
    role: str | None = None
    arm: str | None = None
    propensity: float | None = None
    #: The state of each breaker that was asked, by target: ``closed``, ``open``, ``half-open``.
    breakers: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 0
    #: Attempts at a target that had been tried before.
    retries: int = 0
    waited_s: float = 0.0
    #: Whether another target than the first candidate answered.
    fell_back: bool = False

    def as_tag(self) -> dict[str, Any]:
        """Plain JSON, without what played no part."""
        told: dict[str, Any] = {}
        for name, default in _DEFAULTS.items():
            value = getattr(self, name)
            if value != default:
                told[name] = list(value) if isinstance(value, tuple) else value
        return told


_DEFAULTS: dict[str, Any] = {
    each.name: each.default_factory() if each.default_factory is not MISSING else each.default
    for each in fields(Decision)
}


def decision_in(tags: Mapping[str, Any] | None) -> Decision | None:
    """The decision in the tags of a step, with everything in it of the type it should have: a tag holds whatever was
    set. None where there is none that can be read. Fields of later versions are left out."""
    told = (tags or {}).get(DECISION)
    if not isinstance(told, Mapping) or not isinstance(told.get("policy"), str):
        return None
    candidates, reason = told.get("candidates"), told.get("reason")
    return Decision(
        policy=told["policy"],
        chosen=_text(told.get("chosen")),
        reason="" if reason is None else str(reason),
        candidates=tuple(map(str, candidates)) if isinstance(candidates, list | tuple) else (),
        confidence=_number(told.get("confidence")),
        confidence_from=_text(told.get("confidence_from")),
        thresholds=_numbers(told.get("thresholds")),
        role=_text(told.get("role")),
        arm=_text(told.get("arm")),
        propensity=_number(told.get("propensity")),
        breakers={str(name): str(state) for name, state in _mapping(told.get("breakers")).items()},
        attempts=int(_number(told.get("attempts")) or 0),
        retries=int(_number(told.get("retries")) or 0),
        waited_s=_number(told.get("waited_s")) or 0.0,
        fell_back=told.get("fell_back") is True,
    )


def in_words(decision: Decision) -> str:
    """``small was unsure (0.42 < 0.80), so large was asked``, and the reason where that says more."""
    said = _chosen_in_words(decision)
    return f"{said}: {decision.reason}" if decision.reason and decision.reason != said else said


def _chosen_in_words(decision: Decision) -> str:
    chosen = decision.chosen
    first = decision.candidates[0] if decision.candidates else None
    if chosen is None:
        among = f" of {', '.join(decision.candidates[:_NAMED])}" if decision.candidates else ""
        return f"none{among} was taken"
    if decision.policy == "cascade" and first is not None:
        return _cascaded(decision, first, chosen)
    if decision.fell_back and first is not None:
        return f"{first} did not answer, so {chosen} was asked"
    if decision.policy == "fallback":
        return f"{chosen} was asked and answered"
    if decision.confidence is None:
        return f"{chosen} was chosen"
    return f"{chosen} was chosen at a confidence of {_against(decision.confidence, _least(decision))}"


def _cascaded(decision: Decision, first: str, chosen: str) -> str:
    sure, least = decision.confidence, _least(decision)
    if sure is None or least is None:
        return f"{first} was not sure, so {chosen} was asked" if chosen != first else f"{first} was taken"
    if chosen != first:
        return f"{first} was unsure ({_against(sure, least)}), so {chosen} was asked"
    return f"{first} was {'sure' if sure >= least else 'unsure'} ({_against(sure, least)})"


def _against(sure: float, least: float | None) -> str:
    return f"{sure:.2f}" if least is None else f"{sure:.2f} {'≥' if sure >= least else '<'} {least:.2f}"


def _least(decision: Decision) -> float | None:
    return next((decision.thresholds[name] for name in _TAKEN_FROM if name in decision.thresholds), None)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _numbers(value: Any) -> dict[str, float]:
    read = {str(name): _number(number) for name, number in _mapping(value).items()}
    return {name: number for name, number in read.items() if number is not None}


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    is_one = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
    return float(value) if is_one else None
