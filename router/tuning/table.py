"""A tuning for a terminal."""

from __future__ import annotations

import math
import shlex
from statistics import fmean

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from router.tuning.curve import Point
from router.tuning.plot import sparkline
from router.tuning.tune import Tuning
from tracer import format as form
from tracer.stats.table import shown
from tracer.terminal import inert

#: So many drawn at random tell a share to within five points, whatever it is: z²/4/0.05².
_ENOUGH = 385


def tuning_text(told: Tuning, *, scorer: str) -> RenderableType:
    """The curve, what is not known and how to learn it, and the recommendation."""
    curve = told.curve
    names = f"{told.cheap} first, {told.dear} when unsure"
    parts: list[RenderableType] = [
        Text(inert(f"{told.workflow}/{told.step}: {names}, {form.plural(curve.runs, 'run')}"), style="bold")
    ]
    parts += [
        Text(inert(f"  ! {number:,} traces left out: {why}"), style="yellow") for why, number in told.left.items()
    ]
    parts += [
        Text(f"quality {sparkline(curve.points)}  accept {curve.points[0].accept:g} to {curve.points[-1].accept:g}")
    ]
    parts += [Text(), _table(told)]
    if told.curve.gap is not None:
        parts += [Text(), Text(inert(gap_words(told, scorer)))]
    if told.recommendation is not None:
        point = told.chosen
        head = "no recommendation" if point is None else f"recommended: accept {point.accept:.4g}"
        parts += [Text(), Text(inert(f"{head}: {told.recommendation.why}"), style="bold")]
    return Group(*parts)


def _table(told: Tuning) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("accept", "asks the dear one", "quality", "cost per run", "worth runs", ""):
        table.add_column(name, justify="left" if not name else "right", no_wrap=bool(name))
    for point in told.curve.points:
        table.add_row(f"{point.accept:.4g}", f"{point.escalated:.1%}", *_cells(point), _mark(point, told))
    table.add_row("", "always, alone", *_cells(told.curve.dear_alone), "dear alone")
    return table


def _cells(point: Point) -> tuple[str, str, str]:
    if not point.identified:
        return "not identified", "", ""
    return shown("quality", point.quality), shown("cost", point.cost), f"{point.effective:,.0f}"


def _mark(point: Point, told: Tuning) -> str:
    words = [] if point.why_not is None else [point.why_not]
    if point is told.curve.cheap_alone:
        words.append("cheap alone")
    if point.accept in told.curve.current:
        words.append("in force")
    if told.chosen is not None and point.accept == told.chosen.accept:
        words.append("recommended")
    return inert("; ".join(words))


def gap_words(told: Tuning, scorer: str) -> str:
    """What nobody saw, and the command that would show it: a random slice, with a budget."""
    gap = told.curve.gap
    assert gap is not None
    runs = form.plural(gap.runs, "run")
    unseen = f"Not seen: the dear answer of {runs} with a confidence of {gap.low:.4g} to {gap.high:.4g}. "
    if told.is_human:
        return f"{unseen}It is a person's, and a replay asks nobody. Explore, or put the threshold higher for a while."
    number = min(gap.runs, _ENOUGH)
    costs = [run.dear_nusd for run in told.observed if run.dear_nusd is not None]
    # A dollar where nothing is known of the price: the command is there to be changed.
    budget = max(0.01, math.ceil(number * fmean(costs) * 1.5 / 1e7) / 100) if costs else 1.0
    where = f"--workflow {shlex.quote(told.workflow)} --step {shlex.quote(told.step)} --scorer {shlex.quote(scorer)}"
    rule = shlex.quote(f"{told.place}={told.dear}")
    workflow = shlex.quote(told.workflow)
    return (
        f"{unseen}A random slice of them, replayed with {told.dear}, would show it:\n"
        f"  playhead tune {where} --fill {number} --budget-usd {budget:g}\n"
        f"It draws them and does for each what this would do for the newest:\n"
        f"  playhead backtest --workflow {workflow} --limit {number} --model {rule} --budget-usd {budget:g}"
    )
