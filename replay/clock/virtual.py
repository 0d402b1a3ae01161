"""One replay's clock, and who waits on it.

Waits of several threads end in the order in which they are due, those begun first before others due at the same time,
however the threads are scheduled: only the wait that is due first is ever skipped, and only while every other thread
of the replay waits too. A thread that is at work, or waits for something that this process can't see the end of (a
socket, a lock taken by hand, a process), holds the clock back: then waits take their real time, and no more.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator

from replay.clock.quiet import Others, others

# The real ones, for while they are replaced.
_monotonic_ns = time.monotonic_ns
_real_sleep = time.sleep
#: How long a wait looks away before it asks again whether it may be skipped, in seconds: from and up to.
_FIRST_LOOK_S = 0.0005
_LAST_LOOK_S = 0.02


class Wait:
    """One thread's wait. ``due_ns`` is on this clock, None for a wait without end; ``is_held`` says whether something
    real may end it, or has."""

    __slots__ = ("due_ns", "is_held", "order", "was_quiet")

    def __init__(self, due_ns: int | None, order: int, is_held: Callable[[], bool]) -> None:
        self.due_ns = due_ns
        self.order = order
        self.is_held = is_held
        #: Whether all was quiet when it last looked.
        self.was_quiet = False


def _by_nothing() -> bool:
    return False


class VirtualClock:
    """``enter`` it on the thread that the workflow runs on. ``skipped_ns`` is what was not waited so far."""

    def __init__(self) -> None:
        self.skipped_ns = 0
        self._threads: set[int] = set()
        #: Thread -> what it waits for here.
        self._waits: dict[int, Wait] = {}
        self._numbers = itertools.count()
        # Guards all of the above.
        self._lock = threading.Lock()

    @contextmanager
    def enter(self, player: Any) -> Iterator[None]:
        """While ``player`` plays on this thread. Other threads belong to it while they run below one of its steps."""
        self._player = player
        ident = threading.get_ident()
        self._threads.add(ident)
        try:
            yield
        finally:
            self._threads.discard(ident)

    def now_ns(self) -> int:
        """The monotonic clock, as code inside the replay sees it."""
        return _monotonic_ns() + self.skipped_ns

    def skip(self, seconds: float) -> None:
        """Let this much time pass at once."""
        with self._lock:
            self.skipped_ns += math.ceil(seconds * 1e9)

    def sleep(self, seconds: float) -> None:
        """``time.sleep`` on this clock."""
        if not _is_ahead(seconds):
            _real_sleep(seconds)  # gives way to others, or refuses
            return
        with self.waiting(self.now_ns() + math.ceil(seconds * 1e9)) as wait:
            for look_s in looks():
                left_s = self.left_s(wait)
                if left_s <= 0 or self.skip_to(wait):
                    return
                _real_sleep(min(left_s, look_s))

    @contextmanager
    def waiting(self, due_ns: int | None, is_held: Callable[[], bool] = _by_nothing) -> Iterator[Wait]:
        """While this thread waits: the others may see it, and be skipped past it."""
        ident = threading.get_ident()
        wait = Wait(due_ns, next(self._numbers), is_held)
        with self._lock:
            around = self._waits.get(ident)  # a signal's handler may sleep inside a wait
            self._waits[ident] = wait
        try:
            yield wait
        finally:
            with self._lock:
                if around is None:
                    del self._waits[ident]
                else:
                    self._waits[ident] = around

    def left_s(self, wait: Wait) -> float:
        """Seconds until a wait is due; infinite for one without end."""
        return math.inf if wait.due_ns is None else (wait.due_ns - self.now_ns()) / 1e9

    def skip_to(self, wait: Wait) -> bool:
        """Move the clock to where this thread's wait is due, if nothing real is going on and no other is due before.

        True if it is due now.
        """
        if wait.due_ns is None:
            return False
        with self._lock:
            me = threading.get_ident()
            ahead = (each for ident, each in self._waits.items() if ident != me and each.due_ns is not None)
            if wait.is_held() or any((each.due_ns, each.order) < (wait.due_ns, wait.order) for each in ahead):
                wait.was_quiet = False
                return False
            found = self._others(me)
            # A job on its way to a thread of a pool, or its result on the way back, is on no stack for a moment.
            settled = found is Others.WAIT or (found is Others.MAY_COME and wait.was_quiet)
            wait.was_quiet = found is not Others.WORK
            if settled:
                self.skipped_ns += max(0, wait.due_ns - self.now_ns())
            return settled

    def _others(self, me: int) -> Others:
        """What the other threads of this replay are doing. An event loop is asked before and after, as they are."""
        loops = [each for ident, each in self._waits.items() if ident != me]
        if any(each.is_held() for each in loops):
            return Others.WORK
        found = others(self._player, self._threads, {me, *self._waits})
        return Others.WORK if any(each.is_held() for each in loops) else found


def _is_ahead(seconds: Any) -> bool:
    try:
        return bool(seconds > 0)
    except TypeError:
        return False


def looks() -> Iterator[float]:
    """How long to look away, time after time, in seconds."""
    look_s = _FIRST_LOOK_S
    while True:
        yield look_s
        look_s = min(look_s * 1.5, _LAST_LOOK_S)
