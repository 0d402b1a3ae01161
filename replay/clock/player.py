"""A player that keeps the time too: it knows which waits belong to the record, and which to the real world."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping

from replay.clock.virtual import VirtualClock
from replay.injection import Injection
from replay.pace import Takes
from replay.plan import Plan
from replay.player import ReplayPlayer
from replay.record import REACHING_KINDS, Record
from tracer.catalogue import Target
from tracer.context import CURRENT, ActiveStep
from tracer.model import Step
from tracer.player import Answer, Call, Decision, Raise


class TimedPlayer(ReplayPlayer):
    """``clock`` is None where time is to pass as it does; ``paced`` has served streams come at their recorded pace;
    ``takes`` says how many seconds a served step takes, where it takes any.

    What follows a call that really ran is a wait for the real world (a backoff, a poll), and takes its time: hurrying
    it would hammer whoever was asked. What follows a served, edited or injected call is not.
    """

    def __init__(  # noqa: PLR0913 - a record, a plan, and how time passes
        self,
        record: Record,
        plan: Plan,
        targets: Mapping[int, Target],
        clock: VirtualClock | None,
        *,
        paced: bool,
        takes: Takes | None = None,
    ) -> None:
        super().__init__(record, plan, targets)
        self.clock = clock
        self.paced = paced
        self._takes = takes
        self._began_ns = 0 if clock is None else clock.now_ns()
        #: Steps whose body runs for real, being a call.
        self._real: set[str] = set()
        #: Step -> whether the last call in it, at any depth, really ran.
        self._last_was_real: dict[str, bool] = {}

    def decide(self, call: Call) -> Decision:
        decision = super().decide(call)
        if call.step_id in self.live:
            self._real.add(call.step_id)
            self._note(call, real=True)
        elif isinstance(decision, Answer | Raise) and _holds_a_call(call, decision.subtree):
            self._note(call, real=False)
        if isinstance(decision, Answer | Raise) and decision.after_s:
            self._note(call, real=False)
        if self._takes is not None and isinstance(decision, Answer | Raise) and decision.source is not None:
            self._note(call, real=False)
            takes_s = self._takes(decision.source, self._since_begin_s())
            return replace(decision, after_s=max(takes_s, decision.after_s))
        return decision

    def _since_begin_s(self) -> float:
        return 0.0 if self.clock is None else (self.clock.now_ns() - self._began_ns) / 1e9

    def _passed(self, injection: Injection) -> Injection:
        if injection.error is None:
            return injection
        if self.clock is not None:
            self.clock.skip(injection.takes_s)
        return replace(injection, takes_s=0.0)

    def is_real(self, step: ActiveStep | None) -> bool:
        """Whether a wait that begins below this step is one for the real world."""
        while step is not None:
            if step.step_id in self._real:
                return True
            if step.step_id in self._last_was_real:
                return self._last_was_real[step.step_id]
            step = step.parent
        return False

    def _note(self, call: Call, *, real: bool) -> None:
        parent = call.parent_id
        while parent is not None:
            self._last_was_real[parent] = real
            parent = self._parents.get(parent)


def _holds_a_call(call: Call, subtree: tuple[Step, ...]) -> bool:
    return (
        call.effect
        or call.kind in REACHING_KINDS
        or any(step.effect or step.kind in REACHING_KINDS for step in subtree)
    )


def playing() -> TimedPlayer | None:
    """The player that the running code runs under, where there is one with a clock."""
    step = CURRENT.get()
    player: Any = None if step is None else step.trace.player
    return player if isinstance(player, TimedPlayer) and player.clock is not None else None


def waits_for_real() -> bool:
    """Whether a wait that begins here and now is one for the real world."""
    player = playing()
    return player is not None and player.is_real(CURRENT.get())
