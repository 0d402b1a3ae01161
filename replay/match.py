"""Which recorded step a call in a replay is. Pure: a table, and no clock, no thread, no store.

Identity is the recorded parent that the call's parent was matched with, the name, and the digest of the inputs. An
equal digest wins over position, so that gathered and threaded calls find their own answer in any order; among equal
ones the nearest occurrence wins, and each recorded step answers once. Position is only ever a hint for the report.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal, Sequence

from tracer.fingerprint import comparable
from tracer.model import Step
from tracer.player import Call

Outcome = Literal["exact", "code-changed", "moved", "input-changed", "new"]


@dataclass(frozen=True, slots=True)
class Match:
    """``step`` is the recorded one: the very one for exact, code-changed and moved, the nearest for input-changed."""

    outcome: Outcome
    step: Step | None = None


class Matcher:
    """One record, and which of its steps were taken. Not thread-safe: the player holds a lock."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = {step.step_id: step for step in steps}
        self._children: dict[tuple[str | None, str], list[Step]] = defaultdict(list)
        self._by_identity: dict[tuple[str, str | None], list[Step]] = defaultdict(list)
        for step in steps:
            self._children[step.parent_id, step.name].append(step)
            self._by_identity[step.name, step.identity].append(step)
        #: New step id -> recorded step id.
        self._of: dict[str, str] = {}
        self._taken: set[str] = set()

    def source_of(self, step_id: str | None) -> Step | None:
        """The recorded step that a step of the replay was matched with."""
        return None if step_id is None else self.steps.get(self._of.get(step_id, ""))

    def take(self, call: Call) -> Match:
        """Match a call, and remember it. A parent that is itself new has no recorded children: only "moved" is left."""
        if call.parent_id is None:
            found = self._root(call)
        else:
            parent = self.source_of(call.parent_id)
            found = self._below(call, parent) if parent is not None else self._elsewhere(call)
        if found.step is not None:
            self._of[call.step_id] = found.step.step_id
            if found.outcome != "input-changed":
                self._taken.add(found.step.step_id)
        return found

    def _root(self, call: Call) -> Match:
        root = next((step for step in self.steps.values() if step.parent_id is None), None)
        if root is None:
            return Match("new")
        return Match(_by_code("exact", call, root) if root.identity == call.identity else "input-changed", root)

    def _below(self, call: Call, parent: Step) -> Match:
        siblings = self._children[parent.step_id, call.name]
        free = [step for step in siblings if step.step_id not in self._taken]
        equal = [step for step in free if step.identity == call.identity]
        if equal:
            nearest = min(equal, key=lambda step: (abs(step.occurrence - call.occurrence), step.occurrence))
            return Match(_by_code("exact", call, nearest), nearest)
        moved = self._elsewhere(call)
        if moved.step is not None:
            return moved
        in_place = next((step for step in free if step.occurrence == call.occurrence), None)
        return Match("new") if in_place is None else Match("input-changed", in_place)

    def _elsewhere(self, call: Call) -> Match:
        """The same call under a parent that the replay has not come to: it was moved, not changed."""
        reached = set(self._of.values())
        for step in self._by_identity[call.name, call.identity]:
            if step.step_id not in self._taken and step.parent_id not in reached:
                return Match(_by_code("moved", call, step), step)
        return Match("new")

    def never_reached(self) -> tuple[Step, ...]:
        """Recorded steps that no call of the replay was, outermost only: what lies below them was not reached either."""
        reached = set(self._of.values())
        covered = {step_id for step_id in self._taken if step_id in reached}
        missing = []
        for step in self.steps.values():
            if step.step_id in covered or step.step_id in reached:
                continue
            if step.parent_id in reached and step.parent_id not in self._served:
                missing.append(step)
        return tuple(missing)

    _served: frozenset[str] = frozenset()

    def served(self, step: Step) -> None:
        """The recorded step was served whole: the steps below it count as reached."""
        self._served = self._served | {step.step_id}


def _by_code(outcome: Outcome, call: Call, step: Step) -> Outcome:
    if comparable(call.fingerprint, step.fingerprint) and call.fingerprint != step.fingerprint:
        return "code-changed"
    return outcome
