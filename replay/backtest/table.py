"""A report for a terminal."""

from __future__ import annotations

from typing import Callable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from replay.backtest.outcome import Outcome
from replay.backtest.report import Labels, Report
from tracer import format as form
from tracer.render import one_line
from tracer.stats.intervals import Difference, Share

_MOST_REASONS = 5


def report_text(report: Report, *, most: int = 10) -> RenderableType:
    """The figures with their intervals, what went wrong, and the traces that changed most."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, words in figures(report):
        table.add_row(name, one_line(words, 300))
    parts: list[RenderableType] = [Text(headline(report), style="bold"), Text(), table]
    problems = report.problems()
    for problem, number in problems[:_MOST_REASONS]:
        parts.append(Text(f"  ! {form.plural(number, 'trace')}: {one_line(problem, 300)}", style="yellow"))
    if len(problems) > _MOST_REASONS:
        parts.append(Text(f"  ! and {len(problems) - _MOST_REASONS} other reasons: see --json", style="yellow"))
    if changed := report.most_changed(most):
        parts += [Text(), Text("changed most", style="bold"), _changed(changed)]
    return Group(*parts)


def headline(report: Report) -> str:
    """``backtest 1f2e: 100 of 100 traces with --model draft=b``."""
    traces = form.plural(len(report.traces), "trace")
    return f"backtest {report.backtest_id}: {len(report.outcomes):,} of {traces} with {' '.join(report.rules)}"


def figures(report: Report) -> Iterator[tuple[str, str]]:
    """Each figure's name and what it says."""
    yield "agreement", f"{share_words(report.agreement)} by {report.scorer}"
    mean = report.mean_score
    if mean is not None and report.agreement.value is not None and abs(mean - report.agreement.value) > 1e-9:
        yield "mean score", f"{mean:.3f}"
    if (labels := report.labels) is not None:
        yield "right before", share_words(labels.before)
        yield "right after", share_words(labels.after)
        yield "right, both sides", _split_words(labels)
    yield "cost", _difference_words(report.cost, form.dollars)
    yield "time in calls", _difference_words(report.calls, form.duration)
    failures = report.failures
    yield (
        "failures",
        f"{failures.before:,} before, {failures.after:,} after ({failures.new:,} new, {failures.gone:,} gone)",
    )
    told = [
        (len(report.stopped), "stopped"),
        (len(report.refused), "not replayable"),
        (len(report.unscored), "unscored"),
    ]
    if words := ", ".join(f"{number:,} {word}" for number, word in told if number):
        yield "without a score", words
    yield "spent", _spent(report)
    if report.left:
        traces = form.plural(len(report.left), "trace")
        yield "left", f"{traces}: the budget is spent; go on with --resume {report.backtest_id} --budget-usd MORE"


def _split_words(labels: Labels) -> str:
    sides = {"both": labels.both, "only before": labels.only_before, "only after": labels.only_after}
    split = ", ".join(f"{name} {number:,}" for name, number in sides.items())
    return f"{split}, neither {labels.neither:,}; p = {labels.p:.2g} (McNemar, exact)"


def share_words(found: Share) -> str:
    """``84 of 100, 84.0 % (75.6 % to 89.9 %)``."""
    if found.value is None:
        return "nothing could be compared"
    return f"{found.count:,} of {found.of:,}, {found.value:.1%} ({found.low:.1%} to {found.high:.1%})".replace(
        "%", " %"
    )


def _difference_words(found: Difference, unit: Callable[[int], str]) -> str:
    if not found.pairs:
        return "unknown: no pair of which both sides are known"
    change = f", {found.after / found.before - 1:+.1%}".replace("%", " %") if found.before else ""
    words = f"{unit(found.before)} before, {unit(found.after)} after{change}"
    if found.mean is not None and found.low is not None and found.high is not None:
        words += (
            f"; {unit(round(found.mean))} a trace ({unit(round(found.low))} to {unit(round(found.high))}), "
            f"{form.plural(found.pairs, 'pair')}"
        )
    return words


def _spent(report: Report) -> str:
    words = form.dollars(report.spent_nusd)
    if report.unpriced:
        words = f"at least {words} ({form.plural(report.unpriced, 'call')} without a known price)"
    if report.judge_nusd:
        words += f", {form.dollars(report.judge_nusd)} of it for the judge"
    return words if report.budget_nusd is None else f"{words} of {form.dollars(report.budget_nusd)}"


def _changed(outcomes: tuple[Outcome, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("trace", "replay", "score", "before", "after"):
        table.add_column(name, overflow="fold" if name in {"before", "after"} else "ellipsis")
    for row in outcomes:
        table.add_row(
            form.short_id(row.trace_id),
            form.short_id(row.new_trace_id or ""),
            "" if row.score is None else f"{row.score:.2f}",
            Text(one_line(row.before, 60), style=_style(right=row.right_before)),
            Text(one_line(row.after, 60), style=_style(right=row.right_after)),
        )
    return table


def _style(*, right: bool | None) -> str:
    return "" if right is None else "green" if right else "red"
