"""Shadow replays: what another model would have answered in a step, for traces that somebody drew."""

from __future__ import annotations

from typing import Mapping, Sequence

from replay.backtest.run import backtest
from replay.errors import PlanError
from replay.plan import substitute
from tracer import recorder
from tracer.model import Trace
from tracer.reading import open_reading


def same(_: object) -> bool:
    """A scorer for replays that are not compared: who asked for them looks into their steps."""
    return True


def shadow(traces: Sequence[str], step: str, model: str, budget_usd: float) -> Mapping[str, str]:
    """Replay these traces, in this order and in this process, with ``model`` in the step, for at most ``budget_usd``.
    Gives trace -> its replay, of those that completed. Raises ReplayError; PlanError where no other model was asked."""
    report = backtest(list(traces), substitute(step, model=model), scorer=same, workers=1, budget_usd=budget_usd)
    done = {row.trace_id: row.new_trace_id for row in report.outcomes if row.status_after == "completed"}
    found = {trace_id: replay_id for trace_id, replay_id in done.items() if replay_id is not None}
    recorder.flush()
    with open_reading() as store:
        asked = {trace_id: replay_id for trace_id, replay_id in found.items() if _asked(store.trace(replay_id))}
    if found and not asked:
        raise PlanError(
            f"the replays of {len(found)} traces asked no other model in {step}: what answers there sends no request "
            f"that could go to {model} instead"
        )
    return asked


def _asked(replayed: Trace) -> bool:
    return any(step.origin == "substituted" for step in replayed.steps)
