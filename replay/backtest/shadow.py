"""Shadow replays: what another model would have answered in a step, for traces that somebody drew."""

from __future__ import annotations

from typing import Mapping, Sequence

from replay.backtest.outcome import Outcome
from replay.backtest.run import backtest
from replay.plan import substitute


def same(_: object) -> bool:
    """A scorer for replays that are not compared: who asked for them looks into their steps."""
    return True


def shadow(traces: Sequence[str], step: str, model: str, budget_usd: float) -> Mapping[str, str]:
    """Replay these traces, in this order and in this process, with ``model`` in the step, for at most ``budget_usd``.
    Gives trace -> its replay, of those that completed. Raises ReplayError."""
    report = backtest(list(traces), substitute(step, model=model), scorer=same, workers=1, budget_usd=budget_usd)
    return {row.trace_id: row.new_trace_id for row in report.outcomes if _has_completed(row) and row.new_trace_id}


def _has_completed(row: Outcome) -> bool:
    return row.status_after == "completed"
