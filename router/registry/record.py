"""Picks as recorded steps, and the arms on the trace they were made in. The only module here that records."""

from __future__ import annotations

import threading
from typing import Any, Callable

from router.registry.entry import Pick
from tracer import current, recorded, step
from tracer.context import CURRENT
from tracer.decisions import ARMS, DECISION, Decision

#: Gives the pick that is due now; what it looks up and draws is not recorded by itself.
Choose = Callable[[], Pick]
#: A role -> its step. One for each, as a step's name is declared.
_steps: dict[str, Callable[[Any, str, str | None], Pick]] = {}
# Guards the tags of roots, which several threads may add to.
_lock = threading.Lock()


class Picking:
    """Whom a pick asks. A class of its own, so that the step's recorded inputs are the role and the key alone."""

    def __init__(self, choose: Choose) -> None:
        self.choose = choose

    def pick(self, role: str, key: str | None) -> Pick:  # noqa: ARG002 - what a replay matches by
        """Recorded as a value too: where a replay runs this step again, it finds what was picked."""
        pick: Pick = recorded("pick", self.choose)
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


def picked(role: str, key: str | None, choose: Choose) -> Pick:
    """The pick, as a step ``pick ROLE`` of kind router; in a replay the recorded one, or the one an edit puts there."""
    if CURRENT.get() is None:
        return choose()
    made = _steps.get(role) or _steps.setdefault(role, step(kind="router", name=f"pick {role}")(Picking.pick))
    pick = made(Picking(choose), role, key)
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
