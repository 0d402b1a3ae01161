"""What confidences are worth: how far they are from what was right, and how to bring them there.

Both are made of pairs: a confidence, and whether that answer was right. Pure.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Iterable, Sequence

from router.confidences import Confidence
from router.errors import NoConfidence


@dataclass(frozen=True, slots=True)
class Bin:
    """The answers whose confidence lies from ``low`` up to ``high``: how many, how sure on average, how many right."""

    low: float
    high: float
    count: int
    mean_confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far confidences are from what they claim. ``error`` is the expected calibration error: the mean distance
    between confidence and accuracy over the bins, by their counts; ``brier`` the mean squared distance from right (1)
    and wrong (0)."""

    bins: tuple[Bin, ...]
    count: int
    error: float
    brier: float


def reliability(pairs: Iterable[tuple[float | Confidence, bool]], *, bins: int = 10) -> Reliability:
    """Hold confidences against what was right, in bins of equal width; empty bins are left out. Raises NoConfidence
    where there is no pair."""
    seen = [(float(confidence), right) for confidence, right in pairs]
    if not seen:
        raise NoConfidence("no reliability of no answers")
    told: list[Bin] = []
    for place in range(bins):
        inside = [pair for pair in seen if min(int(pair[0] * bins), bins - 1) == place]
        if inside:
            mean = math.fsum(confidence for confidence, _ in inside) / len(inside)
            told.append(Bin(place / bins, (place + 1) / bins, len(inside), mean, _share(inside)))
    error = math.fsum(each.count * abs(each.mean_confidence - each.accuracy) for each in told) / len(seen)
    brier = math.fsum((confidence - right) ** 2 for confidence, right in seen) / len(seen)
    return Reliability(tuple(told), len(seen), error, brier)


def _share(pairs: Sequence[tuple[float, bool]]) -> float:
    return sum(right for _, right in pairs) / len(pairs)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Confidences as accuracies: the non-decreasing steps that fit what was seen best (isotonic regression by pooling
    adjacent violators: Ayer et al. 1955). From ``edges[i]`` on a confidence becomes ``values[i]``; below the first edge
    it becomes the first value. ``count`` is how many answers it was made of."""

    edges: tuple[float, ...]
    values: tuple[float, ...]
    count: int

    @classmethod
    def of(cls, pairs: Iterable[tuple[float | Confidence, bool]]) -> Calibration:
        """Made of answers whose truth is known, which should not be those that it is judged by. Raises NoConfidence
        where there are none."""
        sums: dict[float, list[int]] = {}
        for confidence, is_right in pairs:
            counted = sums.setdefault(float(confidence), [0, 0])
            counted[0] += bool(is_right)
            counted[1] += 1
        if not sums:
            raise NoConfidence("no calibration by no answers")
        pools: list[tuple[float, int, int]] = []
        for edge, (right, count) in sorted(sums.items()):
            pool = (edge, right, count)
            while pools and pools[-1][1] * pool[2] >= pool[1] * pools[-1][2]:
                before = pools.pop()
                pool = (before[0], before[1] + pool[1], before[2] + pool[2])
            pools.append(pool)
        edges, rights, counts = zip(*pools, strict=True)
        values = tuple(right / count for right, count in zip(rights, counts, strict=True))
        return cls(edges, values, sum(counts))

    def __call__(self, confidence: Confidence) -> Confidence:
        """The same confidence, calibrated: its source stays, and its detail tells what it was."""
        value = self.values[max(0, bisect_right(self.edges, confidence.value) - 1)]
        detail = {**confidence.detail, "uncalibrated": confidence.value, "calibrated_on": self.count}
        return Confidence(value, confidence.source, detail)
