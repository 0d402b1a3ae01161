"""What came of one trace in a backtest: plain values, so that it travels between processes and lies in a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Mapping

#: How a run comes to its end. To ask a human is an end too.
ENDED = frozenset({"completed", "failed", "waiting"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """One recorded trace and its replay. None means unknown or not there, never zero.

    ``score`` is how far the two outputs agree, 0 to 1; ``change`` how far they are apart to the eye, 0 to 1, to sort
    by. ``cost`` is what the workflow costs on either side: after is what ran at its price, and what was served at the
    recorded one. ``calls`` is the time spent in model, tool and HTTP calls, served ones at their recorded time.
    ``spent_nusd`` is what finding this out cost, ``judge_nusd`` of it what the judge did.
    """

    trace_id: str
    new_trace_id: str | None = None
    status_before: str = ""
    #: completed, failed, waiting or stopped; empty where nothing ran.
    status_after: str = ""
    #: Why nothing ran, why the replay stopped, or why there is no score, in words.
    problem: str | None = None
    #: Whether it stopped because its share of the budget was spent: with more of it, it can go on.
    over_budget: bool = False
    score: float | None = None
    right_before: bool | None = None
    right_after: bool | None = None
    change: float = 0.0
    cost_before_nusd: int | None = None
    cost_after_nusd: int | None = None
    calls_before_ns: int | None = None
    calls_after_ns: int | None = None
    spent_nusd: int = 0
    judge_nusd: int = 0
    #: Live calls whose price nobody knows: what was spent is at least ``spent_nusd``.
    unpriced: int = 0
    #: Both outputs, or what was raised, in one line.
    before: str = ""
    after: str = ""

    @property
    def agrees(self) -> bool | None:
        return None if self.score is None else self.score >= 1.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Outcome:
        """From a line of the ledger; what a newer version wrote beside the known fields is passed over."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in told.items() if name in known})
