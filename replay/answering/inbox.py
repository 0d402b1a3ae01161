"""Answering a question, and going on with the run that asked it.

The answer is kept first. Then, when all that a run has asked is answered, the run is resumed, here: by whoever gave the
last answer, and nobody else. Whoever dies in between leaves a run that ``go_on`` takes up from where it came to.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any, Iterator

from replay.answering.question import AnswerRefused, Question, check, question_of
from replay.errors import PlanError
from replay.result import Replay
from replay.run import resume
from tracer import recorder
from tracer.format import short_id
from tracer.locks import let_go, locked, opened
from tracer.model import Escalation, TraceSummary
from tracer.reading import open_reading
from tracer.store import Store

#: Where the locks of runs that are being gone on with lie, below the home.
_LOCKS = "resuming"
_MOST = 10_000


def find(store: Store, trace: str, step: str | None = None) -> Escalation:
    """The question that is meant: of a run that asks one, that one. ``step`` is a step's id, path or the end of one.
    Raises PlanError, StoreError."""
    trace_id = store.resolve(trace)
    asked = store.escalations.of(trace_id)
    name = short_id(trace_id)
    if not asked:
        later = _tip(store, trace_id)
        where = f"; it went on as {short_id(later.trace_id)}" if later.trace_id != trace_id else ""
        raise PlanError(f"trace {name} waits for no answer{where}. playhead escalations lists what does")
    if step is not None:
        meant = [one for one in asked if step == one.step_id or f"/{one.path}".endswith(f"/{step}")]
    else:
        meant = [one for one in asked if one.state == "open"] or asked[-1:]
    if len(meant) != 1:
        paths = ", ".join(one.path for one in (meant or asked))
        raise PlanError(f"trace {name} asks {len(meant or asked)} questions: say which step: {paths}")
    return meant[0]


def answer(store: Store, one: Escalation, value: Any, *, by: str) -> int:
    """Keep an answer; gives how many questions of the same run are still open. With 0, going on is the caller's.
    Raises AnswerRefused where the question does not allow it, or has been answered."""
    check(question_of(one, store.value), value)
    left = store.escalations.close(one, "answered", by=by, value=value)
    if left is None:
        raise AnswerRefused(_said_already(_now(store, one)))
    return left


def assign(store: Store, one: Escalation, name: str | None) -> None:
    """Say who is to answer. Raises AnswerRefused where that has been done."""
    if not store.escalations.assign(one, name):
        raise AnswerRefused(_said_already(_now(store, one)))


def withdraw(store: Store, one: Escalation, *, by: str) -> None:
    """Take a question back: nobody is to answer it, and its run does not go on. Raises AnswerRefused where it has been
    answered."""
    if store.escalations.close(one, "withdrawn", by=by) is None:
        raise AnswerRefused(_said_already(_now(store, one)))


def close_due(store: Store, now_ns: int | None = None) -> list[Escalation]:
    """Close all questions whose time is over, with their default or as expired. The ones that were closed."""
    closed = []
    for one in store.escalations.due(time.time_ns() if now_ns is None else now_ns):
        asked = question_of(one, store.value)
        how = _default_of(asked)
        if store.escalations.close(one, how, by="timeout", value=asked.default) is not None:
            closed.append(_now(store, one))
    return closed


def _default_of(asked: Question) -> Any:
    return "defaulted" if asked.has_default else "expired"


def unfinished(store: Store) -> list[str]:
    """The runs that have all their answers and have not gone on: whoever was to, died."""
    closed = dict.fromkeys(one.trace_id for one in store.escalations.pending(limit=_MOST) if one.state != "open")
    return [trace_id for trace_id in closed if is_answered(store, trace_id)]


def is_answered(store: Store, trace_id: str) -> bool:
    """Whether a run has all its answers."""
    return all(one.state != "open" for one in store.escalations.of(trace_id))


def go_on(trace_id: str) -> Replay | None:
    """Resume a run that has all its answers, from wherever it came to; None where it has gone on already.

    What a resumed run did before it was killed is served, not done again. Raises PlanError while another process of
    this machine is at it, or an answer is missing; else what ``resume`` raises, and the answers stay.
    """
    with _alone(trace_id):
        with open_reading() as store:  # adopts what a killed run left
            tip = _tip(store, trace_id)
            if tip.trace_id != trace_id and tip.status not in {"interrupted", "cancelled"}:
                if tip.status == "running":
                    raise PlanError(f"trace {short_id(trace_id)} goes on already: {short_id(tip.trace_id)} is running")
                store.escalations.gone_on(trace_id, tip.trace_id)
                return None
        done = resume(tip.trace_id)
        with open_reading() as store:
            store.escalations.gone_on(trace_id, done.trace_id)
        return done


def _tip(store: Store, trace_id: str) -> TraceSummary:
    """The last run of a story: the one that nobody has gone on with."""
    tip = store.trace(trace_id).summary
    while later := store.resumes_of(tip.trace_id, limit=1):
        tip = later[0]
    return tip


@contextlib.contextmanager
def _alone(trace_id: str) -> Iterator[None]:
    """Hold a run's lock; the system lets go of it when this process ends, however it ends."""
    path: Path = recorder.current_config().home / _LOCKS / trace_id
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = opened(path)
    try:
        try:
            is_ours = locked(fd) and path.stat().st_ino == os.fstat(fd).st_ino  # whoever had it before us deleted it
        except OSError:
            is_ours = False
        if not is_ours:
            raise PlanError(f"trace {short_id(trace_id)} goes on already, in another process")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        let_go(fd)


def _now(store: Store, one: Escalation) -> Escalation:
    return next(each for each in store.escalations.of(one.trace_id) if each.step_id == one.step_id)


def _said_already(one: Escalation) -> str:
    what = {"answered": f"answered with {one.answer!r}", "defaulted": f"closed with the default {one.answer!r}"}
    return f"{one.path} of trace {short_id(one.trace_id)} was {what.get(one.state, one.state)} by {one.closed_by}"
