"""Trying targets in order, as a generator that neither calls nor waits: it yields a target and is sent what came of it.

A driver is the ten lines that call; there is one for plain functions and one for coroutines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Generator, Generic, Sequence, TypeVar

from router.errors import AllTargetsFailed, OutputRejected
from tracer.catalogue import Target

T = TypeVar("T")

#: Which exceptions mean "try the next one": classes, or a function that says so of one exception.
On = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
#: Why a result won't do, or None when it will.
Reject = Callable[[Any], str | None]


@dataclass(frozen=True, slots=True)
class Returned(Generic[T]):
    """The target gave this."""

    value: T


@dataclass(frozen=True, slots=True)
class Raised:
    """The call of the target ended in this."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Failed:
    """One attempt that did not count: which target, and what it raised."""

    target: str
    error: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """What a fallback came to: the value, the name of the target that gave it, and the attempts before it."""

    value: T
    target: str
    failed: tuple[Failed, ...] = ()

    @property
    def fell_back(self) -> bool:
        return bool(self.failed)


def attempts(targets: Sequence[Target], *, on: On) -> Generator[Target, Returned[T] | Raised, Answered[T]]:
    """Yield a target to try, be sent what came of it, until one answers or an error says to stop.

    An error that ``on`` does not name is raised as it is. Raises AllTargetsFailed when every target failed.
    """
    if not targets:
        raise ValueError("a fallback needs at least one target")
    failed: list[tuple[str, Exception]] = []
    for target in targets:
        outcome = yield target
        if isinstance(outcome, Returned):
            return Answered(outcome.value, target.name, tuple(_told(name, error) for name, error in failed))
        if not covers(on, outcome.error):
            raise outcome.error
        failed.append((target.name, outcome.error))
    raise AllTargetsFailed(failed)


def covers(on: On, error: Exception) -> bool:
    """Whether the next target may be tried after this error. A refused output always means that."""
    if isinstance(error, OutputRejected):
        return True
    return isinstance(error, on) if isinstance(on, type | tuple) else on(error)


def accept(target: Target, value: T, *, reject: Reject | None) -> T:
    """The value, unless ``reject`` gives a reason against it: then OutputRejected is raised."""
    reason = None if reject is None else reject(value)
    if reason is not None:
        raise OutputRejected(target.name, reason)
    return value


def _told(target: str, error: Exception) -> Failed:
    reason = error.reason if isinstance(error, OutputRejected) else str(error)
    return Failed(target, type(error).__name__, reason)
