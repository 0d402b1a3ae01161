"""Two sides beside each other: each figure, and in a sentence what the difference is and how sure. Pure."""

from __future__ import annotations

from typing import Iterator

from tracer import format as fmt
from tracer.stats.intervals import Estimate
from tracer.stats.rows import Compared, ModelRow, Runs, Stats, StepRow
from web.view.contexts import Link
from web.view.contexts_of_figures import Cell, Grid, Head, Sides
from web.view.figures import cell, percent, took, usd
from web.view.plots import Words
from web.view.text import one_line

#: Figure -> how one says that there is less and more of it, and whether less is better (None: neither is).
_WORDS: dict[str, tuple[str, str, bool | None]] = {
    "completion": ("fewer complete", "more complete", False),
    "errors": ("fewer failures", "more failures", True),
    "fallback": ("fewer fallbacks", "more fallbacks", True),
    "escalation": ("fewer escalations", "more escalations", True),
    "retry": ("fewer retries", "more retries", True),
    "p50": ("faster", "slower", True),
    "p95": ("faster", "slower", True),
    "p99": ("faster", "slower", True),
    "model share": ("less of the time in models", "more of the time in models", None),
    "orchestration share": ("less of the time outside models and tools", "more outside models and tools", True),
    "cost": ("cheaper", "dearer", True),
}
_LABELS = {"completion": "Completion", "errors": "Errors", "fallback": "Fallback", "escalation": "Escalation"}
_LABELS |= {"retry": "Retries", "model share": "Time in models", "orchestration share": "Orchestration"}
_LABELS |= {"cost": "Cost per run", "p50": "Time, p50", "p95": "Time, p95", "p99": "Time, p99"}
_NOT_DRAWN = "Nobody drew lots for these sides: whatever else changed is in the difference too."
_DRAWN = "Arms are drawn, so a difference is an effect of the arm."


def sides_of(stats: Stats, compare: str, close: str) -> Sides:
    """What ``--compare`` says, as tables."""
    assert stats.sides is not None
    first, second = stats.sides
    rows = stats.compared if len(stats.compared) > 2 else stats.compared[:1]
    note = _DRAWN if compare.startswith("arm:") else _NOT_DRAWN
    return Sides(
        title=one_line(f"{first[:1].upper()}{first[1:]}, and {second}", 120),
        verdict=_verdict(stats.compared[0]),
        grids=tuple(_grid(row, stats.sides) for row in rows),
        note=f"{note} Of twenty figures without any difference one is called different.",
        close=Link("stop comparing", close),
    )


def _verdict(row: Compared) -> str:
    """The figures of all runs that differ, in a sentence."""
    if row.before is None or row.after is None or not (_number(row.before) and _number(row.after)):
        return "There is nothing to compare: one side has no run."
    found = [(name, told(name, each)[0]) for name, each in row.differences.items()]
    sure = [f"{text} ({_LABELS[name]})" for name, text in found if not text.startswith(("can't tell", "too few"))]
    return f"On the second side: {'; '.join(sure)}." if sure else "No figure differs for certain."


def _grid(row: Compared, sides: tuple[str, str]) -> Grid:
    title = "All of them" if row.name == "all" else one_line(row.name, 80)
    if row.before is None or row.after is None:
        return Grid(title, (), (), note=f"Only {sides[row.before is None]}.")
    heads = (
        Head("", number=False),
        *(Head(one_line(side, 40)) for side in sides),
        Head("Difference, with 95 % confidence", number=False),
    )
    return Grid(title, heads, tuple(_rows(row)))


def _rows(row: Compared) -> Iterator[tuple[Cell, ...]]:
    assert row.before is not None
    assert row.after is not None
    before, after = row.before.figures(), row.after.figures()
    yield (Cell("Runs"), *(Cell(f"{_number(each):,}") for each in (row.before, row.after)), Cell(""))
    for name, found in row.differences.items():
        words = words_of(name)
        text, tone = told(name, found)
        yield Cell(_LABELS.get(name, name)), cell(before[name], words), cell(after[name], words), Cell(text, tone=tone)


def _number(row: Runs | StepRow | ModelRow) -> int:
    return row.traces if isinstance(row, Runs) else row.runs if isinstance(row, StepRow) else row.calls


def words_of(name: str) -> Words:
    return took if name in ("p50", "p95", "p99") else usd if name == "cost" else percent


def told(name: str, found: Estimate) -> tuple[str, str]:
    """``fewer failures: −3.2 points, −5.1 to −1.2``, and its tone."""
    if found.value is None or found.low is None or found.high is None:
        return "too few to say", "dim"
    less, more, less_is_better = _WORDS[name]
    numbers = (
        f"{_signed(name, found.value)}, {_signed(name, found.low, bare=True)} to {_signed(name, found.high, bare=True)}"
    )
    if found.low <= 0 <= found.high:
        return f"can't tell: {numbers}", "dim"
    is_less = found.high < 0
    tone = "" if less_is_better is None else "good" if is_less == less_is_better else "bad"
    return f"{less if is_less else more}: {numbers}", tone


def _signed(name: str, value: float, *, bare: bool = False) -> str:
    size = abs(value)
    sign = "−" if value < 0 else "+" if value > 0 else ""
    if name in ("p50", "p95", "p99"):
        return f"{sign}{fmt.duration(round(size))}"
    if name == "cost":
        return f"{sign}{fmt.dollars(round(size))}"
    return f"{sign}{100 * size:.1f}" + ("" if bare else " points")
