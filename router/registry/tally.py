"""What came of each arm of a role, counted out of the decisions that traces hold. Pure.

A call that a Router made for the role counts as that step went. Where the code calls its models itself, a trace has
only the pick, and counts as the whole run went.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Iterable

from router.registry.policy import Tally
from tracer.decisions import Decision, decision_in

if TYPE_CHECKING:
    from tracer.store.tagged import Tagged


def tallies(rows: Iterable[Tagged], role: str) -> dict[str, Tally]:
    """The outcomes of a role by arm, ``production`` and ``canary``; what still runs is left out."""
    by_trace: dict[str, list[tuple[Tagged, Decision]]] = defaultdict(list)
    for row in rows:
        decision = decision_in(row.tags)
        if decision is not None and decision.role == role and decision.arm in {"production", "canary"}:
            by_trace[row.trace_id].append((row, decision))
    counted = {"production": Tally(), "canary": Tally()}
    for decided in by_trace.values():
        calls = [(row, decision, row.outcome) for row, decision in decided if decision.policy != "registry"]
        picks = [(row, decision, row.trace_outcome) for row, decision in decided if decision.policy == "registry"]
        for row, decision, outcome in calls or picks:
            if outcome is not None and decision.arm is not None:
                counted[decision.arm] = counted[decision.arm].plus(
                    failed=outcome == "failed", fell_back=decision.fell_back, escalated=row.escalations > 0
                )
    return counted
