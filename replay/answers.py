"""What humans answered to a run, as the run that goes on asks for it.

A question is known again by its path and by the digest of what it asks, not by the step that asked: a resumed run that
was killed may have asked it again, or may not have come to it. A question that reads otherwise now is another question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from tracer.model import Step
from tracer.player import Call

if TYPE_CHECKING:
    from tracer.store import Store

#: (path, identity) of a question -> what the recorded value ``tracer.waiting.ANSWER`` is.
Answered = Mapping[tuple[str, str], Mapping[str, Any]]


def answered_before(store: Store, trace_id: str) -> Answered:
    """All that was answered to this run and to those that it goes on with."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for each in reversed(store.escalations.story(trace_id)):
        for one in store.escalations.of(each):
            if one.state not in {"open", "withdrawn"} and one.identity is not None:
                value = {} if one.state == "expired" else {"value": one.answer}
                found[one.path, one.identity] = {"how": one.state, "by": one.closed_by, **value}
    return found


class Answers:
    """The answers of one plan, by the steps of the new run that ask."""

    def __init__(self, given: Answered) -> None:
        self._given = given
        self._to: dict[str, Mapping[str, Any]] = {}

    def asked(self, call: Call, source: Step | None) -> None:
        """A step begins that may be a question; ``source`` is the recorded one that it was matched with."""
        if call.kind != "human" or not self._given:
            return
        is_same = source is not None and source.identity == call.identity
        path = source.path if source is not None and is_same else call.path
        answer = self._given.get((path, call.identity))
        if answer is not None:
            self._to[call.step_id] = answer

    def to(self, step_id: str) -> Mapping[str, Any] | None:
        """The answer to this step's question; None where there is none yet."""
        return self._to.get(step_id)
