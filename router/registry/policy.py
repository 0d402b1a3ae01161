"""When a canary goes back: a pure verdict over what came of its work and of production's.

Rates are compared by Newcombe's interval of a difference (R. G. Newcombe, "Interval estimation for the difference
between independent proportions", Statistics in Medicine 17, 1998, method 10: Wilson's score intervals put together).
A verdict may be asked for after every outcome: the k-th look, each at a quarter more canary outcomes than the one
before, spends 6 / (pi k)^2 of the error that is allowed, and so all looks together no more than that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

#: What a rollback may be decided by.
RATES = ("failures", "fallbacks", "escalations")
_LOOK = 1.25


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of ``n`` pieces of work of one arm: how many failed, were taken over by another target, or went to a
    human."""

    n: int = 0
    failures: int = 0
    fallbacks: int = 0
    escalations: int = 0

    def plus(self, *, failed: bool = False, fell_back: bool = False, escalated: bool = False) -> Tally:
        """With one more piece of work."""
        return Tally(self.n + 1, self.failures + failed, self.fallbacks + fell_back, self.escalations + escalated)


@dataclass(frozen=True, slots=True)
class Guard:
    """A canary goes back when one of its rates is surely worse than production's by more than ``worse_by`` (0.02: two
    points). ``at_least`` outcomes of either arm are needed; ``error`` is the probability, over all looks and rates, of
    sending back a canary that is no worse."""

    at_least: int = 30
    worse_by: float = 0.0
    error: float = 0.05

    def __post_init__(self) -> None:
        if self.at_least < 1:
            raise ValueError(f"Guard(at_least={self.at_least}): at least 1 outcome of each arm is needed")
        if not 0.0 <= self.worse_by < 1.0:
            raise ValueError(f"Guard(worse_by={self.worse_by}): a difference of rates, from 0 up to 1, is needed")
        if not 0.0 < self.error < 1.0:
            raise ValueError(f"Guard(error={self.error}): a probability between 0 and 1 is needed")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the canary stays, and why."""

    action: Literal["keep", "rollback"]
    reason: str


def judge(production: Tally, canary: Tally, guard: Guard, *, breaker: str | None = None) -> Verdict:
    """Say whether the canary stays. ``breaker`` is the state of its breaker: an open one is reason enough."""
    if breaker == "open":
        return Verdict("rollback", "the canary's breaker is open")
    if min(production.n, canary.n) < guard.at_least:
        counts = f"{canary.n} of the canary, {production.n} of production"
        return Verdict("keep", f"too few outcomes to tell: {counts}, {guard.at_least} of each needed")
    # one side of the interval, for each rate, at this look
    error = guard.error * spent_at(canary.n, guard.at_least) / len(RATES)
    for rate in RATES:
        bad, usual = getattr(canary, rate), getattr(production, rate)
        low = lowest_difference(bad, canary.n, usual, production.n, error)
        if low > guard.worse_by:
            told = f"{bad} of {canary.n} ({bad / canary.n:.1%}), production {usual} of {production.n}"
            return Verdict(
                "rollback", f"{rate}: {told} ({usual / production.n:.1%}); surely worse by {low:.1%} or more"
            )
    return Verdict("keep", f"no rate is surely worse by more than {guard.worse_by:.1%} ({canary.n} outcomes)")


def spent_at(n: int, at_least: int) -> float:
    """The share of the allowed error that the look at ``n`` outcomes may spend."""
    look = 1 + math.floor(math.log(n / at_least, _LOOK) + 1e-9)
    return 6 / (math.pi * look) ** 2


def lowest_difference(bad: int, n: int, usual: int, m: int, error: float) -> float:
    """The lower end of the one-sided interval of ``bad/n - usual/m`` that errs with probability ``error``."""
    z = _quantile(1 - error)
    p, q = bad / n, usual / m
    low, _ = _wilson(bad, n, z)
    _, high = _wilson(usual, m, z)
    return p - q - math.hypot(p - low, high - q)


def _wilson(hits: int, n: int, z: float) -> tuple[float, float]:
    share, z2 = hits / n, z * z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return middle - half, middle + half


def _quantile(probability: float) -> float:
    from statistics import NormalDist  # noqa: PLC0415 - brings in fractions and decimal

    return NormalDist().inv_cdf(probability)
