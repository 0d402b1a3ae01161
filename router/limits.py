"""Deadlines and budgets of everything that is called inside: contexts that only shrink.

    with deadline(10), budget(usd=0.05, calls=8):
        ...

Nested ones take the smaller limit, and what is spent inside counts for all that are open around it. A task begun inside
is bound by them, as is a thread that a workflow starts. They interrupt nothing: a ``Router`` begins no call and no wait
past them and offers each call the time that is left; code of your own asks ``time_left()``, ``usd_left()`` and
``calls_left()``, or has ``check_limits()`` raise. A replay is told what was left when its workflow was recorded.

Money is what model calls cost by the prices that playhead records: those that a workflow captures are counted as they
end, others by their result where it tells a model and a usage, or by ``spend()``.
"""

from __future__ import annotations

import functools
import inspect
import math
import threading
import time
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Callable, Literal, Self, Sequence, TypeVar

from router.errors import BudgetExceeded, DeadlineExceeded
from tracer import Price, recorded
from tracer.context import CARRIED, CURRENT

F = TypeVar("F", bound=Callable[..., Any])
Unpriced = Literal["refuse", "allow"]

#: A replay's own clock counts where it is further behind the record than computing explains: by an injected timeout,
#: or by a live call.
_SLACK_S = 1.0
_NUSD = 10**9


class Purse:
    """What is left of one budget. None: it does not limit that."""

    def __init__(self, usd: float | None, calls: int | None, unpriced: Unpriced) -> None:
        self.nusd = None if usd is None else round(usd * _NUSD)
        self.calls = calls
        #: Why the money left is not known, once it isn't.
        self.unknown: str | None = None
        self._refuses_unknown = unpriced == "refuse" and usd is not None
        # Guards the three above, for the time of an assignment.
        self._lock = threading.Lock()

    def take_call(self) -> bool:
        """One call less, if there is one left."""
        with self._lock:
            if self.calls is not None:
                if self.calls <= 0:
                    return False
                self.calls -= 1
            return True

    def give_back_call(self) -> None:
        """One call more: it was not made."""
        with self._lock:
            if self.calls is not None:
                self.calls += 1

    def count_call(self) -> None:
        """One call less, also where there is none left: it was made."""
        with self._lock:
            if self.calls is not None:
                self.calls -= 1

    def pay(self, nusd: int | None, why: str) -> None:
        """Less by what a call cost; None: that is unknown, and ``why`` says so."""
        with self._lock:
            if nusd is not None and self.nusd is not None:
                self.nusd -= nusd
            elif nusd is None and self._refuses_unknown:
                self.unknown = self.unknown or why


@dataclass(slots=True)
class Tab:
    """What one attempt of a Router called, as far as it was seen. Its first call is taken from the budgets before it
    begins."""

    #: The price that the attempt's target declares.
    price: Price | None = None
    calls: int = 0
    #: Attempts that the SDK made by itself.
    sdk_retries: int = 0
    is_prepaid: bool = True


@dataclass(frozen=True, slots=True)
class Left:
    """What is left, of time (seconds), calls and money (nano-dollars); None: not limited. ``unknown`` says why the
    money is not known."""

    time_s: float | None = None
    calls: int | None = None
    nusd: int | None = None
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits in force: until when (on the monotonic clock), and all purses that are open."""

    until: float | None = None
    purses: tuple[Purse, ...] = ()
    tab: Tab | None = None

    def within(self, seconds: float | None) -> Limits:
        """These, and a deadline in so many seconds."""
        if seconds is None:
            return self
        until = time.monotonic() + seconds
        return replace(self, until=until if self.until is None else min(self.until, until))

    def paying(self, usd: float | None, calls: int | None = None, unpriced: Unpriced = "refuse") -> Limits:
        """These, and a budget."""
        if usd is None and calls is None:
            return self
        return replace(self, purses=(*self.purses, Purse(usd, calls, unpriced)))

    def left(self) -> Left:
        """What is left now."""
        return Left(
            None if self.until is None else self.until - time.monotonic(),
            _least(purse.calls for purse in self.purses),
            _least(purse.nusd for purse in self.purses),
            next((purse.unknown for purse in self.purses if purse.unknown is not None), None),
        )

    def recorded_left(self) -> Left:
        """What is left, as a recorded value of the running step. A replay is told the recorded one, unless less is left
        in it."""
        if self.until is None and not self.purses:
            return _ALL
        now = self.left()
        if CURRENT.get() is None:
            return now
        told: Any = recorded("left", lambda: [now.time_s, now.calls, now.nusd, now.unknown])
        return _less(now, told) if isinstance(told, list | tuple) and len(told) == 4 else now


def _less(now: Left, told: Sequence[Any]) -> Left:
    """What the record says was left, or what is left now where that is less."""
    time_s, calls, nusd, unknown = told
    if time_s is None or (now.time_s is not None and now.time_s < time_s - _SLACK_S):
        time_s = now.time_s
    return Left(time_s, _least((calls, now.calls)), _least((nusd, now.nusd)), unknown or now.unknown)


_ALL = Left()
_NONE = Limits()
LIMITS: ContextVar[Limits | None] = ContextVar("playhead_limits", default=None)
CARRIED.append(LIMITS)


def in_force() -> Limits:
    """The limits here and now."""
    return LIMITS.get() or _NONE


def refuse(target: str, left: Left) -> None:
    """Raise DeadlineExceeded or BudgetExceeded where nothing is left for a call of this target."""
    if left.time_s is not None and left.time_s <= 0:
        raise DeadlineExceeded(target, f"the deadline passed {-left.time_s:.3g} s ago")
    if left.calls is not None and left.calls <= 0:
        raise BudgetExceeded(target, "the budget's calls are used up")
    if left.nusd is not None and left.nusd <= 0:
        raise BudgetExceeded(target, f"the budget is used up: {-left.nusd / _NUSD:.6f} USD over it")
    if left.unknown is not None:
        raise BudgetExceeded(
            target,
            f"what is left of the budget is not known, because a call before has no price: {left.unknown}. "
            'Declare one (Target(price=...)), say it with spend(), or allow it: budget(..., unpriced="allow")',
        )


def take_call(target: str, limits: Limits) -> None:
    """Count a call of this target before it begins. Raises BudgetExceeded where another thread took the last one."""
    taken: list[Purse] = []
    for purse in limits.purses:
        if not purse.take_call():
            for other in taken:
                other.give_back_call()
            raise BudgetExceeded(target, "the budget's calls are used up")
        taken.append(purse)


def time_left() -> float | None:
    """Seconds until the nearest deadline, below 0 once it has passed; None where there is none."""
    return in_force().recorded_left().time_s


def usd_left() -> float | None:
    """US dollars left in the smallest budget, below 0 where it was overdrawn; None where none limits money."""
    nusd = in_force().recorded_left().nusd
    return None if nusd is None else nusd / _NUSD


def calls_left() -> int | None:
    """Model calls left in the smallest budget; None where none limits them."""
    return in_force().recorded_left().calls


def check_limits(name: str = "the call") -> None:
    """Raise DeadlineExceeded or BudgetExceeded where nothing is left for what is about to be called."""
    refuse(name, in_force().recorded_left())


def spend(usd: float | None, *, calls: int = 1, why: str = "its caller does not know") -> None:
    """Take from all budgets what a call cost that playhead does not see; ``usd=None``: that is unknown, and ``why``."""
    limits = in_force()
    for _ in range(calls):
        count(limits)
    pay(limits, None if usd is None else round(usd * _NUSD), why)


def count(limits: Limits) -> None:
    """Count one call that was made."""
    tab = limits.tab
    if tab is not None:
        tab.calls += 1
        if tab.is_prepaid:
            tab.is_prepaid = False
            return
    for purse in limits.purses:
        purse.count_call()


def pay(limits: Limits, nusd: int | None, why: str) -> None:
    """Take the cost of a call, None where unknown, from every purse."""
    for purse in limits.purses:
        purse.pay(nusd, why)


class Scope:
    """A limit, as a context (``with``; in a coroutine too) and as a decorator of functions, plain and async."""

    def __init__(self, shrink: Callable[[Limits], Limits]) -> None:
        self._shrink = shrink
        self._entered: list[Token[Limits | None]] = []

    def __enter__(self) -> Self:
        self._entered.append(LIMITS.set(self._shrink(in_force())))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        LIMITS.reset(self._entered.pop())

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__name__} is a generator: put the limit around the loop that reads it")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def limited_async(*args: Any, **kwargs: Any) -> Any:
                with Scope(self._shrink):
                    return await function(*args, **kwargs)

            return limited_async  # type: ignore[return-value]  # of the same signature

        @functools.wraps(function)
        def limited(*args: Any, **kwargs: Any) -> Any:
            with Scope(self._shrink):
                return function(*args, **kwargs)

        return limited  # type: ignore[return-value]  # likewise


def deadline(seconds: float) -> Scope:
    """What is called inside has this many seconds from its beginning, or fewer where a deadline around is nearer."""
    if not seconds >= 0:
        raise ValueError(f"a deadline needs seconds >= 0, not {seconds}")
    return Scope(lambda limits: limits.within(seconds))


def budget(*, usd: float | None = None, calls: int | None = None, unpriced: Unpriced = "refuse") -> Scope:
    """What is called inside may cost ``usd`` dollars and take ``calls`` model calls, or less where a budget around has
    less left. A call is begun while anything is left, so that the last one may overdraw the money.

    After an answer whose price is unknown no other call is begun (``unpriced="allow"``: it counts as a call only).
    """
    if usd is None and calls is None:
        raise ValueError("a budget needs usd=, calls= or both")
    if usd is not None and not (math.isfinite(usd) and usd >= 0):
        raise ValueError(f"a budget needs a finite usd >= 0, not {usd}")
    if calls is not None and calls < 0:
        raise ValueError(f"a budget needs calls >= 0, not {calls}")
    if unpriced not in {"refuse", "allow"}:
        raise ValueError(f'unpriced is "refuse" or "allow", not {unpriced!r}')
    return Scope(lambda limits: limits.paying(usd, calls, unpriced))


def _least(values: Any) -> Any:
    return min((value for value in values if value is not None), default=None)
