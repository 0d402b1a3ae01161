"""Run a recorded workflow again: with the recorded answers, another model, an edited answer or an injected fault."""

from replay.backtest.report import Report
from replay.backtest.run import backtest
from replay.backtest.scoring import Pair, Score
from replay.diff import Diff, diff
from replay.divergence import Divergence, Stopped
from replay.errors import EntryNotFound, NotReplayable, PlanError, ReplayError
from replay.matrix import Cell, Matrix, faults
from replay.plan import Rule, allow, edit, fail, from_step, live, serve, stand_in, substitute
from replay.result import Replay
from replay.run import replay, resume

__all__ = [
    "Cell",
    "Diff",
    "Divergence",
    "EntryNotFound",
    "Matrix",
    "NotReplayable",
    "Pair",
    "PlanError",
    "Replay",
    "ReplayError",
    "Report",
    "Rule",
    "Score",
    "Stopped",
    "allow",
    "backtest",
    "diff",
    "edit",
    "fail",
    "faults",
    "from_step",
    "live",
    "replay",
    "resume",
    "serve",
    "stand_in",
    "substitute",
]
