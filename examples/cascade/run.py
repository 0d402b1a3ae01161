"""Tune a cascade of two real models from its own traces, and see whether what is known of them comes back.

    python examples/cascade/run.py [--questions 665] [--plot curve.svg]

No key and no network: a server on 127.0.0.1 gives what both models really answered (../backtest/data/SOURCE.md).
Recorded are three weeks of the same questions: one that asks both models always, whose curve must run through the
known points; one as it would stand in production, which explores a fifth of what it is sure of; and one that explores
nothing, whose gap a shadow replay then fills.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

# behind this folder: both have a pipeline
sys.path.append(str(Path(__file__).resolve().parent.parent / "backtest"))

from answers import STRONG, WEAK, Provider, Row, rows
from rich.console import Console

import tracer
from replay.backtest.shadow import shadow
from router.tuning.curve import Curve, Point
from router.tuning.plot import svg
from router.tuning.shadows import Shadow, drawn, keep, unseen
from router.tuning.table import tuning_text
from router.tuning.tune import Tuning, tune
from tracer.reading import open_reading

ACCEPT = 0.7
FLOOR = 0.8
SCORER = "scoring:is_right"
#: So many of the questions that the third week was sure of are replayed with the dear model.
SLICE = 150


@dataclass(frozen=True)
class Known:
    """A point that the data itself gives: how many are right, and what all of it costs, in billionths of a dollar."""

    right: int
    nusd: int


def known(asked: list[Row], model: str, prices: tuple[int, int]) -> Known:
    """Counted in the data, without anything of ours; a token for every four characters, as the server bills."""
    into, out = prices
    nusd = sum(len(row.question) // 4 * into + len(row.texts[model]) // 4 * out for row in asked)
    return Known(sum(row.correct[model] for row in asked), nusd)


def record(home: Path, asked: list[Row], *, explore: float) -> Tuning:
    from pipeline import solve  # noqa: PLC0415 - it reads MODEL_URL

    tracer.shutdown()
    tracer.configure(home=home, database_url=str(home / "playhead.db"))
    for row in asked:
        solve(row.question, row.gold, ACCEPT, explore)
    return tuned()


def tuned() -> Tuning:
    if not tracer.flush(timeout_s=300):
        sys.exit("the store does not keep up: half a week would be half the truth")
    return tune("solve", "cascade", scorer=SCORER, quality_floor=FLOOR)


def fill(told: Tuning, number: int) -> Tuning:
    """What ``playhead tune --fill`` does."""
    runs = unseen(told.observed)
    replays = shadow(drawn(runs, number, seed=1), told.place, told.dear, 10.0)
    with open_reading() as store:
        made = Shadow(len(runs), max(run.started_ns for run in told.observed), replays)
        keep(store, told.workflow, told.step, "first", made)
    return tuned()


def holds(found: Curve, truth: Curve) -> tuple[int, int, int]:
    """At how many thresholds the interval holds what the first week says, of how many identified, of how many."""
    pairs = [(point, truth.at(point.accept)) for point in found.points]
    both = [(point, true) for point, true in pairs if point.identified and true is not None]
    held = sum(_low(point) <= (true.quality.value or 0) <= _high(point) for point, true in both)
    return held, len(both), len(pairs)


def _low(point: Point) -> float:
    return 0.0 if point.quality.low is None else point.quality.low


def _high(point: Point) -> float:
    return 1.0 if point.quality.high is None else point.quality.high


def is_known(point: Point, is_it: Known, runs: int) -> bool:
    same = point.quality.value is not None and round(point.quality.value * runs) == is_it.right
    return same and point.cost.value is not None and round(point.cost.value * runs) == is_it.nusd


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--questions", type=int, default=len(rows()))
    options.add_argument("--plot", type=Path)
    told = options.parse_args()
    asked = rows()[: told.questions]
    console = Console(highlight=False, width=160)
    cheap, dear = known(asked, WEAK, (600, 600)), known(asked, STRONG, (10_000, 30_000))
    with Provider() as provider, tempfile.TemporaryDirectory() as name:
        os.environ["MODEL_URL"] = provider.url
        both = record(Path(name) / "both", asked, explore=1.0)
        console.print("asked both, always", style="bold underline")
        console.print(tuning_text(both, scorer=SCORER))
        some = record(Path(name) / "some", asked, explore=0.2)
        none = record(Path(name) / "none", asked, explore=0.0)
        filled = fill(none, min(SLICE, len(asked) // 4))
        tracer.shutdown()
    for title, week in (("explored a fifth", some), ("explored nothing", none), ("filled by a shadow replay", filled)):
        # on the same thresholds, which are confidences of the same answers
        held, identified, of = holds(week.curve, both.curve)
        print(f"\n{title}, {week.curve.runs} runs: {identified} of {of} thresholds identified, ", end="")
        print(f"{held} of them hold what the first week says")
        end = week.curve.dear_alone
        print(f"  dear alone: {end.why_not or f'{end.quality.value:.1%} ({_low(end):.1%} to {_high(end):.1%})'}")
    if told.plot is not None:
        told.plot.write_text(svg(both.curve, title="Mixtral-8x7B, then GPT-4", chosen=both.chosen), encoding="utf-8")
    number, curve = len(asked), both.curve
    print(f"\nknown from the data: {cheap.right} and {dear.right} of {number} right, ", end="")
    print(f"${cheap.nusd / 1e9:.4f} and ${dear.nusd / 1e9:.4f}")
    through = is_known(curve.cheap_alone, cheap, number) and is_known(curve.dear_alone, dear, number)
    print(f"the curve runs {'through both points' if through else 'PAST them'}")
    sys.exit(0 if through else 1)


if __name__ == "__main__":
    main()
