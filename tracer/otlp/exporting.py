"""Finished steps sent on as spans while the program runs: from a thread of their own, after the store holds them.

The writer says which steps have ended; this thread reads them back, and sends what ``playhead export --format otlp``
would write. A receiver that is slow or away costs the program nothing: what waits is a list of ids, bounded; each
request is tried a few times, ever more patiently; what is given up is counted (``guard.UNSENT``) and stays stored.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from typing import Any, Callable, Sequence

from tracer.errors import ConfigError
from tracer.events import Event, Finished
from tracer.guard import UNSENT, report
from tracer.importing import IMPORTING

#: Ended steps that may wait to be sent.
MOST_WAITING = 20_000
#: How long they wait for more of them, and how many are sent in one go.
_GATHERING_S = 0.5
_BATCH = 512
#: What a process that ends waits for its last steps to be sent.
CLOSING_S = 5.0
_ENDED = "the process ended before they could be sent"

_Ended = tuple[bytes, bytes]


class Exporter:
    """Sends on what it is offered. ``open_store`` gives a store to read from; it is called on this one's own thread."""

    def __init__(self, open_store: Callable[[], Any]) -> None:
        self._open_store = open_store
        self._store: Any = None
        #: (trace, step), in the order they ended; and how many more are just being sent.
        self._waiting: deque[_Ended] = deque()
        self._sending = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        # Guards the making of the thread, and who counts what was not sent.
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        #: Whoever closed it did not wait for the thread to end, and has counted what it still had.
        self._is_left = False
        #: Why nothing can be sent at all.
        self._wrong = ""

    def offer(self, events: Sequence[Event]) -> None:
        """The store holds these from now on. Never raises, never waits."""
        ended = [(event.trace_id, event.step_id) for event in events if isinstance(event, Finished)]
        with self._lock:
            room = 0 if self._wrong or self._is_left else max(0, MOST_WAITING - len(self._waiting))
            self._waiting.extend(ended[:room])
        if len(ended) > room:
            full = f"{MOST_WAITING:,} wait already: the receiver is away or slow"
            report(UNSENT, self._wrong or (_ENDED if self._is_left else full), times=len(ended) - room)
        if ended[:room]:
            self._start()
            self._wake.set()

    def close(self, timeout_s: float) -> None:
        """Send what waits, each request once more, and stop. What is not sent in time is given up."""
        left_s = max(0.0, min(timeout_s, CLOSING_S))
        self._deadline = time.monotonic() + left_s
        self._closing.set()
        self._wake.set()
        thread = self._thread
        if thread is not None:
            thread.join(left_s)
        self._give_up(_ENDED, for_good=True)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                thread = threading.Thread(target=self._run, name="playhead-otlp", daemon=True)
                try:
                    # In an empty context: it belongs to no step, whoever woke the writer.
                    contextvars.Context().run(thread.start)
                except RuntimeError as error:  # no more threads, or the interpreter is ending
                    report(UNSENT, error)
                else:
                    self._thread = thread

    def _run(self) -> None:
        try:
            self._work()
        except ConfigError as error:
            self._wrong = str(error)
            self._give_up(self._wrong)
        except BaseException as error:  # noqa: BLE001 - nobody is above us; the next steps start another thread
            self._give_up(f"{type(error).__name__}: {error}")
        finally:
            if self._store is not None:
                self._store.close()
                self._store = None
            with self._lock:
                self._thread = None

    def _work(self) -> None:
        with IMPORTING:
            from tracer.otlp.delivery import Delivery  # noqa: PLC0415 - only who sends needs what it takes
            from tracer.otlp.destination import destination  # noqa: PLC0415

        delivery = Delivery(destination(), self._reach, self._closing, lambda: self._deadline)
        while batch := self._next():
            for steps, lacking, why in delivery.deliver(batch):
                self._dealt_with(steps, lacking, why)

    def _next(self) -> list[_Ended]:
        """The next steps to send, waited for; none when there is nothing more to come."""
        while not self._waiting and not self._closing.is_set():
            self._wake.clear()
            # Cleared first, looked at second: an offer in between is seen here or sets the event again.
            if not self._waiting:
                self._wake.wait(1.0)
        if len(self._waiting) < _BATCH:
            self._closing.wait(_GATHERING_S)
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._sending = len(batch)
        return batch

    def _dealt_with(self, steps: int, lacking: int, why: str) -> None:
        with self._lock:
            if self._is_left:
                return  # all of them were counted
            self._sending -= steps
        if lacking:
            report(UNSENT, why, times=lacking)

    def _give_up(self, why: str, *, for_good: bool = False) -> None:
        """Count all there is as not sent."""
        with self._lock:
            left = 0 if self._is_left else len(self._waiting) + self._sending
            self._is_left = self._is_left or for_good
            self._waiting.clear()
            self._sending = 0
        if left:
            report(UNSENT, why, times=left)

    def _reach(self) -> Any:
        if self._store is None:
            self._store = self._open_store()
        return self._store
