"""How far a figure from a sample can be trusted: shares, means, quantiles, differences. Pure; all at 95 %.

Formulas:
- share: the score interval of E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
  JASA 22 (1927): (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). Unlike p ± z √(p(1-p)/n) it holds near 0 and 1.
- mean, and mean of paired differences: the percentile bootstrap of B. Efron, "Bootstrap methods: another look at the
  jackknife", Ann. Statist. 7 (1979), 1,000 resamples from a fixed seed; costs are skewed, so nothing is assumed of
  their shape. Above 300 values the normal interval, mean ± z s/√n: it then covers as often (of a mean of 300 lognormal
  values, 94 % against 93 %), in no time.
- quantile: two order statistics whose ranks the binomial gives, H. A. David and H. N. Nagaraja, "Order Statistics", 3rd
  ed. (2003), 7.1: nothing is assumed of the shape. Exact up to 1,000 values, above it by the normal limit of the ranks,
  nq ± z √(nq(1-q)). A bound that the sample is too small to have is None.
- ratio of two sums: W. G. Cochran, "Sampling Techniques", 3rd ed. (1977), 6.4: r ± z √(Σ(y - rx)² / n(n-1)) / x̄.
- second less first, of two independent samples: from the two intervals, R. G. Newcombe, "Interval estimation for the
  difference between independent proportions", Statist. Med. 17 (1998), method 10, which with Wilson's interval is for
  shares; G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures", Statist. Med. 27 (2008),
  is the same for any two figures that have intervals of their own.
- product of independent shares: Zou and Donner again, on the sum of the logarithms.
- right before against right after: the exact test of Q. McNemar, "Note on the sampling error of the difference between
  correlated proportions", Psychometrika 12 (1947): of the traces where only one side is right, how likely is a split
  this uneven or more, if both were as good (two-sided binomial, p = 1/2).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import Protocol, Sequence

Z = NormalDist().inv_cdf(0.975)
_RESAMPLES = 1_000
_MOST_RESAMPLED = 300
_MOST_EXACT = 1_000


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


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure from ``of`` observations and its 95 % interval; None is what they are too few to say."""

    value: float | None
    low: float | None
    high: float | None
    of: int


UNKNOWN = Estimate(None, None, None, 0)


class Interval(Protocol):
    """What two figures need to be told apart: a Share has it, and an Estimate."""

    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def of(self) -> int: ...


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


def mean(values: Sequence[float], *, seed: int = 0) -> Estimate:
    """A mean; the same values always give the same interval."""
    low, high = _mean_interval(values, seed) if len(values) > 1 else (None, None)
    return Estimate(fmean(values) if values else None, low, high, len(values))


def quantile(ordered: Sequence[float], q: float) -> Estimate:
    """The quantile of values in ascending order: the smallest that at least the share ``q`` of them do not exceed."""
    number = len(ordered)
    if not number:
        return UNKNOWN
    below, above = _ranks(number, q)
    return Estimate(
        value=ordered[max(0, math.ceil(number * q) - 1)],
        low=ordered[below - 1] if below >= 1 else None,
        high=ordered[above - 1] if above <= number else None,
        of=number,
    )


def ratio(parts: Sequence[float], wholes: Sequence[float]) -> Estimate:
    """The sum of the parts by the sum of the wholes, pair by pair, within 0 and 1."""
    number, whole = len(wholes), math.fsum(wholes)
    if not whole:
        return Estimate(None, None, None, number)
    found = math.fsum(parts) / whole
    if number < 2:
        return Estimate(found, None, None, number)
    off = math.fsum((part - found * of) ** 2 for part, of in zip(parts, wholes, strict=True))
    reach = Z * math.sqrt(off / (number * (number - 1))) * number / whole
    return Estimate(found, max(0.0, found - reach), min(1.0, found + reach), number)


def apart(one: Interval, other: Interval) -> Estimate:
    """The second less the first, where the two samples are independent of each other."""
    number = min(one.of, other.of)
    if one.value is None or other.value is None or not number:
        return Estimate(None, None, None, number)
    found = other.value - one.value
    bounds = (one.low, one.high, other.low, other.high)
    if None in bounds:
        return Estimate(found, None, None, number)
    low_1, high_1, low_2, high_2 = (float(bound) for bound in bounds if bound is not None)
    down = math.hypot(other.value - low_2, high_1 - one.value)
    up = math.hypot(high_2 - other.value, one.value - low_1)
    return Estimate(found, found - down, found + up, number)


def product(shares: Sequence[Share]) -> Estimate:
    """The product of shares that are independent of each other, and its interval."""
    number = min((each.of for each in shares), default=0)
    if not number:
        return UNKNOWN
    values = [each.value or 0.0 for each in shares]
    found = math.prod(values)
    # A share that was 0 has no logarithm: the product is at most what its own upper bound leaves of the others.
    if not found:
        return Estimate(0.0, 0.0, math.prod(each.high for each in shares), number)
    up = math.sqrt(math.fsum(math.log(each.high / value) ** 2 for each, value in zip(shares, values, strict=True)))
    lows = [math.log(value / each.low) if each.low else math.inf for each, value in zip(shares, values, strict=True)]
    down = math.sqrt(math.fsum(low * low for low in lows))
    return Estimate(found, found * math.exp(-down), min(1.0, found * math.exp(up)), number)


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


def _ranks(number: int, q: float) -> tuple[int, int]:
    """The ranks, from 1, between which the quantile lies with at least 95 %; outside 1..number where there is none."""
    if number > _MOST_EXACT:
        reach = Z * math.sqrt(number * q * (1 - q))
        return math.floor(number * q - reach), math.ceil(number * q + reach) + 1
    # Of B, how many lie below it: the largest rank with P(B < rank) <= 2.5 %, the smallest with P(B >= rank) <= 2.5 %.
    total, below, above = 0.0, 0, number + 1
    for count in range(number + 1):
        total += _binomial(count, number, q)
        if total <= 0.025:
            below = count + 1
        if 1 - total <= 0.025:
            above = count + 1
            break
    return below, above


def _binomial(count: int, number: int, p: float) -> float:
    logs = math.lgamma(number + 1) - math.lgamma(count + 1) - math.lgamma(number - count + 1)
    return math.exp(logs + count * math.log(p) + (number - count) * math.log(1 - p))


def _mean_interval(deltas: Sequence[float], seed: int) -> tuple[float, float]:
    number = len(deltas)
    if number > _MOST_RESAMPLED:
        reach = Z * stdev(deltas) / math.sqrt(number)
        # no resample could lie outside the values, and a cost has none below zero
        return max(min(deltas), fmean(deltas) - reach), min(max(deltas), fmean(deltas) + reach)
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
