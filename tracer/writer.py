"""The writer: one thread that moves events from the journal into the store, in batches.

The journal position is committed in the same transaction as the rows it stands for, so that a restart neither loses
nor doubles. While the store is away the journal holds everything, and the writer tries again, ever more patiently.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from tracer.codec import identity
from tracer.errors import StoreError
from tracer.events import Event, Started, unpack
from tracer.guard import report
from tracer.journal import START, Journal, Position, abandoned, adopt, read_folder
from tracer.key import NO_INPUT, store_key

if TYPE_CHECKING:
    from tracer.store import Store

#: Events in one transaction: past some hundreds, SQLite's cost per row no longer falls.
BATCH = 1000
_IDLE_S = 0.03
_PATIENCE_S = 5.0


class Writer:
    """Drains one journal into one store. ``open_store`` is called on the writer's own thread, when first needed."""

    def __init__(self, journal: Journal, home: Path, store_tag: str, open_store: Callable[[], Store]) -> None:
        self._journal = journal
        self._home = home
        self._key = store_key(home)
        self._store_tag = store_tag
        self._open_store = open_store
        self._store: Store | None = None
        self._position = START
        self._written = START
        self._wake = threading.Event()
        self._progress = threading.Condition()
        self._closing = False
        self._failed_rounds = 0
        self.problem: str | None = None
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Called at the start of a workflow: there will be events soon."""
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def _start(self) -> None:
        with self._progress:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="playhead-writer", daemon=True)
                self._thread.start()

    def flush(self, timeout_s: float) -> bool:
        """Wait until the store holds everything appended before this call. False if it did not get there in time."""
        goal = self._journal.end
        deadline = time.monotonic() + timeout_s
        self.wake()
        with self._progress:
            while self._written < goal:
                left = deadline - time.monotonic()
                if left <= 0 or self._thread is None or not self._thread.is_alive():
                    return False
                self._progress.wait(min(left, 0.1))
        return True

    def close(self, timeout_s: float) -> bool:
        """Flush, stop the thread, and give the journal back; it stays on disk when not everything was written."""
        done = self.flush(timeout_s) if self._thread is not None else self._journal.end == START
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._journal.close(delete=done)
        return done

    def _run(self) -> None:
        while not self._closing:
            wrote = self._round()
            if self._closing:
                break
            if self._failed_rounds:
                # Not on the wake event: a store that is away does not come back because a workflow begins.
                time.sleep(min(_PATIENCE_S, 0.05 * 2 ** min(self._failed_rounds, 7)))
            elif wrote:
                continue
            elif self._journal.end == self._position:
                self._wake.clear()
                # Cleared first, looked at second: an append in between is seen here or sets the event again.
                if self._journal.end == self._position:
                    self._wake.wait(1.0)
            else:
                time.sleep(_IDLE_S)
        if self._store is not None:
            with contextlib.suppress(StoreError):  # the lock on the journal's folder says the same
                self._store.withdraw(self._journal.owner)
            self._store.close()

    def _round(self) -> bool:
        try:
            if self._store is None:
                self._store = self._open_store()
                self._store.announce(self._journal.owner, pid=os.getpid())
                adopt_abandoned(self._store, self._home, self._store_tag)
            frames, position = self._journal.read(self._position, limit=BATCH)
            if frames:
                self._store.apply(events_of(frames, self._key), owner=self._journal.owner, position=position)
                self._journal.drop_before(position)
        except StoreError as error:
            self._fail("reach its store", str(error))
            return False
        except Exception as error:  # noqa: BLE001 - the thread must outlive any defect of ours; it is counted and shown
            self._fail("write to its store", f"{type(error).__name__}: {error}")
            return False
        self._failed_rounds = 0
        self.problem = None
        self._position = position
        with self._progress:
            self._written = position
            self._progress.notify_all()
        return bool(frames)

    def _fail(self, what: str, text: str) -> None:
        self._failed_rounds += 1
        self.problem = text
        if not self._closing:
            report(what, text)


def events_of(frames: list[bytes], key: bytes) -> list[Event]:
    """The events in these frames, with the identities that the recording thread left to us.

    A frame that is none of ours is counted and passed over, never in the way of others.
    """
    events: list[Event] = []
    for frame in frames:
        try:
            event = unpack(frame)
            if isinstance(event, Started) and event.identity is None and not isinstance(event.input, str):
                event = event._replace(identity=identity(NO_INPUT if event.input is None else event.input, key))
        except ValueError as error:
            report("read one of its own events", error)
        else:
            events.append(event)
    return events


def adopt_abandoned(store: Store, home: Path, store_tag: str) -> int:
    """Bring the events of dead processes into the store, and delete their journals. Returns how many events came."""
    adopted = 0
    for folder in abandoned(home, store_tag):
        with adopt(folder) as dead:
            if dead:
                adopted += _drain_dead(store, folder, store_key(home))
    return adopted


def _drain_dead(store: Store, folder: Path, key: bytes) -> int:
    owner = folder.name
    position = Position(*(store.position(owner) or START))
    count = 0
    frames: list[bytes] = []
    for frame, behind in read_folder(folder, position):
        frames.append(frame)
        position = behind
        if len(frames) == BATCH:
            store.apply(events_of(frames, key), owner=owner, position=position)
            count += len(frames)
            frames = []
    if frames:
        store.apply(events_of(frames, key), owner=owner, position=position)
        count += len(frames)
    for path in sorted(folder.iterdir(), reverse=True):
        path.unlink(missing_ok=True)
    folder.rmdir()
    return count
