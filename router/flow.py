"""The course of one routed call, as a generator that neither calls nor waits: it yields an Attempt or a Wait, and is
sent what came of it. Pure: what it must know of clocks, chance, limits and breakers it asks its ``Gate``.

What an attempt led to is known before the next one is asked for: sent an outcome, the course yields None, so that the
attempt's record can be closed, and goes on when it is sent None.

A driver is the few lines that call and sleep; there is one for plain functions and one for coroutines, and a pair for
streams.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Generator, Generic, Literal, Protocol, Sequence, TypeVar

from router.errors import AllTargetsFailed, DeadlineExceeded, LimitExceeded, OutputRejected, RouterError
from router.retry import On, Retry, names
from tracer.catalogue import Target

T = TypeVar("T")

#: What may be tried: a model, or a rule or a human (anything that is called without a model). A ``name`` names it.
Candidate = Target | Callable[..., Any]
#: Why a result won't do, or None when it will.
Reject = Callable[[Any], str | None]
#: What becomes of a stream that breaks after its first chunk.
OnBreak = Literal["raise", "restart", "continue"]
#: What an attempt led to: its answer was taken, the same target again, the next one, or its error raised as it is.
Ruling = Literal["done", "retry", "next", "raise"]


class Permit(Protocol):
    """A breaker's leave to call, given back in exactly one of three ways. ``state`` is the breaker's at that time."""

    @property
    def state(self) -> str: ...
    def succeeded(self) -> None: ...
    def failed(self, reason: Exception, /) -> None: ...
    def abandoned(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A target may be called, within ``timeout_s`` seconds (None: nothing limits it); ``permit`` is its breaker's."""

    timeout_s: float | None = None
    permit: Permit | None = None


class Gate(Protocol):
    """What a course asks of the world."""

    def admit(self, target: Candidate) -> Entry:
        """Leave to call this target now. Raises a RouterError where there is none."""

    def passed_over(self, target: Candidate) -> RouterError | None:
        """Why this target would be passed over now by its breaker: then nobody waits for it. None: it would not."""

    def time_left(self) -> float | None:
        """Seconds until the deadline; None where there is none."""

    def draw(self) -> float:
        """A number in [0, 1)."""

    def now_s(self) -> float:
        """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What leads where: ``retry`` to the same target again, ``on`` to the next one."""

    on: On
    retry: Retry | None = None
    on_break: OnBreak = "raise"

    def leads_on(self, error: Exception) -> bool:
        """Whether the next target may be tried after this error. A refused output always means that."""
        return isinstance(error, OutputRejected) or names(self.on, error)


@dataclass(slots=True)
class Attempt:
    """One try: what is to be called, and what it may know.

    ``number`` counts all tries from 1, ``at_target`` those at this target. ``timeout_s`` is the time that is left to
    it. ``said`` are the chunks that a stream gave before it broke, where it is to be continued.
    """

    target: Any
    number: int
    at_target: int
    timeout_s: float | None = None
    waited_s: float = 0.0
    breaker: str | None = None
    said: tuple[Any, ...] = ()
    #: What it led to, and why; known when it has ended.
    ruling: Ruling | None = None
    why: str = ""

    @property
    def name(self) -> str:
        """What the target is called."""
        return name_of(self.target)

    def rule(self, ruling: Ruling, why: str = "") -> None:
        self.ruling, self.why = ruling, why


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be called for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Returned(Generic[T]):
    """The target gave this."""

    value: T


@dataclass(frozen=True, slots=True)
class Raised:
    """The call of the target ended in this; ``said`` are the chunks that it had given, where it was a stream."""

    error: Exception
    said: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """One attempt that did not count: which target, and what it raised."""

    target: str
    error: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """What a routed call came to: the value, the name of the target that gave it, and what failed before it: attempts,
    and targets that were passed over (``CircuitOpen``, ``DeadlineExceeded``, ``BudgetExceeded``)."""

    value: T
    target: str
    failed: tuple[Failed, ...] = ()

    @property
    def fell_back(self) -> bool:
        return any(each.target != self.target for each in self.failed)


#: A course: yields what to do, is sent what came of an Attempt (and None after all else), returns what answered.
Course = Generator[Attempt | Wait | None, Returned[Any] | Raised | None, Answered[Any]]


def course(targets: Sequence[Candidate], plan: Plan, gate: Gate) -> Course:
    """Try the targets in order, each as often as the plan says, until one answers.

    An error that the plan does not name is raised as it is. Raises AllTargetsFailed when none answered, and
    DeadlineExceeded or BudgetExceeded when that was because the last one could not be tried (again). Every permit is
    given back, also where the course is closed in the middle of an attempt.
    """
    if not targets:
        raise ValueError("a fallback needs at least one target")
    past = _Past()
    for target in targets:
        at_target, waited_s = 0, 0.0
        while True:
            try:
                entry = gate.admit(target)
            except RouterError as error:
                past.note(name_of(target), error)
                break
            at_target += 1
            attempt = past.attempt(target, at_target, waited_s, entry)
            outcome = yield from _permitted(attempt, entry.permit)
            if isinstance(outcome, Returned):
                attempt.rule("done")
                yield None
                return Answered(outcome.value, attempt.name, past.told())
            past.note(attempt.name, outcome.error)
            if plan.on_break == "continue":
                past.said += outcome.said
            wait_s = _judge(plan, attempt, outcome, gate, past)
            yield None
            if attempt.ruling == "raise":
                raise outcome.error
            if wait_s is None:
                break
            if wait_s > 0 and (refusal := gate.passed_over(target)) is not None:
                past.note(attempt.name, refusal)
                break
            waited_s = wait_s
            yield Wait(wait_s)
    raise past.end()


def _judge(plan: Plan, attempt: Attempt, outcome: Raised, gate: Gate, past: _Past) -> float | None:
    """Say what a failed attempt leads to; the seconds to wait, where that is a retry."""
    error, retry = outcome.error, plan.retry
    if outcome.said and plan.on_break == "raise":
        attempt.rule("raise", "its chunks were given away")
        return None
    why, is_late = "", False
    if retry is not None and retry.covers(error):
        why = f"tried {attempt.at_target} of {retry.attempts} times"
        if attempt.at_target < retry.attempts:
            wait_s = retry.wait_s(error, attempt.at_target, draw=gate.draw, now_s=gate.now_s)
            left_s = None if wait_s is None else gate.time_left()
            if wait_s is not None and (left_s is None or wait_s < left_s):
                attempt.rule("retry", why)
                return wait_s
            is_late = wait_s is not None
            why = f"it asks for a wait of more than {retry.cap_s:g} s"
            if is_late:
                why = f"a wait of {wait_s:.3g} s would pass the deadline, {left_s:.3g} s away"
    if is_late:
        past.note(attempt.name, DeadlineExceeded(attempt.name, why))
    if is_late or plan.leads_on(error):
        attempt.rule("next", why)
    else:
        attempt.rule("raise", "no error that is named")
    return None


def _permitted(attempt: Attempt, permit: Permit | None) -> Generator[Attempt, Any, Returned[Any] | Raised]:
    """One attempt, and its permit given back."""
    if permit is None:
        return (yield attempt)  # type: ignore[no-any-return]  # what a driver sends
    try:
        outcome = yield attempt
    except BaseException:
        permit.abandoned()
        raise
    if isinstance(outcome, Returned):
        permit.succeeded()
    else:
        permit.failed(outcome.error)
    return outcome  # type: ignore[no-any-return]  # likewise


@dataclass(slots=True)
class _Past:
    """What has been tried, and what a broken stream had said."""

    failed: list[tuple[str, Exception]] = field(default_factory=list)
    number: int = 0
    said: tuple[Any, ...] = ()

    def note(self, name: str, error: Exception) -> None:
        self.failed.append((name, error))

    def attempt(self, target: Candidate, at_target: int, waited_s: float, entry: Entry) -> Attempt:
        self.number += 1
        state = None if entry.permit is None else entry.permit.state
        return Attempt(target, self.number, at_target, entry.timeout_s, waited_s, state, self.said)

    def told(self) -> tuple[Failed, ...]:
        return tuple(Failed(name, type(error).__name__, _reason(error)) for name, error in self.failed)

    def end(self) -> Exception:
        """What is raised where no target answered."""
        _, last = self.failed[-1]
        if not isinstance(last, LimitExceeded):
            return AllTargetsFailed(self.failed)
        last.__cause__ = next(
            (error for _, error in reversed(self.failed) if not isinstance(error, LimitExceeded)), None
        )
        return last


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, OutputRejected | LimitExceeded) else str(error)


def name_of(target: Candidate) -> str:
    """What a target is called: its ``name``, or the function's."""
    name = getattr(target, "name", None) or getattr(target, "__name__", None)
    return name if isinstance(name, str) else type(target).__name__


def accept(target: str, value: T, *, reject: Reject | None) -> T:
    """The value, unless ``reject`` gives a reason against it: then OutputRejected is raised."""
    reason = None if reject is None else reject(value)
    if reason is not None:
        raise OutputRejected(target, reason)
    return value
