"""The writer: one thread that moves events from the journal into the store, in batches.

The journal position is committed in the same transaction as the rows it stands for, so that a restart neither loses
nor doubles. While the store is away the journal holds everything, and the writer tries again, ever more patiently. How
it fares it tells in the journal's status, for other processes to see.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from tracer import guard, health
from tracer.adoption import adopt_abandoned
from tracer.batches import BATCH, events_of, write
from tracer.errors import StoreError
from tracer.guard import report
from tracer.journal import START, Journal
from tracer.key import store_key
from tracer.tail import KEEP_ALL, Keep

if TYPE_CHECKING:
    from tracer.otlp.exporting import Exporter
    from tracer.store import Store

_PATIENCE_S = 5.0
#: How long events wait for more of them, and how much of them may wait.
_GATHERING_S = 0.05
_GATHERED_BYTES = 1 << 20


class Writer:
    """Drains one journal into one store. ``open_store`` is called on the writer's own thread, when first needed."""

    def __init__(  # noqa: PLR0913 - what it moves events between, and by which rules
        self,
        journal: Journal,
        home: Path,
        store_tag: str,
        open_store: Callable[[], Store],
        *,
        keep: Callable[[], Keep] = lambda: KEEP_ALL,
        export: Exporter | None = None,
    ) -> None:
        self._journal = journal
        #: Which ended traces stay, as it is set just now.
        self._keep = keep
        #: Who is told of what the store holds from now on, and sends it on.
        self._export = export
        self._home = home
        self._key = store_key(home)
        self._store_tag = store_tag
        self._open_store = open_store
        self._store: Store | None = None
        self._position = START
        self._wake = threading.Event()
        #: Somebody waits for what is written.
        self._hurry = threading.Event()
        # Guards the position and the thread, and tells those who flush of every step forward.
        self._progress = threading.Condition()
        self._closing = threading.Event()
        self._failed_rounds = 0
        self._written = 0
        self._behind_since_ns = 0
        self._told = health.Status()
        self.problem: str | None = None
        self._thread: threading.Thread | None = None
        #: Whoever closed it did not wait for the thread to end.
        self._is_left = False
        guard.tell(self._tell)

    @property
    def has_store(self) -> bool:
        """Whether the store was opened, and with it everything imported that this takes."""
        return self._store is not None

    def wake(self) -> None:
        """Called at the start of a workflow: there will be events soon."""
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def _start(self) -> None:
        with self._progress:
            if self._thread is None and not self._closing.is_set():
                thread = threading.Thread(target=self._run, name="playhead-writer", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads, or the interpreter is ending: the journal keeps all
                    report("start its writer", error)
                else:
                    self._thread = thread

    def flush(self, timeout_s: float) -> bool:
        """Wait until the store holds everything appended before this call. False if it did not get there in time."""
        goal = self._journal.end
        deadline = time.monotonic() + timeout_s
        self._hurry.set()
        self.wake()
        with self._progress:
            while self._position < goal:
                left = deadline - time.monotonic()
                if left <= 0 or self._thread is None or not self._thread.is_alive():
                    return False
                self._progress.wait(min(left, 0.1))
        return True

    def close(self, timeout_s: float) -> bool:
        """Write what is waiting, stop the thread, and give the journal back. False when not everything was written; it
        then stays on disk. A store that is away is asked once more and not waited for."""
        self._closing.set()
        self._hurry.set()
        self._wake.set()
        thread, deadline = self._thread, time.monotonic() + timeout_s
        if thread is not None:
            thread.join(timeout_s)
        if self._export is not None:
            self._export.close(deadline - time.monotonic())
        self._tell()
        guard.tell_no_more(self._tell)
        with contextlib.suppress(OSError):  # the status that stays with the journal says the same
            health.keep(self._home, self._journal.owner, guard.take())
        with self._progress:
            self._is_left = self._thread is not None
        if self._is_left:
            # Given back now, it might be adopted while the thread still drains it: the thread gives it back at its end.
            self._journal.refuse()
            return False
        return self._journal.close(written=self._position)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - nobody is above us; the next workflow starts another thread
            report("keep its writer running", error)
        finally:
            with self._progress:
                self._thread = None
                self._progress.notify_all()
            if self._is_left:
                self._journal.close(written=self._position)

    def _work(self) -> None:
        while not self._closing.is_set():
            moved = self._round()
            if self._failed_rounds:
                # Not on the wake event: a store that is away does not come back because a workflow begins.
                self._closing.wait(min(_PATIENCE_S, 0.05 * 2 ** min(self._failed_rounds, 7)))
            elif moved:
                # A transaction has its price, and two threads at once cost more than one after the other: so a few
                # events wait for more of them. The journal holds them meanwhile.
                if self._journal.waiting_bytes < _GATHERED_BYTES:
                    self._hurry.wait(_GATHERING_S)
            else:
                self._hurry.clear()
                self._wake.clear()
                # Cleared first, looked at second: an append in between is seen here or sets the event again.
                if self._journal.end == self._position and not self._closing.is_set():
                    self._wake.wait(1.0)
        while self._round():
            pass  # what came since
        if self._store is not None:
            with contextlib.suppress(StoreError):  # the lock on the journal's folder says the same
                self._store.withdraw(self._journal.owner)
            self._store.close()

    def _round(self) -> int:
        """Move one portion. How many events; 0: there was nothing, or the store did not take it."""
        self._tell()
        try:
            store = self._store or self._reach()
            frames, position = self._journal.read(self._position, limit=BATCH)
            if frames:
                events = events_of(frames, self._key)
                write(store, events, owner=self._journal.owner, position=position, keep=self._keep())
                self._journal.drop_before(position)
        except StoreError as error:
            self._fail("reach its store", str(error))
            return 0
        except BaseException as error:  # noqa: BLE001 - the thread must outlive any defect; it is counted and shown
            self._fail("write to its store", f"{type(error).__name__}: {error}")
            return 0
        self._failed_rounds = 0
        self.problem = None
        self._written += len(frames)
        with self._progress:
            self._position = position
            self._progress.notify_all()
        if frames and self._export is not None:
            self._export.offer(events)
        return len(frames)

    def _reach(self) -> Store:
        store = self._open_store()
        try:
            store.announce(self._journal.owner, pid=os.getpid())
            adopt_abandoned(store, self._home, self._store_tag)
        except BaseException:
            store.close()
            raise
        self._store = store
        return store

    def _fail(self, what: str, text: str) -> None:
        self._failed_rounds += 1
        self.problem = text
        report(what, text)

    def _tell(self) -> None:
        """Bring the journal's status up to date."""
        queued = self._journal.appended - self._written
        if queued <= 0:
            self._behind_since_ns = 0
        elif not self._behind_since_ns:
            self._behind_since_ns = time.time_ns()
        status = health.Status(
            pid=os.getpid(),
            queued_events=max(0, queued),
            queued_bytes=self._journal.waiting_bytes if queued > 0 else 0,
            behind_since_ns=self._behind_since_ns,
            written_events=self._written,
            degraded=guard.untold(),
            problem=self.problem or "",
        )
        if status == self._told and self._journal.folder.exists():
            return
        try:
            health.write_status(self._journal.folder, status)
        except FileNotFoundError:
            self._desert()
        except OSError:
            pass  # the disk is full: it is told where there is room again
        else:
            self._told = status

    def _desert(self) -> None:
        """Somebody deleted the journal's folder: what is still in memory is written, and the next event begins a new
        journal, with another writer."""
        if not self._closing.is_set():
            self._closing.set()
            self._journal.refuse()
            report(
                "find its journal's folder, which was deleted with what was in it, and records into a new one",
                str(self._journal.folder),
            )
