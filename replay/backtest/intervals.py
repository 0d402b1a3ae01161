"""How far a share, a mean difference and a change of mind can be trusted, from a sample. Pure; all at 95 %.

Formulas:
- share: the score interval of E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
  JASA 22 (1927): (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). Unlike p ± z √(p(1-p)/n) it holds near 0 and 1.
- mean of paired differences: the percentile bootstrap of B. Efron, "Bootstrap methods: another look at the jackknife",
  Ann. Statist. 7 (1979), 1,000 resamples from a fixed seed; costs are skewed, so nothing is assumed of their shape.
  Above 2,000 pairs the normal interval, mean ± z s/√n, which then is the same to the eye and takes no time.
- right before against right after: the exact test of Q. McNemar, "Note on the sampling error of the difference between
  correlated proportions", Psychometrika 12 (1947): of the traces where only one side is right, how likely is a split
  this uneven or more, if both were as good (two-sided binomial, p = 1/2).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import Sequence

Z = NormalDist().inv_cdf(0.975)
_RESAMPLES = 1_000
_MOST_RESAMPLED = 2_000


@dataclass(frozen=True, slots=True)
class Share:
    """``count`` of ``of``, and the 95 % interval of the share behind it; the whole of 0..1 where nothing was seen."""

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        return self.count / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Difference:
    """Second less first, over ``pairs`` pairs of which both sides are known: the two sums, and the mean difference of a
    pair with its 95 % interval; None where there are too few pairs to say."""

    pairs: int
    before: int
    after: int
    mean: float | None
    low: float | None
    high: float | None

    @property
    def total(self) -> int:
        return self.after - self.before


def share(count: int, of: int) -> Share:
    """A share with its Wilson interval."""
    if not of:
        return Share(0, 0, 0.0, 1.0)
    p, square = count / of, Z * Z
    middle = p + square / (2 * of)
    reach = Z * math.sqrt(p * (1 - p) / of + square / (4 * of * of))
    scale = 1 + square / of
    # At the ends the bound is 0 or 1 by the formula; rounding must not say otherwise.
    low = 0.0 if count == 0 else max(0.0, (middle - reach) / scale)
    high = 1.0 if count == of else min(1.0, (middle + reach) / scale)
    return Share(count, of, low, high)


def difference(pairs: Sequence[tuple[int, int]], *, seed: int = 0) -> Difference:
    """The paired difference; the same pairs always give the same interval."""
    deltas = [after - before for before, after in pairs]
    low, high = _mean_interval(deltas, seed) if len(deltas) > 1 else (None, None)
    return Difference(
        pairs=len(pairs),
        before=sum(before for before, _ in pairs),
        after=sum(after for _, after in pairs),
        mean=fmean(deltas) if deltas else None,
        low=low,
        high=high,
    )


def _mean_interval(deltas: Sequence[int], seed: int) -> tuple[float, float]:
    number = len(deltas)
    if number > _MOST_RESAMPLED:
        reach = Z * stdev(deltas) / math.sqrt(number)
        return fmean(deltas) - reach, fmean(deltas) + reach
    chance = random.Random(seed)  # noqa: S311 - a sample, not a secret
    means = sorted(sum(chance.choices(deltas, k=number)) / number for _ in range(_RESAMPLES))
    edge = round(_RESAMPLES * 0.025)
    return means[edge], means[-edge - 1]


def mcnemar(only_before: int, only_after: int) -> float:
    """The probability of a split this uneven or more, if both sides were equally good; 1.0 where none disagree."""
    number = only_before + only_after
    if not number:
        return 1.0
    fewer = min(only_before, only_after)
    # In logarithms: the binomials of some thousand are no floats.
    logs = [
        math.lgamma(number + 1) - math.lgamma(k + 1) - math.lgamma(number - k + 1) - number * math.log(2)
        for k in range(fewer + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))
