"""Picks as recorded steps, and the arms on the trace they were made in. The only module here that records."""

from __future__ import annotations

import os
import threading
from typing import Any, Callable

from router.registry.entry import Pick, Role, pick_of
from tracer import current, random, recorded, step
from tracer.context import CURRENT
from tracer.decisions import ARMS, DECISION, Decision

#: Gives the role of a name, as it is in force now.
LookUp = Callable[[str], Role]
#: A role -> its step. One for each, as a step's name is declared.
_steps: dict[str, Callable[[Any, str, str | None], Pick]] = {}
# Guards the tags of roots, which several threads may add to.
_lock = threading.Lock()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)


class _Picking:
    """Who looks a role up. A class of its own, so that a step's recorded inputs are the role and the key alone."""

    def __init__(self, look_up: LookUp) -> None:
        self.look_up = look_up

    def pick(self, role: str, key: str | None) -> Pick:
        """What is looked up and drawn are recorded values: a replay that runs this step again finds them, and another
        key falls where it would have fallen then."""
        found = Role.of(recorded("role", lambda: self.look_up(role).as_plain()))
        pick = pick_of(role, found, key, random)
        decision = Decision(
            "registry",
            chosen=pick.target,
            reason=pick.reason,
            candidates=tuple(pick.candidates.values()),
            role=pick.role,
            arm=pick.arm,
            propensity=pick.propensity,
        )
        current().set(tags={DECISION: decision.as_tag()})
        return pick


def picked(role: str, key: str | None, look_up: LookUp) -> Pick:
    """The pick, as a step ``pick ROLE`` of kind router; in a replay the recorded one, or the one an edit puts there."""
    if CURRENT.get() is None:
        return pick_of(role, look_up(role), key, random)
    made = _steps.get(role) or _steps.setdefault(role, step(kind="router", name=f"pick {role}")(_Picking.pick))
    pick = made(_Picking(look_up), role, key)
    _tell_root(pick)
    return pick


def _tell_root(pick: Pick) -> None:
    """Put the arm on the trace: what rates are counted by."""
    root = CURRENT.get()
    while root is not None and root.parent is not None:
        root = root.parent
    if root is None:
        return
    with _lock:
        tags, _ = root.described()
        arms = {**(tags or {}).get(ARMS, {})}
        arms[pick.role] = {"arm": pick.arm, "target": pick.target, "propensity": pick.propensity}
        root.describe(tags={ARMS: arms})
