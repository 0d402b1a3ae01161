"""The running step, handed to another process: what it takes to record below it there, as plain data that is sent along
with a call, and the stand-in that is made of it on the other side.

**Numbers.** Several processes record below one step, and none sees what the others call. So the step's own process
deals out numbers when it hands work over. Where the work is a step itself, or one for each item, the call gets the
number that it would have had in a loop: ``work``, ``work[1]``, ``work[2]``. What else begins below the stand-in is
counted from a million for each hand-over (``work[2000001]`` is the second in the second one): unlike any other, and the
same each time.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
from dataclasses import replace
from typing import Any, Callable, Iterator, Mapping, NamedTuple

from tracer import recorder
from tracer.capture import instrument
from tracer.config import Config
from tracer.context import CURRENT, SETTLERS, ActiveStep, ActiveTrace
from tracer.guard import guard, report
from tracer.ids import Anchor
from tracer.recording import Recorder
from tracer.unrecorded import Unrecorded

#: How far apart the numbers of two hand-overs begin.
BLOCK = 1_000_000
_HAND_OVERS = "(hand-overs)"
#: What the store holds of a number; only hand-overs nested four deep, without a step between, come near it.
_MOST = 2**62


class Carried(NamedTuple):
    """A running step. ``trace_id`` is empty for one that is not recorded: nothing below it is to be, either."""

    trace_id: bytes
    step_id: bytes
    name: str
    kind: str
    path: str
    capture: Any
    #: The clock that the trace is timed by: of the machine, so the same in all its processes.
    anchor: tuple[int, int]
    #: The entries of tracestate that a caller from outside sent with it.
    state: str
    #: How the trace is recorded, pickled apart: what can't be read there must not keep the call from running.
    config: bytes


class Numbers(NamedTuple):
    """The numbers of one hand-over: for the first call of ``name``, and where those of all others begin."""

    name: str | None
    number: int
    block: int


def carried(step: ActiveStep) -> Carried:
    """A running step, as plain data."""
    trace = step.trace
    config = b"" if not trace.trace_id else _pickled(trace.recorder.config)  # type: ignore[union-attr]  # has an id
    anchor = (trace.anchor.wall_ns, trace.anchor.monotonic_ns)
    state = getattr(trace, "state", "")
    return Carried(trace.trace_id, step.step, step.name, step.kind, step.path, step.capture, anchor, state, config)


#: The configuration that was sent last, and as what.
_sent: tuple[Config | None, bytes] = (None, b"")


def _pickled(config: Config) -> bytes:
    global _sent  # noqa: PLW0603 - a cache of one: a process records with one configuration
    last, data = _sent
    if last is not config:
        try:
            data = pickle.dumps(config)
        except Exception:  # noqa: BLE001 - a rule is the user's: pickling it may raise anything
            why = "one can't be pickled, so no content is recorded there: make it a function of a module"
            report("send its rules of redaction to worker processes", why)
            data = pickle.dumps(replace(config, redact=(), capture_content=False))
        _sent = (config, data)
    return data


def deal(step: ActiveStep, name: str | None) -> Numbers:
    """The numbers of the next hand-over; ``name`` is the step that it calls, where that is known."""
    block = (step.occurrence_of(_HAND_OVERS) + 1) * BLOCK % _MOST
    return Numbers(name, 0 if name is None else step.occurrence_of(name), block)


def name_of(function: Any) -> str | None:
    """The name of the step that calling this begins; None where it is no step."""
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__playhead_name__") and not hasattr(function, "__code__"):
        function = type(function).__call__
    found: str | None = getattr(function, "__playhead_name__", None)
    return found


class Call:
    """A function to be called in another process, below a step of this one. It takes the numbers before all else."""

    __slots__ = ("carried", "function")

    def __init__(self, carried: Carried, function: Callable[..., Any]) -> None:
        self.carried = carried
        self.function = function

    def __call__(self, numbers: Numbers, /, *args: Any, **kwargs: Any) -> Any:
        return below(self.carried, numbers, self.function, args, kwargs)


class EachCall(Call):
    """The same, of one item: the numbers and the value, or the values, in one."""

    __slots__ = ("starred",)

    def __init__(self, carried: Carried, function: Callable[..., Any], *, starred: bool) -> None:
        super().__init__(carried, function)
        self.starred = starred

    def __call__(self, item: tuple[Numbers, Any], /) -> Any:  # type: ignore[override]  # called by other hands
        numbers, value = item
        return below(self.carried, numbers, self.function, tuple(value) if self.starred else (value,), {})


def below(
    carried: Carried,
    numbers: Numbers,
    function: Callable[..., Any],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] = {},
) -> Any:
    """Call a function below the step of another process, which recorded it there."""
    step: ActiveStep | None = None
    with guard("record in a worker process"):
        instrument()
        step = _StandIn(carried, numbers)
    token = CURRENT.set(step)
    try:
        return function(*args, **kwargs)
    finally:
        CURRENT.reset(token)
        with guard("record in a worker process"):
            for settle in SETTLERS:
                settle()


class _Elsewhere(ActiveTrace):
    """A trace that another process began. Its recorder, with journal and thread, is made when something is recorded:
    most worker processes record nothing."""

    __slots__ = ("_config", "_recorder", "state")

    def __init__(self, carried: Carried) -> None:
        self._config = carried.config
        self.state = carried.state
        self._recorder: Recorder | Unrecorded | None = None if carried.trace_id else Unrecorded()
        super().__init__(carried.trace_id, Anchor(*carried.anchor), Unrecorded(), None)

    @property
    def recorder(self) -> Recorder | Unrecorded:
        if self._recorder is None:
            self._recorder = _joined(self._config) or Unrecorded()
        return self._recorder

    @recorder.setter
    def recorder(self, _: Recorder | Unrecorded) -> None:
        """It is found when it is needed."""


class _StandIn(ActiveStep):
    """The step of the other process, as the parent of what runs here. It never ends here."""

    __slots__ = ("_block", "_numbers")

    def __init__(self, carried: Carried, numbers: Numbers) -> None:
        trace = _Elsewhere(carried)
        super().__init__(
            trace, None, carried.step_id, carried.name, carried.kind, carried.path, capture=carried.capture
        )
        self._block = numbers.block
        self._numbers = {} if numbers.name is None else {numbers.name: numbers.number}

    def occurrence_of(self, name: str) -> int:
        dealt = self._numbers.pop(name, None)
        return self._block + super().occurrence_of(name) if dealt is None else dealt


#: The process that writes out at its end what it has recorded.
_draining = 0


def _joined(config: bytes) -> Recorder | None:
    global _draining  # noqa: PLW0603 - once in each process
    try:
        given = pickle.loads(config)  # noqa: S301 - it came with the call itself, pickled by the same hands
    except Exception as error:  # noqa: BLE001 - a rule of redaction that can't be imported here; anything may go wrong
        report("read the settings of the process that began this trace", error)
        return None
    if _draining != os.getpid():
        _draining = os.getpid()
        from multiprocessing.util import Finalize  # noqa: PLC0415 - this is a process that multiprocessing began

        # A forked worker ends without atexit. Last of all: other finalizers may still record.
        Finalize(None, recorder.shutdown, exitpriority=-100)
    return recorder.joined(given)


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Workers that are started here serve whoever comes: they must not take the running step for their own."""
    token = CURRENT.set(None)
    try:
        yield
    finally:
        CURRENT.reset(token)
