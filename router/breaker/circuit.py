"""A circuit that threads share: the lock is held for a transition, and never for a call."""

from __future__ import annotations

import threading
import time
from typing import Callable, NamedTuple

from router.breaker.state import Ask, Closed, Event, Rules, State, admits
from router.forks import tell_of_forks

#: Seconds, on a clock that never goes back.
Clock = Callable[[], float]
_ASK = Ask()


def monotonic() -> float:
    """``time.monotonic``, looked up at each call: in a replay it is the virtual one."""
    return time.monotonic()


class Turn(NamedTuple):
    """What one event made of the circuit. A tuple, as one is made for every call."""

    before: State
    after: State
    now: float
    event: Event

    @property
    def admits(self) -> bool:
        return admits(self.before, self.after)

    @property
    def is_transition(self) -> bool:
        return self.after.epoch != self.before.epoch


class Circuit:
    """The state of one breaker and what happens to it, one event at a time."""

    def __init__(self, rules: Rules, clock: Clock) -> None:
        self.rules = rules
        self.clock = clock
        self._lock = threading.Lock()
        self._state: State = Closed(0, rules.trip.empty())
        tell_of_forks(self)

    def forked(self) -> None:
        self._lock = threading.Lock()

    @property
    def state(self) -> State:
        return self._state

    def ask(self) -> Turn:
        """Somebody wants to call."""
        return self._turn(_ASK)

    def report(self, event: Event) -> Turn:
        """A call has ended."""
        return self._turn(event)

    def become(self, state: State) -> None:
        """Go on from here."""
        with self._lock:
            self._state = state

    def _turn(self, event: Event) -> Turn:
        with self._lock:
            now, before = self.clock(), self._state
            after = self._state = before.next(event, now, self.rules)
        return Turn(before, after, now, event)
