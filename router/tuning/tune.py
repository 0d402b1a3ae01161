"""``tune``: a recorded cascade's curve, and the threshold to take."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Mapping

from router.errors import TuningError
from router.tuning.scoring import Scorer, scorer_of

if TYPE_CHECKING:
    from router.tuning.curve import Curve, Point
    from router.tuning.observed import Observed
    from router.tuning.recommend import Recommendation
    from tracer.store import Store

_NUSD = 10**9


@dataclass(frozen=True, slots=True)
class Tuning:
    """What came of it. ``left`` are traces that show nothing, by reason; ``recommendation`` is None where neither a
    budget nor a floor was given. ``cheap`` and ``dear`` are the two candidates, ``place``
    is where the cheap one answers, as the rules of a replay name it; ``is_human``: the dear one is a person."""

    workflow: str
    step: str
    cheap: str
    dear: str
    place: str
    curve: Curve
    observed: tuple[Observed, ...]
    left: Mapping[str, int]
    recommendation: Recommendation | None = None
    is_human: bool = False

    @property
    def chosen(self) -> Point | None:
        return None if self.recommendation is None else self.recommendation.point

    def as_json(self) -> dict[str, Any]:
        """For a program: all but the runs themselves."""
        told = {
            **asdict(self.curve),
            "points": [_point(point) for point in self.curve.points],
            "dear_alone": _point(self.curve.dear_alone),
        }
        names = {"workflow": self.workflow, "step": self.step, "cheap": self.cheap, "dear": self.dear}
        return {
            **names,
            **told,
            "left": dict(self.left),
            "recommendation": None
            if self.recommendation is None
            else {
                "accept": None if self.chosen is None else self.chosen.accept,
                "point": None if self.chosen is None else _point(self.chosen),
                "why": self.recommendation.why,
            },
        }


def _point(point: Point) -> dict[str, Any]:
    return {**asdict(point), "identified": point.identified}


def tune(  # noqa: PLR0913 - each is one thing to say about a tuning
    workflow: str,
    step: str,
    *,
    scorer: str | Scorer,
    budget_usd: float | None = None,
    quality_floor: float | None = None,
    since: str | None = None,
    limit: int = 10_000,
    cheap: str | None = None,
    dear: str | None = None,
    human_usd: float = 0.0,
    store: Store | None = None,
) -> Tuning:
    """The cost and the quality of each threshold of a recorded cascade, and which to take for at most ``budget_usd`` a
    run, or for a quality of at least ``quality_floor``.

    ``step`` is the step of kind router that decided. ``scorer`` says how good an answer was: a function of a Given,
    ``module:function``, ``label:NAME`` for the right answer recorded as a score, or the name of a score of the step
    that answered. ``cheap`` and ``dear`` name the steps that answered where they are not below the router's, under the
    names of its candidates. ``human_usd`` is what an answer of a person costs, which no trace knows. Read is the
    configured store, or ``store``. Raises TuningError, StoreError or ConfigError.
    """
    # Here, so that `import router` needs neither a database library nor statistics.
    from router.tuning.curve import curve  # noqa: PLC0415
    from router.tuning.reading import Wanted, read  # noqa: PLC0415
    from tracer import flush  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415
    from tracer.store import Filter  # noqa: PLC0415

    if budget_usd is not None and quality_floor is not None:
        raise TuningError("a budget or a quality floor: with both, one of them would be kept by chance")
    asks = scorer_of(scorer)
    found = Filter.parse({"workflow": workflow, **({"since": since} if since else {})})
    wanted = Wanted(found, step, limit, cheap, dear, round(human_usd * _NUSD))
    if store is None:
        if not flush():
            raise TuningError("what this process recorded is not all in the store yet: try again, or playhead doctor")
        with open_reading() as opened:
            reading = read(opened, wanted, asks)
    else:
        reading = read(store, wanted, asks)
    made = curve(reading.observed)
    return Tuning(
        workflow=workflow,
        step=step,
        cheap=reading.cheap,
        dear=reading.dear,
        place=reading.place,
        curve=made,
        observed=tuple(reading.observed),
        left=dict(reading.left),
        recommendation=_recommended(made, budget_usd, quality_floor),
        is_human=reading.is_human,
    )


def _recommended(made: Curve, budget_usd: float | None, floor: float | None) -> Recommendation | None:
    from router.tuning.recommend import above_floor, within_budget  # noqa: PLC0415

    if budget_usd is not None:
        return within_budget(made, round(budget_usd * _NUSD))
    return None if floor is None else above_floor(made, floor)
