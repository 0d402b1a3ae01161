"""The running step, in a context variable: what gives a call its parent."""

from __future__ import annotations

import itertools
from contextvars import ContextVar, Token
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Callable, Mapping

from tracer.declared import Capture
from tracer.guard import guard
from tracer.ids import Anchor
from tracer.model import Usage
from tracer.player import Decision, Player, Run

if TYPE_CHECKING:
    from tracer.recording import Recorder
    from tracer.unrecorded import Unrecorded

#: What a step is told when nobody plays: just run. One object, so that the common case is an identity test.
RUN: Decision = Run()


#: "Not given", where None is a value like any other.
UNSET: Any = object()


#: Called before a trace ends: what is recorded behind the scenes (a stream that was dropped unread) is to end first.
SETTLERS: list[Callable[[], None]] = []
#: Told of each model call as it ends, with what its Finished event says of it.
METERS: list[Callable[[ActiveStep, Mapping[str, Any]], None]] = []
#: Variables that a thread which a workflow starts is given beside the running step, where they hold something.
CARRIED: list[ContextVar[Any]] = []


class ActiveTrace:
    """A trace while it is being recorded."""

    __slots__ = ("anchor", "offset_ns", "player", "recorder", "trace_id")

    def __init__(self, trace_id: bytes, anchor: Anchor, recorder: Recorder | Unrecorded, player: Player | None) -> None:
        self.trace_id = trace_id
        self.anchor = anchor
        #: What makes a reading of the monotonic clock a time.
        self.offset_ns = anchor.wall_ns - anchor.monotonic_ns
        self.recorder = recorder
        self.player = player


class ActiveStep:
    """A step while it runs. ``current()`` gives it to the user, who may describe and score it."""

    __slots__ = (
        "_call",
        "_output",
        "_tags",
        "capture",
        "counts",
        "decision",
        "ended",
        "kind",
        "name",
        "over_ns",
        "parent",
        "path",
        "step",
        "trace",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - what a step is
        self,
        trace: ActiveTrace,
        parent: ActiveStep | None,
        step: bytes,
        name: str,
        kind: str,
        path: str,
        capture: Capture,
    ) -> None:
        self.trace = trace
        self.parent = parent
        self.step = step
        self.name = name
        self.kind = kind
        self.path = path
        #: METADATA or FULL: what is off has no step.
        self.capture = capture
        self.decision: Decision = RUN
        self.ended = False
        #: When it was over, on the monotonic clock, where its end is written down later than that; else 0.
        self.over_ns = 0
        #: Child name -> how many of that name have begun. setdefault and next are each one atomic step.
        self.counts: dict[str, itertools.count[int]] = {}
        self._tags: dict[str, Any] | None = None
        self._call: dict[str, Any] | None = None
        self._output: tuple[Any, ...] = ()

    @property
    def trace_id(self) -> str:
        """32 hex digits; what ``playhead show`` takes."""
        return self.trace.trace_id.hex()

    @property
    def step_id(self) -> str:
        return self.step.hex()

    @property
    def is_replay(self) -> bool:
        return self.trace.player is not None

    def occurrence_of(self, name: str) -> int:
        return next(self.counts.get(name) or self.counts.setdefault(name, itertools.count()))

    def set(
        self,
        *,
        model: str | None = None,
        provider: str | None = None,
        usage: Usage | Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        output: Any = UNSET,
    ) -> None:
        """Say more about this step: who answered, what it used (a ``tracer.model.Usage``, or its fields), tags to
        filter by, and ``output=`` to record something else than what is returned."""
        with guard("describe a step"):
            counts = asdict(usage) if isinstance(usage, Usage) else dict(usage or {})
            told = {"model": model, "provider": provider, "usage": counts or None}
            self.describe(call={key: value for key, value in told.items() if value is not None}, tags=tags)
        if output is not UNSET:
            self._output = (output,)

    def describe(self, *, call: Mapping[str, Any] | None = None, tags: Mapping[str, Any] | None = None) -> None:
        if call:
            self._call = {**(self._call or {}), **call}
        if tags:
            self._tags = {**(self._tags or {}), **tags}

    @property
    def is_described(self) -> bool:
        return self._tags is not None or self._call is not None

    def described(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """The tags and the model call that were told so far."""
        return self._tags, self._call

    def score(self, name: str, value: float | bool | str) -> None:  # noqa: FBT001 - a score may well be a verdict
        """Record a judgement of this step, by name."""
        self.trace.recorder.note(self, "score", name, self.occurrence_of(f"{name} (score)"), value)

    def finish(self, output: Any) -> None:
        """End this step with its result."""
        if self._output:
            (output,) = self._output
        self.trace.recorder.finish(self, output)

    def fail(self, error: BaseException, output: Any = None) -> None:
        """End this step with the exception that ended it; ``output`` is what there was of a result, if anything."""
        self.trace.recorder.fail(self, error, self._output[0] if self._output else output)

    @property
    def output(self) -> Any:
        """What is recorded as this step's output, where the code says it itself."""
        return self._output[0] if self._output else None

    @output.setter
    def output(self, value: Any) -> None:
        self._output = (value,)


class NoStep:
    """What ``current()`` gives outside a workflow: takes everything, records nothing."""

    __slots__ = ()
    trace_id: str | None = None
    step_id: str | None = None
    is_replay = False

    def set(self, **_: Any) -> None:
        """Nothing runs, so nothing is said about it."""

    def score(self, name: str, value: float | bool | str) -> None:  # noqa: FBT001
        """Nothing runs, so nothing is scored."""

    @property
    def output(self) -> Any:
        return None

    @output.setter
    def output(self, value: Any) -> None:
        """One object serves all code outside workflows: it must not keep anything."""


CURRENT: ContextVar[ActiveStep | None] = ContextVar("playhead_step", default=None)
#: The player that the next workflow to begin runs under.
NEXT_PLAYER: ContextVar[Player | None] = ContextVar("playhead_player", default=None)
#: Whether a request is being sent that the player was asked about: what it takes to send it, in whatever task, a replay
#: lets happen.
SENDING: ContextVar[bool] = ContextVar("playhead_sending", default=False)


def leave(token: Token[ActiveStep | None]) -> None:
    """Make the step that ran before the running one again."""
    try:
        CURRENT.reset(token)
    except ValueError:
        # An async generator may be closed by another task than the one that began it: there, no step was set.
        return
