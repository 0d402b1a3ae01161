"""Which threshold to take for a budget, or for a floor of quality. Pure.

The bound of the interval has to keep what is asked for, and not the estimate: of many thresholds the best estimate is
also the luckiest.
"""

from __future__ import annotations

from dataclasses import dataclass

from router.tuning.curve import Curve, Point


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The point to take, or None where none keeps what was asked for; ``why`` says it in words."""

    point: Point | None
    why: str


def within_budget(curve: Curve, budget_nusd: int) -> Recommendation:
    """The best quality among those whose cost per run is at most this, at the upper end of its interval."""
    known = _known(curve)
    kept = [point for point in known if (_high(point) or 0) <= budget_nusd]
    asked = f"at most ${budget_nusd / 1e9:.9f} a run".rstrip("0")
    if not kept:
        return Recommendation(None, _none(asked, len(known), len(curve.points)))
    best = max(kept, key=lambda point: (point.quality.value or 0, -(point.cost.value or 0)))
    return Recommendation(best, f"the best quality of {len(kept)} thresholds that cost {asked}, with 95 % confidence")


def above_floor(curve: Curve, floor: float) -> Recommendation:
    """The cheapest among those whose quality is at least this, at the lower end of its interval."""
    known = _known(curve)
    kept = [point for point in known if point.quality.low is not None and point.quality.low >= floor]
    asked = f"a quality of at least {floor:g}"
    if not kept:
        return Recommendation(None, _none(asked, len(known), len(curve.points)))
    best = min(kept, key=lambda point: (point.cost.value or 0, -(point.quality.value or 0)))
    return Recommendation(best, f"the cheapest of {len(kept)} thresholds with {asked}, with 95 % confidence")


def _known(curve: Curve) -> list[Point]:
    return [point for point in curve.points if point.identified and point.cost.value is not None]


def _high(point: Point) -> float | None:
    return point.cost.value if point.cost.high is None else point.cost.high


def _none(asked: str, known: int, of: int) -> str:
    if not known:
        return f"no threshold of {of} is identified with its cost, so none can be said to give {asked}"
    return f"none of the {known} thresholds that are identified with their cost gives {asked} with 95 % confidence"
