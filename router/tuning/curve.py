"""Cost and quality over thresholds, from what recorded runs showed. Pure; nothing is extrapolated.

At a threshold t a run takes the cheap answer where its confidence is at least t, and asks the dear one below. What that
needs was seen in most runs, and in the rest may have been seen by chance, with a known probability (its propensity).

The estimator is the augmented inverse-propensity one of J. M. Robins, A. Rotnitzky and L. P. Zhao, "Estimation of
regression coefficients when some regressors are not always observed", JASA 89 (1994); for policies, M. Dudik,
J. Langford and L. Li, "Doubly robust policy evaluation and learning", ICML 2011. Each run counts with

    its cheap score                                   where the policy at t accepts
    m + asked / propensity * (dear score - m)         where it asks

and the estimate is their mean. ``m`` is the mean dear score of the explored runs whose cheap answer was as good
(smoothed by one right and one wrong, so that a handful of equal ones is no certainty). As the propensities are known,
``m`` may be as wrong as it likes: it only makes the interval narrower.

Intervals, at 95 %: Wilson's where all of it was seen and scores are 0 or 1; else mean ± t s/√n, with Student's t for as
many runs as were explored (M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions" (1964), 26.7.5).
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Callable, Sequence

from router.tuning.observed import Observed
from tracer.stats.intervals import UNKNOWN, Estimate, Z, share

#: Fewer explored runs than this say nothing of all the others.
FEWEST_EXPLORED = 20
_POINTS = 21
#: Smoothing: as if one more had been right and one more wrong.
_RIGHT, _BOTH = 1.0, 2.0


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold would have come to. Where it is not ``identified``, ``why_not`` says what was not seen, and
    there is no estimate. ``effective`` is how many runs, each seen with certainty, would say as much (L. Kish, "Survey
    Sampling" (1965), 11.7). ``escalated`` is the share of runs that ask the dear one. ``cost`` is per run, in
    billionths of a dollar; unknown where a price is."""

    accept: float
    quality: Estimate
    cost: Estimate
    escalated: float
    effective: float
    why_not: str | None = None

    @property
    def identified(self) -> bool:
        return self.why_not is None


@dataclass(frozen=True, slots=True)
class Curve:
    """A cascade's curve, thresholds ascending: from cheap alone (0) to one that accepts nothing. ``dear_alone`` is the
    dear one without asking the cheap one first. ``current`` are the thresholds that runs were decided by, the most
    frequent first."""

    runs: int
    points: tuple[Point, ...]
    dear_alone: Point
    current: tuple[float, ...]
    gap: Gap | None

    @property
    def cheap_alone(self) -> Point:
        return self.points[0]

    def at(self, accept: float) -> Point | None:
        return next((point for point in self.points if point.accept == accept), None)


@dataclass(frozen=True, slots=True)
class Gap:
    """Runs whose dear answer nobody saw, nor could have: with confidences from ``low`` to ``high``."""

    runs: int
    low: float
    high: float


def curve(observed: Sequence[Observed], thresholds: Sequence[float] | None = None) -> Curve:
    """The curve over these thresholds; without any, over quantiles of the confidences and those in force. Raises
    ValueError where nothing was observed."""
    if not observed:
        raise ValueError("a curve needs at least one run")
    counted: defaultdict[float, int] = defaultdict(int)
    for run in observed:
        if run.accept is not None:
            counted[run.accept] += 1
    current = tuple(sorted(counted, key=lambda accept: (-counted[accept], accept)))
    chosen = sorted({0.0, never(observed), *(current + _grid(observed) if thresholds is None else thresholds)})
    unseen = [run.confidence for run in observed if not run.asked and not run.propensity]
    return Curve(
        runs=len(observed),
        points=tuple(_point(observed, accept, with_cheap=True) for accept in chosen),
        dear_alone=_point(observed, never(observed), with_cheap=False),
        current=current,
        gap=Gap(len(unseen), min(unseen), max(unseen)) if unseen else None,
    )


def never(observed: Sequence[Observed]) -> float:
    """A threshold that accepts nothing."""
    return math.floor(max(run.confidence for run in observed) * 10_000 + 1) / 10_000


def _grid(observed: Sequence[Observed]) -> tuple[float, ...]:
    ordered = sorted(run.confidence for run in observed)
    return tuple(ordered[round(at * (len(ordered) - 1) / (_POINTS - 1))] for at in range(_POINTS))


def _point(observed: Sequence[Observed], accept: float, *, with_cheap: bool) -> Point:
    asks = [run.confidence < accept for run in observed]
    escalated = sum(asks) / len(asks)
    effective = _effective(observed, asks)
    why_not = _why_not(observed, asks)
    if why_not is not None:
        return Point(accept, UNKNOWN, UNKNOWN, escalated, effective, why_not)
    explored = sum(ask and run.asked and run.propensity < 1 for run, ask in zip(observed, asks, strict=True))
    quality = _scores(observed, asks)
    costs = _costs(observed, asks, with_cheap=with_cheap)
    return Point(
        accept=accept,
        quality=_interval(quality, explored, at_most=1.0),
        cost=UNKNOWN if costs is None else _interval(costs, explored, at_most=math.inf),
        escalated=escalated,
        effective=effective,
    )


def _effective(observed: Sequence[Observed], asks: Sequence[bool]) -> float:
    weights = [
        1 / run.propensity if ask and run.asked else float(not ask) for run, ask in zip(observed, asks, strict=True)
    ]
    square = math.fsum(weight * weight for weight in weights)
    return math.fsum(weights) ** 2 / square if square else 0.0


def _why_not(observed: Sequence[Observed], asks: Sequence[bool]) -> str | None:
    """What would have to have been seen, and was not; None where nothing is missing."""
    both = list(zip(observed, asks, strict=True))
    unseen = sum(ask and not run.asked and not run.propensity for run, ask in both)
    if unseen:
        return f"the dear answer of {unseen:,} of {len(both):,} runs was never seen, and had no chance to be"
    unscored = sum(run.cheap is None for run, ask in both if not ask)
    if unscored:
        return f"the cheap answer of {unscored:,} of {len(both):,} runs was never scored"
    unscored = sum(run.dear is None for run, ask in both if ask and run.asked)
    if unscored:
        return f"the dear answer of {unscored:,} of {len(both):,} runs was never scored"
    by_chance = sum(run.propensity < 1 for run, ask in both if ask)
    explored = sum(run.asked and run.propensity < 1 for run, ask in both if ask)
    if by_chance and explored < min(FEWEST_EXPLORED, by_chance):
        return f"only {explored:,} of {by_chance:,} runs were explored, of {FEWEST_EXPLORED} that it takes"
    return None


def _scores(observed: Sequence[Observed], asks: Sequence[bool]) -> list[float]:
    explored = [run for run, ask in zip(observed, asks, strict=True) if ask and run.asked and run.propensity < 1]
    right: defaultdict[float | None, float] = defaultdict(lambda: _RIGHT)
    of: defaultdict[float | None, float] = defaultdict(lambda: _BOTH)
    for run in explored:
        right[_like(run)] += (run.dear or 0.0) / run.propensity
        of[_like(run)] += 1 / run.propensity
    return _augmented(
        observed,
        asks,
        lambda run: run.cheap or 0.0,
        lambda run: run.dear or 0.0,
        lambda run: right[_like(run)] / of[_like(run)],
    )


def _like(run: Observed) -> float | None:
    return None if run.cheap is None else round(run.cheap, 1)


def _costs(observed: Sequence[Observed], asks: Sequence[bool], *, with_cheap: bool) -> list[float] | None:
    """What each run counts with; None where a price that it takes is unknown."""
    if any(run.cheap_nusd is None for run in observed if with_cheap):
        return None
    seen = [run for run, ask in zip(observed, asks, strict=True) if ask and run.asked]
    if any(run.dear_nusd is None for run in seen):
        return None
    explored = [run.dear_nusd or 0 for run in seen if run.propensity < 1]
    expected = fmean(explored) if explored else 0.0
    first = [float(run.cheap_nusd or 0) if with_cheap else 0.0 for run in observed]
    second = _augmented(observed, asks, lambda _: 0.0, lambda run: float(run.dear_nusd or 0), lambda _: expected)
    return [one + other for one, other in zip(first, second, strict=True)]


def _augmented(
    observed: Sequence[Observed],
    asks: Sequence[bool],
    cheap: Callable[[Observed], float],
    dear: Callable[[Observed], float],
    expected: Callable[[Observed], float],
) -> list[float]:
    told = []
    for run, ask in zip(observed, asks, strict=True):
        if not ask:
            told.append(cheap(run))
        elif run.propensity == 1 and run.asked:
            told.append(dear(run))
        else:
            guess = expected(run)
            told.append(guess + ((dear(run) - guess) / run.propensity if run.asked else 0.0))
    return told


def _interval(values: Sequence[float], explored: int, *, at_most: float) -> Estimate:
    number = len(values)
    if not explored and at_most == 1.0 and set(values) <= {0.0, 1.0}:
        found = share(round(sum(values)), number)
        return Estimate(found.value, found.low, found.high, number)
    middle = fmean(values)
    if number < 2:
        return Estimate(middle, None, None, number)
    reach = student((explored or number) - 1) * stdev(values) / math.sqrt(number)
    return Estimate(min(at_most, max(0.0, middle)), max(0.0, middle - reach), min(at_most, middle + reach), number)


def student(freedom: int) -> float:
    """The 97.5 % point of Student's t."""
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    return Z + first / max(1, freedom) + second / max(1, freedom) ** 2
