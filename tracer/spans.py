"""``span``, ``current``, and the recorded values of time and chance."""

from __future__ import annotations

import datetime as dt
import random as _random
import uuid
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Mapping, TypeVar, cast

from tracer.context import CURRENT, UNSET, ActiveStep, NoStep, leave
from tracer.declared import Declared
from tracer.guard import guard

if TYPE_CHECKING:
    from tracer.model import Kind

T = TypeVar("T")
_NO_STEP = NoStep()


def current() -> ActiveStep | NoStep:
    """The running step, to describe or score it; outside a workflow, what takes all that and records nothing."""
    return CURRENT.get() or _NO_STEP


class _Block(Declared):
    block = True


class span:  # noqa: N801 - used like a function: ``with span("rerank") as s:``
    """Record a block of code as a step: ``with span("rerank", kind="reranker", input=docs) as s: s.output = ...``.

    The block always runs, also in a replay: a ``with`` can't be skipped. What runs inside it is served as usual.
    Works in synchronous and in async code.
    """

    def __init__(
        self,
        name: str,
        *,
        kind: Kind = "step",
        input: Any = UNSET,  # noqa: A002 - what it is called everywhere
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        self._block = _Block(name, kind, tags=tags)
        self._input = input
        #: One entry for each time that the block was entered and not left: a span may be used again, even in itself.
        self._entered: list[tuple[ActiveStep, Token[ActiveStep | None]] | None] = []

    def __enter__(self) -> ActiveStep | NoStep:
        parent = CURRENT.get()
        step: ActiveStep | None = None
        if parent is not None:
            with guard("record a span"):
                step = parent.trace.recorder.begin(parent.trace, parent, self._block, self._input)
        self._entered.append(None if step is None else (step, CURRENT.set(step)))
        return _NO_STEP if step is None else step

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entered = self._entered.pop()
        if entered is None:
            return
        step, token = entered
        leave(token)
        if error is None:
            step.finish(UNSET)
        else:
            step.fail(error)


def recorded(name: str, make: Callable[[], T]) -> T:
    """What ``make`` gives, as a recorded value of the running step: a replay gets the recorded one, and calls nothing.

    For what comes from outside and decides what a workflow does: a draw, a state, a setting that is looked up. ``name``
    ties it to its record; under one step, the n-th of a name gets the n-th recorded one.
    """
    step = CURRENT.get()
    if step is None:
        return make()
    occurrence = step.occurrence_of(f"{name}()")
    player = step.trace.player
    value = make() if player is None else player.value(step.step_id, name, occurrence, make)
    step.trace.recorder.note(step, "value", name, occurrence, value)
    return cast(T, value)


def now() -> dt.datetime:
    """The time, in UTC, as a recorded value: a replay gets the recorded one."""
    return recorded("now", lambda: dt.datetime.now(dt.UTC))


def random() -> float:
    """A number in [0, 1), as a recorded value."""
    return recorded("random", _random.random)


def uuid4() -> uuid.UUID:
    """A random UUID, as a recorded value."""
    return recorded("uuid4", uuid.uuid4)
