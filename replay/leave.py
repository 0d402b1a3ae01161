"""Who may act on the world in a replay: what the guard asks, on any thread, maybe in the middle of a decision of the
player's, so all of it without a lock.
"""

from __future__ import annotations

from replay.plan import Plan
from replay.record import REACHING_KINDS
from tracer.context import ActiveStep
from tracer.player import Call


class Leave:
    """What one plan lets act. ``used_rules`` takes the ids of the rules that were asked for."""

    def __init__(self, plan: Plan, used_rules: set[int]) -> None:
        self.is_guarded = plan.guarded
        #: What tempfile made in this replay: paths that it may do with as it likes.
        self.temporary: set[str] = set()
        self._plan = plan
        self._used_rules = used_rules
        self._given: set[str] = set()

    def give(self, call: Call, *, by_plan: bool) -> None:
        """This call runs for real. By the plan's word what reaches out acts, and so does what ``live`` names itself."""
        reaches = call.effect or call.kind in REACHING_KINDS
        if by_plan and (reaches or self._plan.rule("live", call.path) is not None):
            self._given.add(call.step_id)

    def covers(self, step: ActiveStep) -> bool:
        """Whether code of this step may act: it lies in one that acts for real, or a rule allows it."""
        above: ActiveStep | None = step
        while above is not None:
            if above.step_id in self._given:
                return True
            above = above.parent
        rule = self._plan.rule_above("allow", step.path)
        if rule is not None:
            self._used_rules.add(id(rule))
        return rule is not None
