"""The overview's cards and tables. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Iterator, Sequence

from tracer import format as fmt
from tracer.stats.intervals import Interval
from tracer.stats.rows import ModelRow, Row, Runs, StepRow
from tracer.store import Filter
from web.counting import Window
from web.view.bins import Bin, label_of
from web.view.contexts import Link
from web.view.contexts_of_figures import Card, Cell, Grid, Head, Key
from web.view.figures import (
    UNKNOWN,
    cell,
    interval,
    money,
    number,
    part,
    percent,
    scale,
    sum_of,
    times,
    took,
    usd,
    value_of,
)
from web.view.narrowing import list_href
from web.view.plots import Ground, Series, Value, mark_path, nice, plot
from web.view.scope import figures_href
from web.view.text import one_line

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the overview counts of a window. ``versions`` are the newest first, ``arms`` by role."""

    window: Window
    whole: Runs
    workflows: tuple[Row, ...]
    models: tuple[Row, ...]
    steps: tuple[Row, ...]
    bins: tuple[Bin, ...]
    #: What a bin is called: ``hour``, ``day``.
    called: str
    versions: tuple[str, ...]
    arms: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Rate:
    title: str
    of: Callable[[Runs | Bin], Interval]
    status: str = ""
    note: str = ""
    bad: bool = False


_RATES = (
    _Rate("Completion", lambda one: one.completion, "completed", "of the runs that ended"),
    _Rate("Errors", lambda one: one.errors, "failed", "of the runs that ended", bad=True),
    _Rate("Fallback", lambda one: one.fallback, note="another target than the first answered"),
    _Rate("Escalation", lambda one: one.escalation, note="a human was asked"),
    _Rate("Retries", lambda one: one.retry, note="a model call was sent again"),
)


def cards_of(found: Figures) -> tuple[Card, ...]:
    ground = ground_of(found)
    return (
        *(_rate_card(rate, found, ground) for rate in _RATES),
        _latency_card(found, ground),
        _time_card(found, ground),
        *_cost_cards(found, ground),
        _count_card(found, ground),
    )


def ground_of(found: Figures) -> Ground:
    bins, wanted = found.bins, found.window.counted
    width = bins[0].until_ns - bins[0].since_ns if bins else 0
    return Ground(
        labels=tuple(label_of(each.since_ns, width) for each in bins),
        hrefs=tuple(_bin_href(wanted, each) for each in bins),
        heads=tuple(f"{label_of(each.since_ns, width, long=True)}, {fmt.plural(each.runs, 'run')}" for each in bins),
        ends=(label_of(bins[0].since_ns, width), label_of(bins[-1].since_ns, width) if len(bins) > 1 else "")
        if bins
        else ("", ""),
    )


def _bin_href(wanted: Filter, each: Bin, status: str = "") -> str:
    since_ns = max(each.since_ns, wanted.since_ns or 0)
    until_ns = min(each.until_ns, wanted.until_ns or each.until_ns)
    return list_href(_with_status(replace(wanted, since=None, since_ns=since_ns, until_ns=until_ns), status))


def _with_status(wanted: Filter, status: str) -> Filter:
    return Filter.read(f"{replace(wanted, statuses=()).query}&status={status}")[0] if status else wanted


def _rate_card(rate: _Rate, found: Figures, ground: Ground) -> Card:
    whole = rate.of(found.whole)
    values = tuple(_value(rate.of(each)) for each in found.bins)
    highest = max((each.high or 0.0 for each in values if each.value is not None), default=0.0)
    top = 1.0 if rate.status == "completed" else min(1.0, nice(max(0.02, highest)))
    hrefs = tuple(_bin_href(found.window.counted, each, rate.status) for each in found.bins)
    return Card(
        title=rate.title,
        value=value_of(whole, percent),
        interval=interval(whole, percent),
        tone="bad" if rate.bad and whole.value else "",
        href=list_href(_with_status(found.window.counted, rate.status)) if rate.status else "",
        note=rate.note,
        keys=(),
        plot=plot(rate.title, replace(ground, hrefs=hrefs), [Series("rate", values)], percent, top=top, tick=scale),
    )


def _value(found: Interval) -> Value:
    return Value(found.value, found.low, found.high) if found.value is not None else Value(None)


def _latency_card(found: Figures, ground: Ground) -> Card:
    names = ("p50", "p95", "p99")
    whole = found.whole.latency
    series = [Series(name, tuple(Value(getattr(each.latency, name).value) for each in found.bins)) for name in names]
    keys = tuple(_key(name, value_of(getattr(whole, name), took)) for name in names)
    return Card(
        "Time",
        value_of(whole.p50, took),
        interval(whole.p50, took),
        "",
        "",
        "from beginning to end, p50 first",
        keys,
        plot("Time", ground, series, took),
    )


def _time_card(found: Figures, ground: Ground) -> Card:
    time = found.whole.time
    series = [
        Series("models", tuple(Value(each.model_share) for each in found.bins)),
        Series("orchestration", tuple(Value(each.own_share) for each in found.bins)),
    ]
    all_ns = time.models_ns + time.outside_ns + time.own_ns
    keys = [_key("models", percent(time.models_ns / all_ns)), _key("orchestration", percent(time.own_ns / all_ns))]
    outside = f"tools and humans {percent(time.outside_ns / all_ns)}" if time.outside_ns else ""
    return Card(
        "Time in models",
        value_of(time.model_share, percent),
        interval(time.model_share, percent),
        "",
        "",
        f"of the time of runs; {outside}" if outside else "of the time of runs",
        tuple(keys) if all_ns else (),
        plot("Time", ground, series, percent, top=1.0, tick=scale),
    )


def _key(name: str, value: str) -> Key:
    return Key(name, mark_path(name, 6, 6, 3.4), value)


def _cost_cards(found: Figures, ground: Ground) -> Iterator[Card]:
    whole, bins = found.whole.cost, found.bins
    note = f"{fmt.plural(whole.unpriced, 'run')} with an unknown price left out" if whole.unpriced else ""
    unknown = tuple(each.unpriced == each.runs > 0 for each in bins)
    means = Series("rate", tuple(Value(each.mean_nusd) for each in bins))
    yield Card(
        "Cost per run",
        value_of(whole.mean, usd),
        interval(whole.mean, usd),
        "",
        "",
        note or "the mean",
        (),
        plot("Cost per run", ground, [means], usd, unknown=unknown),
    )
    total = money(whole, found.whole.traces)
    sums = Series(
        "sum",
        tuple(
            Value(each.cost_nusd if each.runs and not hidden else None)
            for each, hidden in zip(bins, (each.unpriced > 0 and not each.cost_nusd for each in bins), strict=True)
        ),
    )
    floors = tuple(each.unpriced > 0 for each in bins)
    yield Card(
        "Cost",
        total.text,
        "",
        total.tone,
        "",
        total.title if whole.unpriced else f"in all, by {found.called}",
        (),
        plot("Cost", ground, [sums], usd, bars=True, unknown=floors),
    )


def _count_card(found: Figures, ground: Ground) -> Card:
    counts = Series("count", tuple(Value(float(each.runs)) for each in found.bins))
    told = ", ".join(f"{count:,} {status}" for status, count in sorted(found.whole.statuses.items()))
    return Card(
        "Runs",
        f"{found.whole.traces:,}",
        "",
        "",
        list_href(found.window.counted),
        told,
        (),
        plot("Runs", ground, [counts], number, bars=True),
    )


def grids_of(found: Figures) -> tuple[Grid, ...]:
    grids = [_workflows(found)] if len(found.workflows) > 1 else []
    return (*grids, _models(found), _steps(found), _over_time(found))


def run_cells(row: Runs, wanted: Filter) -> tuple[Cell, ...]:
    failed = list_href(_with_status(wanted, "failed")) if row.errors.value else ""
    return (
        Cell(f"{row.traces:,}", href=list_href(wanted)),
        cell(row.completion, percent),
        cell(row.errors, percent, href=failed, bad=True),
        cell(row.fallback, percent),
        cell(row.escalation, percent),
        *times(row.latency),
        cell(row.time.model_share, percent),
        money(row.cost, row.traces),
        cell(row.cost.mean, usd)
        if row.cost.mean.value is not None
        else Cell(UNKNOWN, "no price is known", tone="warn"),
    )


_RUN_HEADS = tuple(
    map(
        Head,
        ("Runs", "Completed", "Errors", "Fallback", "Escalated", "p50", "p95", "p99", "In models", "Cost", "Per run"),
    )
)


def _workflows(found: Figures) -> Grid:
    rows = []
    for row in found.workflows:
        assert isinstance(row, Runs)
        wanted = replace(found.window.counted, workflow=row.name)
        href = figures_href("/overview", replace(found.window.asked, workflow=row.name), most=found.window.most)
        rows.append((Cell(one_line(row.name, 60), href=href), *run_cells(row, wanted)))
    return Grid("By workflow", (Head("Workflow", number=False), *_RUN_HEADS), tuple(rows))


def _models(found: Figures) -> Grid:
    rows = [row for row in found.models if isinstance(row, ModelRow)]
    total = sum(row.cost.total_nusd for row in rows)
    cells = tuple(
        (
            Cell(one_line(row.name, 60), href=list_href(replace(found.window.counted, model=row.name))),
            Cell(f"{row.calls:,}"),
            cell(row.errors, percent, bad=True),
            *times(row.latency, p99=False),
            money_share(row.cost.total_nusd, total, row.cost.unpriced, row.calls),
            cell(row.cost.mean, usd)
            if row.cost.mean.value is not None
            else Cell(UNKNOWN, "no price is known", tone="warn"),
        )
        for row in sorted(rows, key=lambda row: (-row.cost.total_nusd, -row.calls, row.name))[:_SHOWN]
    )
    heads = (Head("Model", number=False), *map(Head, ("Calls", "Errors", "p50", "p95", "Cost", "Per call")))
    more = Link("all about models and prices", figures_href("/models", found.window.asked, most=found.window.most))
    return Grid("By model", heads, cells, more=more, note="" if cells else "No model was called.")


def money_share(nusd: int, total: int, unpriced: int, of: int) -> Cell:
    return sum_of(nusd, unpriced=unpriced, of=of, what="calls", share=part(nusd, total))


def _steps(found: Figures) -> Grid:
    # the root of a run holds all the others, and says nothing about them
    rows = [row for row in found.steps if isinstance(row, StepRow) and "/" in row.name]
    total = found.whole.cost.total_nusd
    cells = tuple(
        (
            _step_name(row.name, found),
            Cell(f"{row.runs:,}"),
            cell(row.errors, percent, bad=True),
            *times(row.latency, p99=False),
            Cell(took(row.total_ns)),
            Cell("") if row.cost_nusd is None else step_cost(row, total),
        )
        for row in sorted(rows, key=lambda row: -row.total_ns)[:_SHOWN]
    )
    heads = (Head("Step", number=False), *map(Head, ("Times", "Errors", "p50", "p95", "Time in all", "Cost")))
    more = Link("all steps", figures_href("/steps", found.window.asked, most=found.window.most))
    return Grid(
        "By step, those that took longest", heads, cells, more=more, note="" if cells else "No step was recorded."
    )


def _step_name(path: str, found: Figures) -> Cell:
    """A step by its path within its workflow."""
    workflow, _, inner = path.partition("/")
    of_step = replace(found.window.counted, workflow=workflow, step=inner.rpartition("/")[2])
    return Cell(one_line(inner, 70), path, list_href(of_step))


def step_cost(row: StepRow, total: int) -> Cell:
    found, of = row.cost_nusd or 0, part(row.cost_nusd or 0, total)
    if not row.unpriced:
        return Cell(usd(found), f"${found / 1e9:.9f}", share=of)
    reason = f"{fmt.plural(row.unpriced, 'model call')} in it without a known price"
    return Cell(f"≥ {usd(found)}" if found else UNKNOWN, reason, tone="warn", share=of)


def _over_time(found: Figures) -> Grid:
    ground = ground_of(found)
    heads = ("Runs", "Completed", "Errors", "Fallback", "Escalated", "p50", "p95", "p99", "Cost", "Per run")
    rows = tuple(
        (
            Cell(label, href=href),
            Cell(f"{each.runs:,}"),
            *(cell(one, percent) for one in (each.completion, each.errors, each.fallback, each.escalation)),
            *times(each.latency),
            sum_of(each.cost_nusd, unpriced=each.unpriced, of=each.runs, what="runs"),
            Cell("" if each.mean_nusd is None else usd(each.mean_nusd)),
        )
        for each, label, href in zip(found.bins, ground.labels, ground.hrefs, strict=True)
        if each.runs
    )
    title = f"The plots as a table, by {found.called} (UTC)"
    return Grid(title, (Head("From", number=False), *map(Head, heads)), rows, folded=True)


def versions_of(pairs: Sequence[tuple[int, str | None]]) -> tuple[str, ...]:
    """The versions, the last one to appear first, of (beginning, version) of each run."""
    newest: dict[str, int] = {}
    for started_ns, version in pairs:
        if version and "," not in version:
            newest[version] = max(newest.get(version, 0), started_ns)
    return tuple(sorted(newest, key=lambda name: -newest[name]))
