"""All outcomes of a backtest together. Pure; what it says of a sample it says with an interval."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Sequence

from replay.backtest.outcome import ENDED, Outcome
from tracer.stats.intervals import Difference, Share, difference, mcnemar, share


@dataclass(frozen=True, slots=True)
class Labels:
    """Right and wrong before and after, where the right answer is known. ``p`` is how likely a split between
    ``only_before`` and ``only_after`` this uneven is, if both were as good (McNemar's exact test)."""

    before: Share
    after: Share
    both: int
    only_before: int
    only_after: int
    neither: int
    p: float


@dataclass(frozen=True, slots=True)
class Failures:
    """Workflows that raised, among the traces whose replay came to its end; and what happened to them."""

    before: int
    after: int
    #: Failed only after, and failed only before.
    new: int
    gone: int


@dataclass(frozen=True)
class Report:
    """What came of a backtest. ``left`` are the traces that it did not come to: the budget was spent."""

    backtest_id: str
    rules: tuple[str, ...]
    scorer: str
    traces: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    left: tuple[str, ...]
    spent_nusd: int
    budget_nusd: int | None = None

    @cached_property
    def agreement(self) -> Share:
        """Of the traces with a score, those that say the same on both sides."""
        scored = [outcome for outcome in self.outcomes if outcome.score is not None]
        return share(sum(bool(outcome.agrees) for outcome in scored), len(scored))

    @property
    def mean_score(self) -> float | None:
        scores = [outcome.score for outcome in self.outcomes if outcome.score is not None]
        return sum(scores) / len(scores) if scores else None

    @cached_property
    def cost(self) -> Difference:
        """In billionths of a dollar, where the price of every call on both sides is known."""
        return _paired(self.outcomes, "cost_before_nusd", "cost_after_nusd")

    @cached_property
    def calls(self) -> Difference:
        """The time spent in calls, in nanoseconds."""
        return _paired(self.outcomes, "calls_before_ns", "calls_after_ns")

    @cached_property
    def failures(self) -> Failures:
        ended = [row for row in self.outcomes if row.status_after in ENDED]
        sides = Counter((row.status_before == "failed", row.status_after == "failed") for row in ended)
        new, gone, both = sides[False, True], sides[True, False], sides[True, True]
        return Failures(before=gone + both, after=new + both, new=new, gone=gone)

    @property
    def stopped(self) -> tuple[Outcome, ...]:
        """Replays that ended early, at a divergence or an effect."""
        return tuple(row for row in self.outcomes if row.status_after == "stopped")

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """Traces that could not be replayed at all."""
        return tuple(row for row in self.outcomes if not row.status_after)

    @property
    def unscored(self) -> tuple[Outcome, ...]:
        """Replays that came to their end and could not be scored."""
        return tuple(row for row in self.outcomes if row.status_after in ENDED and row.score is None)

    @cached_property
    def labels(self) -> Labels | None:
        """None where no right answer is known."""
        known = Counter((row.right_before, row.right_after) for row in self.outcomes if row.right_after is not None)
        if not known:
            return None
        both, only_before = known[True, True], known[True, False]
        only_after, number = known[False, True], known.total()
        return Labels(
            before=share(both + only_before, number),
            after=share(both + only_after, number),
            both=both,
            only_before=only_before,
            only_after=only_after,
            neither=known[False, False],
            p=mcnemar(only_before, only_after),
        )

    @property
    def judge_nusd(self) -> int:
        return sum(row.judge_nusd for row in self.outcomes)

    @property
    def unpriced(self) -> int:
        """Calls of the backtest whose price nobody knows: above zero, ``spent_nusd`` is a floor."""
        return sum(row.unpriced for row in self.outcomes)

    def most_changed(self, number: int = 10) -> tuple[Outcome, ...]:
        """The traces that changed most: those that turned wrong or failed first, then by score, then by how far the
        outputs are apart."""
        changed = [row for row in self.outcomes if _rank(row) != _SAME]
        return tuple(sorted(changed, key=lambda row: (_rank(row), row.trace_id))[:number])

    def problems(self) -> list[tuple[str, int]]:
        """Why traces were refused, stopped or not scored, each reason once, the most frequent first."""
        reasons = Counter(row.problem for row in self.outcomes if row.problem is not None)
        return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))

    def as_json(self, *, most: int = 10) -> dict[str, Any]:
        """The report for a program, with all outcomes."""
        labels = self.labels
        return {
            "backtest_id": self.backtest_id,
            "rules": list(self.rules),
            "scorer": self.scorer,
            "traces": len(self.traces),
            "done": len(self.outcomes),
            "left": list(self.left),
            "agreement": _share_as_json(self.agreement),
            "mean_score": self.mean_score,
            "labels": None
            if labels is None
            else {
                **asdict(labels),
                "before": _share_as_json(labels.before),
                "after": _share_as_json(labels.after),
            },
            "cost_nusd": _difference_as_json(self.cost),
            "calls_ns": _difference_as_json(self.calls),
            "failures": asdict(self.failures),
            "stopped": len(self.stopped),
            "refused": len(self.refused),
            "unscored": len(self.unscored),
            "problems": [{"problem": problem, "traces": number} for problem, number in self.problems()],
            "spent_nusd": self.spent_nusd,
            "judge_nusd": self.judge_nusd,
            "unpriced": self.unpriced,
            "budget_nusd": self.budget_nusd,
            "most_changed": [row.trace_id for row in self.most_changed(most)],
            "outcomes": [row.as_json() for row in self.outcomes],
        }


_SAME = (1, 1.0, 0.0)


def _rank(row: Outcome) -> tuple[int, float, float]:
    turned = (row.right_before is True and row.right_after is False) or (
        row.status_before == "completed" and row.status_after == "failed"
    )
    return 0 if turned else 1, 1.0 if row.score is None else row.score, -row.change


def _paired(outcomes: Sequence[Outcome], before: str, after: str) -> Difference:
    pairs = [(getattr(row, before), getattr(row, after)) for row in outcomes]
    return difference([(one, other) for one, other in pairs if one is not None and other is not None])


def _share_as_json(found: Share) -> dict[str, Any]:
    return {**asdict(found), "share": found.value}


def _difference_as_json(found: Difference) -> dict[str, Any]:
    return {**asdict(found), "total": found.total}
