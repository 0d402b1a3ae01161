"""``playhead tune``."""

from __future__ import annotations

import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from router.errors import TuningError
from tracer.cli import as_json, console, print_json

if TYPE_CHECKING:
    from router.tuning.tune import Tuning

#: What replays: it stands on a floor beside this one, so it is brought by an entry point.
_SHADOW = "playhead.shadow"


@click.command("tune")
@click.option("--workflow", required=True, help="The workflow whose cascade it is.")
@click.option("--step", required=True, help="The step of kind router that decided.")
@click.option("--scorer", required=True, help="module:function, label:NAME, or the name of a recorded score.")
@click.option("--cheap", help="The step that gave the cheap answer, if not below the router's.")
@click.option("--dear", help="The step that gave the dear one.")
@click.option("--human-usd", type=click.FloatRange(min=0), default=0.0, help="What an answer of a person costs.")
@click.option("--since", help="Only runs this young: 30m, 12h, 7d.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=10_000, show_default=True, help="The newest.")
@click.option("--budget", type=click.FloatRange(min=0), help="Recommend for at most this many dollars a run.")
@click.option("--floor", type=click.FloatRange(0, 1), help="Recommend for at least this quality.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write the curve as an SVG.")
@click.option("--apply", "role", metavar="ROLE", help="Make the recommended threshold the canary of this role.")
@click.option("--share", type=click.FloatRange(0, 100), default=10.0, show_default=True, help="The canary's percent.")
@click.option("--fill", type=click.IntRange(min=1), help="First replay so many unseen runs with the dear one.")
@click.option("--budget-usd", type=click.FloatRange(min=0), help="What --fill may spend.")
@as_json
def tune_command(  # noqa: PLR0913 - the options of one command
    *,
    budget: float | None,
    floor: float | None,
    plot: Path | None,
    role: str | None,
    share: float,
    fill: int | None,
    budget_usd: float | None,
    as_json: bool,
    **which: Any,
) -> None:
    """Say what each threshold of a recorded cascade would have cost, and how often it would have been right; with 95 %
    intervals, and only where that was seen.
    """
    from router.tuning.plot import svg  # noqa: PLC0415 - so that --help needs no database library
    from router.tuning.table import tuning_text  # noqa: PLC0415
    from router.tuning.tune import tune  # noqa: PLC0415

    if role is not None and budget is None and floor is None:
        raise TuningError("--apply needs to know which threshold: give --budget or --floor")
    if fill is not None:
        _fill(tune(**which), fill, budget_usd)
    told = tune(budget_usd=budget, quality_floor=floor, **which)
    if plot is not None:
        plot.write_text(svg(told.curve, title=f"{told.workflow}/{told.step}", chosen=told.chosen), encoding="utf-8")
    if as_json:
        print_json(told.as_json())
    else:
        console().print(tuning_text(told, scorer=which["scorer"]), soft_wrap=True)
    if role is not None:
        _apply(told, role, share)


def _fill(told: Tuning, number: int, budget_usd: float | None) -> None:
    """Draw, replay, and keep what was drawn."""
    from router.tuning.shadows import Shadow, drawn, keep, unseen  # noqa: PLC0415
    from tracer import flush  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    if budget_usd is None:
        raise TuningError("--fill asks a model that costs money: say how much with --budget-usd")
    point = next(iter(entry_points(group=_SHADOW, name="replay")), None)
    if point is None:
        raise TuningError("nothing that replays is installed: install playhead again")
    if told.is_human:
        raise TuningError(f"{told.dear} is a person: a replay asks nobody, so there is nothing to fill with")
    runs = unseen(told.observed)
    if not runs:
        raise TuningError("the dear answer of every run was seen: there is nothing to fill")
    now_ns = time.time_ns()
    chosen = drawn(runs, number, seed=now_ns)
    replays = point.load()(chosen, told.place, told.dear, budget_usd)
    flush()
    if not replays:
        raise TuningError(
            f"none of {len(chosen)} replays came to its end within ${budget_usd:g}: try one with playhead replay"
        )
    shadow = Shadow(of=len(runs), until_ns=max(run.started_ns for run in told.observed), replays=replays)
    with open_reading() as store:
        keep(store, told.workflow, told.step, str(now_ns), shadow)
    click.echo(f"replayed {len(replays):,} of {len(runs):,} unseen runs with {told.dear}", err=True)


def _apply(told: Tuning, role: str, share: float) -> None:
    from router.tuning.applying import apply  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    if told.chosen is None:
        raise TuningError(f"nothing was applied to {role}: there is no threshold to recommend")
    with open_reading() as store:
        apply(store, role, told.chosen.accept, share=share)
    click.echo(f"{role}: accept {told.chosen.accept:.4g} is its canary now, for {share:g} %", err=True)
