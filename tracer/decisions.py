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
    """The decision in the tags of a step; None where there is none that can be read. Fields of later versions are
    left out."""
    told = (tags or {}).get(DECISION)
    if not isinstance(told, Mapping) or not isinstance(told.get("policy"), str):
        return None
    known = {name: value for name, value in told.items() if name in _DEFAULTS}
    return Decision(**(known | {"candidates": tuple(known.get("candidates") or ())}))
