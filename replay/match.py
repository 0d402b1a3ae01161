"""Which recorded step a call in a replay is. Pure: a table, and no clock, no thread, no store.

Identity is the recorded parent that the call's parent was matched with, the name, and the digest of the inputs. An
equal digest wins over position, so that gathered and threaded calls find their own answer in any order; among equal
ones the nearest occurrence wins, and each recorded step answers once. Position is only ever a hint for the report;
where steps say which item they are about, the item is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Iterable, Literal, Sequence

from tracer.declared import KEY_TAG
from tracer.fingerprint import comparable
from tracer.model import Step
from tracer.player import Call

Outcome = Literal["exact", "code-changed", "moved", "input-changed", "new"]


@dataclass(frozen=True, slots=True)
class Match:
    """``step`` is the recorded one: the very one for exact, code-changed and moved, the nearest for input-changed."""

    outcome: Outcome
    step: Step | None = None


_NEW = Match("new")


class Matcher:
    """One record, and which of its steps were taken. Not thread-safe: the player holds a lock."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = {step.step_id: step for step in steps}
        self._siblings: dict[tuple[str | None, str], list[Step]] = defaultdict(list)
        self._equal: dict[tuple[str | None, str, str | None], list[Step]] = defaultdict(list)
        self._anywhere: dict[tuple[str, str | None], list[Step]] = defaultdict(list)
        for step in steps:
            self._siblings[step.parent_id, step.name].append(step)
            self._equal[step.parent_id, step.name, step.identity].append(step)
            self._anywhere[step.name, step.identity].append(step)
        #: New step id -> recorded step.
        self._source: dict[str, Step] = {}
        #: Recorded steps that a call was matched with, as themselves or as the nearest.
        self._reached: set[str] = set()
        #: Those of them that a call was matched with as themselves: what lay below them is theirs alone.
        self._owned: set[str] = set()
        #: Recorded steps that have answered, by themselves or inside one that was served whole.
        self._taken: set[str] = set()
        #: Recorded steps that ended without their body: nothing below them will be asked for.
        self._closed: set[str] = set()

    def source_of(self, step_id: str) -> Step | None:
        """The recorded step that a step of the replay was matched with."""
        return self._source.get(step_id)

    def take(self, call: Call) -> Match:
        """Match a call, and remember it. A parent that is itself new has no recorded children: only "moved" is left."""
        parent = None if call.parent_id is None else self._source.get(call.parent_id)
        if call.parent_id is None:
            found = self._root(call)
        elif parent is None:
            found = self._elsewhere(call)
        else:
            found = self._below(call, parent)
        if found.step is not None:
            self._source[call.step_id] = found.step
            self._reached.add(found.step.step_id)
            if found.outcome != "input-changed":
                self._taken.add(found.step.step_id)
                self._owned.add(found.step.step_id)
        return found

    def _root(self, call: Call) -> Match:
        root = next((step for step in self._steps.values() if step.parent_id is None), None)
        if root is None:
            return _NEW
        return Match(_by_code("exact", call, root) if root.identity == call.identity else "input-changed", root)

    def _below(self, call: Call, parent: Step) -> Match:
        equal = self._equal.get((parent.step_id, call.name, call.identity), [])
        found = self._nearest(call, equal)
        if found is not None:
            return Match(_by_code("exact", call, found), found)
        # Asked once more than it was recorded, a call is new: another parent's answer is not its own.
        used_up = bool(equal) and parent.step_id in self._owned
        moved = _NEW if used_up else self._elsewhere(call)
        if moved.step is not None:
            return moved
        nearest = None if equal else self._nearest(call, self._alike(call, parent))
        return _NEW if nearest is None else Match("input-changed", nearest)

    def _alike(self, call: Call, parent: Step) -> list[Step]:
        """The steps that a call with other inputs may have come from: of an item, only those of the same item."""
        siblings = self._siblings.get((parent.step_id, call.name), [])
        if call.key is None:
            return siblings
        return [step for step in siblings if step.tags.get(KEY_TAG, call.key) == call.key]

    def _nearest(self, call: Call, steps: list[Step]) -> Step | None:
        """The free step nearest in position, the earlier of two. ``steps`` are in order, mostly without gaps."""
        at = call.occurrence
        if at < len(steps) and steps[at].occurrence == at and steps[at].step_id not in self._taken:
            return steps[at]
        free = (step for step in steps if step.step_id not in self._taken)
        return min(free, key=lambda step: (abs(step.occurrence - at), step.occurrence), default=None)

    def _elsewhere(self, call: Call) -> Match:
        """The same call under a parent that the replay has not come to, or only guesses at: it was moved, not changed.

        Where several such parents have different answers to it, nobody can tell whose it is: then it is new.
        """
        free = [
            step
            for step in self._anywhere.get((call.name, call.identity), ())
            if step.parent_id is not None and step.step_id not in self._taken and step.parent_id not in self._owned
        ]
        answers = {(step.outcome, None if step.output is None else step.output.digest) for step in free}
        parents = {step.parent_id for step in free}
        if not free or (len(parents) > 1 and len(answers) > 1):
            return _NEW
        return Match(_by_code("moved", call, free[0]), free[0])

    def again(self, call: Call, step: Step, below: Iterable[Step]) -> None:
        """The call is one that was matched with ``step`` before, tried again: it may have all that lay below it."""
        self._source[call.step_id] = step
        self._taken.difference_update(each.step_id for each in below)

    def close(self, step: Step, answered: Iterable[Step] = ()) -> None:
        """The recorded step ended without its body: nothing below it will be asked for. ``answered`` are those steps
        below it that were served with it."""
        self._closed.add(step.step_id)
        self._taken.update(below.step_id for below in answered)

    def never_reached(self) -> tuple[Step, ...]:
        """Recorded steps that no call of the replay was, outermost only: nor was what lies below them."""
        open_parents = self._reached - self._closed
        gone = self._reached | self._taken
        return tuple(
            step for step in self._steps.values() if step.step_id not in gone and step.parent_id in open_parents
        )


def _by_code(outcome: Outcome, call: Call, step: Step) -> Outcome:
    if comparable(call.fingerprint, step.fingerprint) and call.fingerprint != step.fingerprint:
        return "code-changed"
    return outcome
