"""A canary that is watched while it works, and goes back by itself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from router.errors import RegistryError
from router.forks import tell_of_forks
from router.registry.entry import Pick, Role
from router.registry.policy import Guard, Tally, Verdict, judge
from tracer import current
from tracer.errors import StoreError
from tracer.guard import report

if TYPE_CHECKING:
    from router.breaker import Breaker
    from router.registry.registry import Registry


class Watch:
    """Counts what comes of the arms of a role, from when it was made or the role last changed.

    watch = registry.watch("draft", breaker=breaker)
    pick = registry.pick("draft")
    try: ...
    finally: watch.saw(pick, failed=...)
    """

    def __init__(self, registry: Registry, role: str, guard: Guard, breaker: Breaker | None) -> None:
        self._registry = registry
        self._name = role
        self._guard = guard
        #: The canary's; it is asked for its state.
        self._breaker = breaker
        self._role: Role | None = None
        self._tallies: dict[str, Tally] = {}
        self._lock = threading.Lock()
        tell_of_forks(self)

    def forked(self) -> None:
        self._lock = threading.Lock()

    @property
    def tallies(self) -> dict[str, Tally]:
        """What was counted so far, by arm."""
        return {arm: self._tallies.get(arm, Tally()) for arm in ("production", "canary")}

    def saw(
        self, pick: Pick, *, failed: bool = False, fell_back: bool = False, escalated: bool = False
    ) -> Verdict | None:
        """Count what came of a pick; take the canary back where that is too much, once, whoever else sees it too.

        None where there is nothing to judge: the role has no canary, the pick is from before it changed, or this is a
        replay, which changes nothing.
        """
        role = self._registry.role(self._name)
        if current().is_replay or role.canary is None or not _is_of(pick, role):
            return None
        with self._lock:
            if role != self._role:
                self._role, self._tallies = role, {}
            tally = self._tallies.get(pick.arm, Tally())
            self._tallies[pick.arm] = tally.plus(failed=failed, fell_back=fell_back, escalated=escalated)
            state = None if self._breaker is None else self._breaker.state
            verdict = judge(*self.tallies.values(), self._guard, breaker=state)
        if verdict.action == "rollback":
            self._take_back(role, verdict.reason)
        return verdict

    def _take_back(self, role: Role, reason: str) -> None:
        try:
            self._registry.rollback_if(self._name, role, because=reason)
        except (RegistryError, StoreError, OSError) as error:
            # the work itself went as it went; the next outcome tries again
            report(f"take back the canary of {self._name}", error)


def _is_of(pick: Pick, role: Role) -> bool:
    return (pick.production, pick.canary) == (role.production, role.canary)
