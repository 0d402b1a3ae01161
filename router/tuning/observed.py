"""What a cascade showed of itself, run by run, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observed:
    """One decision of a cascade of two. A score says how good an answer is, from 0 to 1; None: it was not scored, or
    not given. Costs are in billionths of a dollar; None is unknown.

    ``propensity`` is how likely it was that the dear one would be asked, given this confidence: 1 where the policy
    asks it, the share of exploration where it only explores, 0 where it never does.
    """

    trace_id: str
    confidence: float
    #: Whether the dear one's answer was seen.
    asked: bool
    propensity: float
    cheap: float | None = None
    dear: float | None = None
    cheap_nusd: int | None = None
    dear_nusd: int | None = None
    #: The threshold it was decided by.
    accept: float | None = None
    started_ns: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.propensity <= 1.0:
            raise ValueError(f"a propensity is a probability, not {self.propensity} (trace {self.trace_id})")
        if self.asked and not self.propensity:
            raise ValueError(f"what was asked had a chance to be: a propensity of 0 can't be (trace {self.trace_id})")
