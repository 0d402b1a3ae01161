"""A tuning curve as a page shows it: a drawing over thresholds, a table, and one threshold in words. Pure."""

from __future__ import annotations

import math
from typing import Callable, Iterator, Sequence
from urllib.parse import urlencode

from router.tuning.curve import Curve, Point, curve
from router.tuning.recommend import Recommendation
from router.tuning.tune import Tuning
from tracer import format as fmt
from tracer.stats.intervals import Estimate
from web.view.contexts_of_routes import At, CurveRow, Drawing, Line, Tuned

_WIDE, _LEFT, _RIGHT = 720.0, 60.0, 712.0
#: Top and bottom of the frames, quality above cost.
_FRAMES = ((14.0, 150.0), (176.0, 290.0))
_HIGH = 312.0
_LINES = 3


def tuned_view(told: Tuning, accept: float, found: Recommendation | None, kept: Sequence[tuple[str, str]]) -> Tuned:
    """The curve, with ``accept`` chosen on it; ``kept`` is sent along by every link."""
    recommended = None if found is None else found.point
    point = at(told, accept)
    return Tuned(
        sentence=f"{told.cheap} first, {told.dear} when unsure: {fmt.plural(told.curve.runs, 'run')}.",
        left=tuple(f"{fmt.plural(number, 'trace')} left out: {why}" for why, number in told.left.items()),
        drawing=drawing(told.curve, accept, recommended),
        rows=tuple(_rows(told.curve, recommended, accept, kept)),
        at=_at(point, told),
        slider=("0", f"{_end(told.curve):.4g}", _written(accept)),
        recommended="" if found is None else _recommendation(found),
        recommended_href="" if recommended is None else _href(kept, recommended.accept),
    )


def at(told: Tuning, accept: float) -> Point:
    """What any threshold would have come to, one of the table or not."""
    found = curve(told.observed, (accept,)).at(accept)
    assert found is not None
    return found


def start(told: Tuning, found: Recommendation | None) -> float:
    """The threshold to show first: the recommended one, the one in force, or the middle one."""
    if found is not None and found.point is not None:
        return found.point.accept
    points = told.curve.points
    return told.curve.current[0] if told.curve.current else points[len(points) // 2].accept


def _recommendation(found: Recommendation) -> str:
    head = "No recommendation" if found.point is None else f"Recommended: accept {found.point.accept:.4g}"
    return f"{head}: {found.why}."


def _at(point: Point, told: Tuning) -> At:
    facts = [(f"asks {told.dear}", _percent(point.escalated))]
    if point.why_not is None:
        facts += [
            ("quality", quality(point.quality)),
            ("cost of a run", cost(point.cost) or "unknown: a price is"),
            ("worth", fmt.plural(round(point.effective), "run")),
        ]
    return At(_written(point.accept), tuple(facts), point.why_not or "")


def _rows(
    found: Curve, recommended: Point | None, accept: float, kept: Sequence[tuple[str, str]]
) -> Iterator[CurveRow]:
    for point in found.points:
        words = [] if point.why_not is None else [point.why_not]
        words += ["cheap alone"] if point is found.cheap_alone else []
        words += ["in force"] if point.accept in found.current else []
        words += ["recommended"] if recommended is not None and point.accept == recommended.accept else []
        yield _row(point, _written(point.accept), _href(kept, point.accept), words, is_chosen=point.accept == accept)
    yield _row(found.dear_alone, "", "", ["dear alone, without asking the cheap one"], is_chosen=False)


def _row(point: Point, accept: str, href: str, words: Sequence[str], *, is_chosen: bool) -> CurveRow:
    known = point.identified
    return CurveRow(
        accept=accept,
        href=href,
        asks=_percent(point.escalated),
        quality=quality(point.quality) if known else "not identified",
        cost=(cost(point.cost) or "unknown") if known else "",
        worth=f"{point.effective:,.0f}" if known else "",
        mark="; ".join(words),
        chosen=is_chosen,
    )


def _href(kept: Sequence[tuple[str, str]], accept: float) -> str:
    return "/thresholds?" + urlencode([*kept, ("accept", _written(accept))])


def _written(accept: float) -> str:
    """All of its digits, so that the same threshold is meant."""
    return repr(round(accept, 12)).removesuffix(".0")


def quality(found: Estimate) -> str:
    return _with_interval(found, _percent)


def cost(found: Estimate) -> str:
    return _with_interval(found, lambda nusd: fmt.dollars(round(nusd)))


def _with_interval(found: Estimate, words: Callable[[float], str]) -> str:
    if found.value is None:
        return ""
    if found.low is None and found.high is None:
        return words(found.value)
    low, high = ("?" if bound is None else words(bound) for bound in (found.low, found.high))
    return f"{words(found.value)} ({low} to {high})"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _end(found: Curve) -> float:
    return found.points[-1].accept


def drawing(found: Curve, accept: float, recommended: Point | None) -> Drawing:
    """Quality above cost, over thresholds from cheap alone to one that accepts nothing."""
    end, runs = _end(found), _runs_priced(found.points)
    marks = [(_x(value, end), "in force", "force") for value in found.current[:1]]
    if recommended is not None:
        marks.append((_x(recommended.accept, end), "recommended", "taken"))
    frames = tuple(
        line
        for line in (
            _frame(found.points, "quality", lambda point: point.quality, _FRAMES[0], _percent_tick),
            _frame(found.points, _cost_name(runs), lambda point: point.cost, _FRAMES[1], _dollar_ticks(runs)),
        )
        if line is not None
    )
    unknown = tuple(_unknown(found.points))
    return Drawing(
        width=_WIDE,
        height=_HIGH,
        left=_LEFT,
        right=_RIGHT,
        label=_label(found),
        frames=frames,
        unknown=unknown,
        ticks=tuple((_x(value, end), f"{value:g}") for value in _even(end)),
        marks=tuple(marks),
        cursor=_x(accept, end),
    )


def _label(found: Curve) -> str:
    known = sum(point.identified for point in found.points)
    return f"Quality and cost of a run over thresholds; {known} of {len(found.points)} thresholds are identified"


def _x(accept: float, end: float) -> float:
    share = min(max(accept / end, 0.0), 1.0) if end else 0.0
    return round(_LEFT + (_RIGHT - _LEFT) * share, 1)


def _unknown(points: Sequence[Point]) -> Iterator[tuple[float, float, str]]:
    """Where nobody knows: from the last threshold that is identified to the next one that is."""
    end = points[-1].accept
    for run in _runs(points, is_known=False):
        first, last = run[0], run[-1]
        begin = points[max(0, first - 1)].accept
        until = points[min(len(points) - 1, last + 1)].accept
        why = points[last].why_not or ""
        yield _x(begin, end), round(_x(until, end) - _x(begin, end), 1), why


def _runs(points: Sequence[Point], *, is_known: bool) -> list[list[int]]:
    runs: list[list[int]] = []
    for at_index, point in enumerate(points):
        if point.identified is is_known:
            if runs and runs[-1][-1] == at_index - 1:
                runs[-1].append(at_index)
            else:
                runs.append([at_index])
    return runs


def _frame(
    points: Sequence[Point],
    name: str,
    of: Callable[[Point], Estimate],
    place: tuple[float, float],
    words: Callable[[float], str],
) -> Line | None:
    """One figure over the thresholds; None where it is nowhere known."""
    known = [of(point) for point in points if of(point).value is not None]
    if not known:
        return None
    low, high = _reach(known, is_share=name == "quality")
    top, bottom = place
    end = points[-1].accept

    def y(value: float) -> float:
        return round(bottom - (bottom - top) * (value - low) / (high - low), 1)

    bands, lines, dots = [], [], []
    for run in _runs(points, is_known=True):
        seen = [points[index] for index in run if of(points[index]).value is not None]
        if not seen:
            continue
        places = [(_x(point.accept, end), of(point)) for point in seen]
        upper = [(x, y(_or(found.high, found.value))) for x, found in places]
        lower = [(x, y(_or(found.low, found.value))) for x, found in reversed(places)]
        bands.append(_path([*upper, *lower]))
        lines.append(_path([(x, y(found.value or 0.0)) for x, found in places]))
        shown = quality if name == "quality" else cost
        dots += [
            (_x(point.accept, end), y(of(point).value or 0.0), f"accept {point.accept:.4g}: {shown(of(point))}")
            for point in seen
        ]
    # what costs nothing anywhere has one line, and no fractions of nothing above it
    steps = range(4) if any(_or(found.high, found.value) for found in known) else (0,)
    ticks = tuple((y(value), words(value)) for value in (low + (high - low) * step / _LINES for step in steps))
    return Line(name, top, bottom - top, tuple(bands), tuple(lines), tuple(dots), ticks)


def _reach(known: Sequence[Estimate], *, is_share: bool) -> tuple[float, float]:
    lows = [_or(found.low, found.value) for found in known]
    highs = [_or(found.high, found.value) for found in known]
    if is_share:
        return max(0.0, min(lows) - 0.02), min(1.0, max(highs) + 0.02)
    return 0.0, (max(highs) * 1.05) or 1.0


def _or(bound: float | None, value: float | None) -> float:
    return bound if bound is not None else value or 0.0


def _path(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)


def _percent_tick(value: float) -> str:
    return f"{100 * value:.0f} %"


def _dollar_ticks(runs: int) -> Callable[[float], str]:
    return lambda nusd: fmt.dollars(round(nusd * runs))


def _cost_name(runs: int) -> str:
    return "cost of a run" if runs == 1 else f"cost of {runs:,} runs"


def _runs_priced(points: Sequence[Point]) -> int:
    """Of how many runs the costs are drawn, so that their figures stay short."""
    most_nusd = max((point.cost.value or 0.0 for point in points), default=0.0)
    return 1 if most_nusd >= 1e6 or not most_nusd else 1_000 if most_nusd >= 1e3 else 1_000_000


def _even(end: float) -> list[float]:
    """Some four to eight round numbers from 0 to the end."""
    if end <= 0:
        return [0.0]
    power = 10.0 ** math.floor(math.log10(end / 4))
    step = max(round(power * times, 12) for times in (1, 2, 2.5, 5) if power * times <= end / 4)
    return [round(step * at_index, 12) for at_index in range(int(end / step + 1e-9) + 1)]
