"""The one thing tracer knows of replaying: before a step runs, someone may answer for it.

A workflow that runs under a player asks it before every step. Normal life has no player and pays nothing for this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Mapping, Protocol

if TYPE_CHECKING:
    from tracer.catalogue import Target
    from tracer.model import Origin, Step


@dataclass(frozen=True, slots=True)
class Call:
    """A step that is about to run. ``input`` is the codec's bytes; ``value`` decodes it only when asked."""

    trace_id: str
    step_id: str
    parent_id: str | None
    name: str
    kind: str
    path: str
    occurrence: int
    input: bytes | None
    input_lossy: tuple[str, ...]
    identity: str
    fingerprint: str | None
    effect: bool = False
    #: A ``with span(...)`` block: it can't be skipped, so the only answer to it is Run.
    block: bool = False
    #: ``(value_or_function,)`` where ``@effect(stand_in=...)`` declares one.
    stand_in: tuple[Any, ...] = ()
    #: Which item it is about, where the step says so (``@step(key=...)``): as in the recorded step's tags.
    key: Any = None
    #: The inputs as a function gets them, for a stand-in that is a function.
    arguments: tuple[tuple[Any, ...], Mapping[str, Any]] = ((), {})
    #: The inputs as they are kept, in the codec's bytes: without secrets, cut, or None where they are not captured.
    kept: bytes | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Run it for real. ``target`` is set on a model call that another model is to answer."""

    source: Step | None = None
    target: Target | None = None
    origin: Origin = "live"


@dataclass(frozen=True, slots=True)
class Answer:
    """Don't run it: this is its result. ``subtree`` holds the recorded steps below it, shown as served."""

    value: Any
    origin: Origin
    source: Step | None = None
    subtree: tuple[Step, ...] = ()
    #: Seconds before it answers, on whatever clock the replay has.
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Raise:
    """Don't run it: raise this."""

    error: BaseException
    origin: Origin
    source: Step | None = None
    subtree: tuple[Step, ...] = ()
    after_s: float = 0.0


Decision = Run | Answer | Raise


class ReplayStopped(BaseException):
    """The player ends the whole replay here. Not an Exception, so that the workflow's own handlers can't swallow it."""


class Player(Protocol):
    def decide(self, call: Call) -> Decision:
        """Say what becomes of a step. May raise to stop the whole replay; that error derives from BaseException."""

    def about(self) -> Mapping[str, Any]:
        """What the root of the new trace says of itself: ``replay_of`` or ``resume_of``, and ``plan``."""

    def value(self, step_id: str, name: str, occurrence: int, make: Callable[[], Any]) -> Any:
        """A value of time or chance (``now``, ``random``, ``uuid4``): the recorded one, or a new one from ``make``."""

    def finished(self, step_id: str, *, call: Mapping[str, Any], at_ns: int) -> None:
        """A model call that ran for real has ended; ``call`` is what its Finished event says of it."""
