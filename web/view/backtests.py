"""Backtests in the words of their pages. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from replay.backtest.ledger import Ledger
from replay.backtest.outcome import Outcome
from replay.backtest.report import Report
from replay.backtest.table import figures, headline, share_words
from tracer import format as fmt
from web.view.contexts import Chrome
from web.view.text import one_line

#: Scorers that run no code but ours, as the form offers them.
SCORERS = ("exact", "json", "fields", "numeric:", "label:", "judge:")
ROW_LIMIT = 300


@dataclass(frozen=True, slots=True)
class BacktestRow:
    backtest_id: str
    rules: str
    scorer: str
    done: int
    of: int
    state: str
    spent: str


@dataclass(frozen=True, slots=True)
class BacktestForm:
    """The form as it was sent; ``traces`` are ids that were selected, in place of a filter."""

    workflow: str = ""
    since: str = ""
    limit: str = ""
    step: str = ""
    model: str = ""
    scorer: str = "exact"
    budget: str = ""
    workers: str = "1"
    traces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BacktestsPage:
    chrome: Chrome
    rows: tuple[BacktestRow, ...]
    form: BacktestForm
    workflows: tuple[str, ...]
    models: tuple[str, ...]
    csrf: str
    #: How many traces and about what cost; empty before one asked.
    size: str = ""
    refused: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    trace_id: str
    href: str
    tone: str
    word: str
    score: str
    before: str
    after: str
    problem: str


@dataclass(frozen=True, slots=True)
class BacktestPage:
    chrome: Chrome
    backtest_id: str
    headline: str
    figures: tuple[tuple[str, str], ...]
    problems: tuple[tuple[str, int], ...]
    rows: tuple[OutcomeRow, ...]
    omitted: int
    done: int
    of: int
    command: str
    run_id: str = ""
    run_state: str = ""
    cancel_csrf: str = ""
    again_s: int = 0
    #: The token to go on with it; empty where there is nothing to go on with.
    resume_csrf: str = ""
    problem: str = ""


def row_of(ledger: Ledger, *, running: bool) -> BacktestRow:
    asked, done = ledger.asked, len(ledger.final())
    state = "running" if running else "done" if done == len(asked.traces) else "cut short"
    rules = one_line(" ".join(asked.rules), 200)
    spent = fmt.dollars(ledger.spent_nusd)
    return BacktestRow(asked.backtest_id, rules, asked.scorer, done, len(asked.traces), state, spent)


def rows_of(report: Report) -> tuple[tuple[OutcomeRow, ...], int]:
    """What changed most first, then the rest in the order of the traces; and how many have no row."""
    changed = report.most_changed(ROW_LIMIT)
    known = {outcome.trace_id for outcome in changed}
    rest = [outcome for outcome in report.outcomes if outcome.trace_id not in known]
    shown = [*changed, *rest][:ROW_LIMIT]
    return tuple(map(_row, shown)), len(report.outcomes) - len(shown)


def _row(outcome: Outcome) -> OutcomeRow:
    tone, word = _word(outcome)
    new = outcome.new_trace_id
    return OutcomeRow(
        trace_id=outcome.trace_id,
        href=f"/diff/{outcome.trace_id}/{new}" if new else f"/t/{outcome.trace_id}",
        tone=tone,
        word=word,
        score="" if outcome.score is None else f"{outcome.score:.2f}",
        before=one_line(outcome.before, 160),
        after=one_line(outcome.after, 160),
        problem=one_line(outcome.problem or "", 200),
    )


def _word(outcome: Outcome) -> tuple[str, str]:
    """The class of its word, and the word: turned wrong, turned right, changed, same, or how it ended."""
    if not outcome.status_after:
        return "gone", "REFUSED"
    if outcome.status_after == "stopped":
        return "changed", "STOPPED"
    if (outcome.right_before, outcome.right_after) == (True, False):
        return "gone", "TURNED WRONG"
    if (outcome.right_before, outcome.right_after) == (False, True):
        return "new", "TURNED RIGHT"
    if outcome.status_after == "failed" and outcome.status_before != "failed":
        return "gone", "NOW FAILS"
    if outcome.agrees is None:
        return "free", "NO SCORE"
    return ("free", "SAME") if outcome.agrees else ("changed", "CHANGED")


def figures_of(report: Report) -> tuple[tuple[str, str], ...]:
    return tuple(figures(report))


def headline_of(report: Report) -> str:
    agreed = f"; {share_words(report.agreement)} stay the same" if report.agreement.value is not None else ""
    return headline(report) + agreed
