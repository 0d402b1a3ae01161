"""A breaker: asked before a call and told what came of it; as a decorator, a context, and by the Router."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Self, TypeVar, cast

from router.breaker.circuit import Circuit, Clock, Turn, monotonic
from router.breaker.record import Admission, admission, changed, copy_of
from router.breaker.sharing import SharedCircuit
from router.breaker.state import Abandoned, Closed, Event, Failed, Name, Rules, Succeeded
from router.breaker.trips import Consecutive, Trip
from router.errors import CircuitOpen

if TYPE_CHECKING:
    from tracer.store import Store

F = TypeVar("F", bound=Callable[..., Any])
#: Which exceptions speak against the target: classes, or a function that says so of one exception.
Counts = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]


class Permit:
    """Leave for one call. Say what came of it, once; what is said later is passed over. As a context it says so by
    itself: an exception that the breaker counts is a failure, any other one tells nothing."""

    __slots__ = ("_admission", "_breaker", "_circuit", "_epoch", "_is_open", "state")

    def __init__(self, breaker: Breaker, circuit: Circuit, turn: Turn, where: Admission | None) -> None:
        #: ``closed``, or ``half-open`` for a probe.
        self.state: Name = turn.after.name
        self._breaker = breaker
        self._circuit = circuit
        self._epoch = turn.after.epoch
        self._admission = where
        self._is_open = True

    def succeeded(self) -> None:
        """The target did what it should."""
        self._report(Succeeded(self._epoch))

    def failed(self, reason: str | Exception = "") -> None:
        """The target did not; ``reason`` is shown with the open circuit. An exception is held against the target only
        where the breaker counts it."""
        if isinstance(reason, Exception):
            self.ended(reason)
        else:
            self._report(Failed(self._epoch, reason))

    def abandoned(self) -> None:
        """The call says nothing about the target: it was cancelled, or never got there."""
        self._report(Abandoned(self._epoch))

    def ended(self, error: BaseException | None) -> None:
        """The call ended in this, None for a value: a failure where the breaker counts it."""
        if error is None:
            self.succeeded()
        elif self._breaker.counts(error):
            self.failed(type(error).__name__)
        else:
            self.abandoned()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended(error)

    def _report(self, event: Event) -> None:
        if not self._is_open:
            return
        self._is_open = False
        if self._admission is not None:
            self._admission.heard(event)
        turn = self._circuit.report(event)
        if turn.is_transition:
            changed(self._breaker.name, turn)


class Breaker:
    """Leaves a target alone that keeps failing, then tries it with one call at a time.

    ``trip`` says when the circuit opens (``Consecutive``, ``Rate``), ``open_s`` for how many seconds; then one call,
    the probe, decides: it closes the circuit or opens it again. A probe that reports nothing for ``probe_s`` seconds
    is given up. ``counts`` are the exceptions that speak against the target (classes, or a function of one exception);
    what it does not name changes nothing. An answer that is no good counts where you say so: by ``permit.failed(...)``,
    or by an exception of your own that ``counts`` names. ``clock`` gives seconds and never goes back. ``shared`` is the
    store (its path, its URL, or True for the configured one) through which processes have one circuit of that name.

        with breaker.admit():          # raises CircuitOpen
            answer = client.ask(...)

        @breaker                       # functions and coroutine functions
        def ask(question): ...
    """

    def __init__(  # noqa: PLR0913 - each is one thing to say about a breaker
        self,
        name: str,
        *,
        trip: Trip | None = None,
        open_s: float = 30.0,
        probe_s: float = 60.0,
        counts: Counts = Exception,
        clock: Clock = monotonic,
        shared: Store | str | Path | bool | None = None,
    ) -> None:
        self.name = name
        self._counts = counts
        self._clock = clock
        self._rules = Rules(trip or Consecutive(), open_s, probe_s)
        self._circuit = self._own()
        if shared is not None and shared is not False:
            self._circuit = SharedCircuit(name, self._rules, clock, _place(shared))

    def admit(self) -> Permit:
        """Leave for one call. Raises CircuitOpen."""
        where = admission(self, self.name, self._own)
        circuit = self._circuit if where is None or where.copy is None else where.copy.circuit
        turn = circuit.ask() if where is None else where.ask(circuit)
        if turn.is_transition:
            changed(self.name, turn)
        if turn.admits:
            return Permit(self, circuit, turn, where)
        after = turn.after
        assert not isinstance(after, Closed)
        raise CircuitOpen(self.name, max(0.0, after.until - turn.now), after.reason)

    @property
    def state(self) -> Name:
        """``closed``, ``open`` or ``half-open``, as this process has it; an open one stays so until somebody asks."""
        copy = copy_of(self, self._own)
        return (self._circuit if copy is None else copy.circuit).state.name

    def counts(self, error: BaseException) -> bool:
        """Whether this exception speaks against the target. What is no Exception never does."""
        if not isinstance(error, Exception):
            return False
        counts = self._counts
        return isinstance(error, counts) if isinstance(counts, type | tuple) else counts(error)

    def close(self) -> None:
        """Let go of the store. The circuit stays, as this process's own."""
        if isinstance(self._circuit, SharedCircuit):
            self._circuit.close()

    def __call__(self, function: F) -> F:
        """The function behind this breaker: CircuitOpen is raised in place of a call that would not be let through."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__name__} is a generator: use `with breaker.admit():` around its loop")
        guarded = _around_async(self, function) if inspect.iscoroutinefunction(function) else _around(self, function)
        return cast("F", functools.wraps(function)(guarded))

    def _own(self) -> Circuit:
        return Circuit(self._rules, self._clock)


def _place(shared: Store | str | Path | bool) -> Store | str | Path | None:  # noqa: FBT001 - what shared= takes
    return None if isinstance(shared, bool) else shared


def _around(breaker: Breaker, function: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with breaker.admit():
            return function(*args, **kwargs)

    return guarded


def _around_async(breaker: Breaker, function: Callable[..., Any]) -> Callable[..., Any]:
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        with breaker.admit():
            return await function(*args, **kwargs)

    return guarded
