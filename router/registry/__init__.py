"""Roles: the jobs that models do, and which model does each, changed while programs run.

``entry`` is what a role is and how an arm is picked, ``policy`` when a canary goes back; both are pure. ``files`` and
``stored`` hold entries in a file and in the store, ``registry`` is the face, ``record`` what a trace says of a pick,
``tally`` counts outcomes out of traces.
"""

from router.registry.entry import Arm, Change, Pick, Role
from router.registry.policy import Guard, Tally, Verdict, judge
from router.registry.registry import Registry
from router.registry.watch import Watch

__all__ = ["Arm", "Change", "Guard", "Pick", "Registry", "Role", "Tally", "Verdict", "Watch", "judge"]
