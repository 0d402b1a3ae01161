"""The figures for a terminal: each with its 95 % interval behind it, and a question mark for what nobody knows."""

from __future__ import annotations

from typing import Callable, Iterable, Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tracer import format as form
from tracer.render import one_line
from tracer.stats.intervals import Estimate, Interval
from tracer.stats.rows import Chain, Compared, Latency, ModelRow, Money, Row, Runs, Stats, StepRow

#: Figures in nanoseconds, and in billionths of a dollar; all others are shares.
_TIMES = ("p50", "p95", "p99")
_MONEY = ("cost",)


def stats_text(stats: Stats) -> RenderableType:
    """Everything as one page of text."""
    parts: list[RenderableType] = [
        Text(f"{form.plural(stats.whole.traces, 'run')}: {stats.what}", style="bold"),
        Text(),
    ]
    if stats.sides is None:
        parts.append(_whole(stats.whole))
        if stats.rows:
            parts += [Text(), _TABLES[type(stats.rows[0])](stats.rows)]
        for chain in stats.chains:
            parts += [Text(), *_chain(chain)]
    else:
        parts += [_compared(each, stats.sides) for each in stats.compared]
    return Group(*parts)


def _whole(runs: Runs) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    statuses = ", ".join(f"{number:,} {status}" for status, number in sorted(runs.statuses.items()))
    table.add_row("runs", statuses)
    for name in ("completion", "errors", "fallback", "escalation", "retry"):
        table.add_row(name, shown(name, runs.figures()[name]))
    for name in _TIMES:
        table.add_row(name, shown(name, runs.figures()[name]))
    time = runs.time
    spent = [("models", time.models_ns), ("outside", time.outside_ns), ("orchestration", time.own_ns)]
    table.add_row("time in", ", ".join(f"{name} {form.duration(ns)}" for name, ns in spent))
    table.add_row("model share", shown("model share", time.model_share))
    table.add_row("cost", _total(runs.cost, runs.traces))
    table.add_row("cost per run", shown("cost", runs.cost.mean))
    return table


def _total(cost: Money, of: int) -> str:
    if cost.unpriced == of and not cost.total_nusd:
        return "?" if of else ""
    floor = "≥ " if cost.unpriced else ""
    return f"{floor}{form.dollars(cost.total_nusd)}" + (f" ({cost.unpriced:,} unpriced)" if cost.unpriced else "")


def _grid(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=number > 0, overflow="fold")
    return table


def _runs_table(rows: Sequence[Row]) -> Table:
    table = _grid(
        *("", "runs", "completed", "errors", "fallback", "escalated", "retried", "p50", "p95", "p99", "models", "cost")
    )
    for row in rows:
        assert isinstance(row, Runs)
        rates = (row.completion, row.errors, row.fallback, row.escalation, row.retry)
        cells = [f"{row.traces:,}", *map(_percent, (rate.value for rate in rates)), *_latency(row.latency)]
        cells += [_percent(row.time.model_share.value), _total(row.cost, row.traces)]
        table.add_row(one_line(row.name, 60), *cells)
    return table


def _steps_table(rows: Sequence[Row]) -> Table:
    table = _grid("step", "kind", "times", "errors", "p50", "p95", "p99", "in all", "cost", "without it")
    for row in rows:
        assert isinstance(row, StepRow)
        cells = [row.kind, f"{row.runs:,}", _percent(row.errors.value), *_latency(row.latency)]
        cells += [form.duration(row.total_ns), _step_cost(row), _without(row)]
        table.add_row(one_line(row.name, 60), *cells)
    return table


def _step_cost(row: StepRow) -> str:
    if row.cost_nusd is None:
        return ""
    if row.unpriced:
        return f"≥ {form.dollars(row.cost_nusd)}" if row.cost_nusd else "?"
    return form.dollars(row.cost_nusd)


def _without(row: StepRow) -> str:
    if row.changed is None:
        return "not identified"
    return f"{row.changed.count:,} of {row.changed.of:,} would differ"


def _models_table(rows: Sequence[Row]) -> Table:
    table = _grid("model", "calls", "errors", "retries", "p50", "p95", "p99", "cost", "cost per call")
    for row in rows:
        assert isinstance(row, ModelRow)
        cells = [f"{row.calls:,}", _percent(row.errors.value), _percent(row.retries.value), *_latency(row.latency)]
        cells += [_total(row.cost, row.calls), shown("cost", row.cost.mean)]
        table.add_row(one_line(row.name, 60), *cells)
    return table


_TABLES: Mapping[type[Row], Callable[[Sequence[Row]], Table]] = {
    Runs: _runs_table,
    StepRow: _steps_table,
    ModelRow: _models_table,
}


def _latency(latency: Latency) -> Iterator[str]:
    for each in (latency.p50, latency.p95, latency.p99):
        yield "" if each.value is None else form.duration(round(each.value))


def _compared(row: Compared, sides: tuple[str, str]) -> RenderableType:
    title = Text(one_line(row.name, 80), style="bold")
    if row.before is None or row.after is None:
        return Group(title, Text(f"  only {sides[row.before is None]}"), Text())
    table = _grid("", *sides, "difference", "")
    before, after = row.before.figures(), row.after.figures()
    table.add_row("runs", *(f"{_number(each):,}" for each in (row.before, row.after)), "", "")
    for name, found in row.differences.items():
        table.add_row(
            name, shown(name, before[name]), shown(name, after[name]), shown(name, found, signed=True), verdict(found)
        )
    return Group(title, table, Text())


def _number(row: Row) -> int:
    return row.traces if isinstance(row, Runs) else row.runs if isinstance(row, StepRow) else row.calls


def verdict(found: Estimate) -> str:
    """Whether the interval of a difference leaves zero out."""
    if found.low is None or found.high is None:
        return "too few"
    return "more" if found.low > 0 else "less" if found.high < 0 else "can't tell"


def _chain(chain: Chain) -> Iterable[RenderableType]:
    yield Text(f"chain of {chain.workflow}, score {chain.score}", style="bold")
    table = _grid("step", "score", "right", "end right if it is", "end right if it is not", "difference")
    for link in chain.links:
        shares = (link.right, link.end_if_right, link.end_if_wrong)
        table.add_row(
            one_line(link.path, 60),
            link.score,
            *(shown("", each) for each in shares),
            shown("", link.matters, signed=True),
        )
    yield table
    yield Text(f"at the end right   {shown('', chain.end)}")
    yield Text(f"all steps right    {shown('', chain.all_right)}")
    yield Text(f"product of steps   {shown('', chain.product)}  (if they erred independently)")


def shown(name: str, found: Interval, *, signed: bool = False) -> str:
    """A figure with its interval, in the unit that its name has: ``93.1% (91.0 to 94.8)``."""
    if found.value is None:
        return "?"
    if name in _TIMES:
        words: Callable[[float], str] = lambda value: form.duration(round(value))  # noqa: E731 - one of three
    elif name in _MONEY:
        words = lambda value: form.dollars(round(value))  # noqa: E731
    else:
        words = lambda value: f"{100 * value:.1f}%"  # noqa: E731
    told = [None if value is None else words(value) for value in (found.value, found.low, found.high)]
    plus = "+" if signed and found.value > 0 else ""
    if told[1] is None and told[2] is None:
        return f"{plus}{told[0]}"
    return f"{plus}{told[0]} ({told[1] or '?'} to {told[2] or '?'})"


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{100 * value:.1f}%"
