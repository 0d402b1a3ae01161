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
from typing import TYPE_CHECKING, Callable, Iterator

from tracer.codec import CodecError, identity
from tracer.errors import StoreError
from tracer.events import Event, Started, unpack
from tracer.guard import report
from tracer.journal import PORTION_BYTES, START, Journal, Position, read_folder
from tracer.key import NO_INPUT, store_key
from tracer.owners import abandoned, adopt, discard
from tracer.segments import ForeignJournal

if TYPE_CHECKING:
    from tracer.store import Store

#: Events in one transaction: past some hundreds, SQLite's cost per row no longer falls.
BATCH = 1000
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
        self._wake = threading.Event()
        # Guards the position and the thread, and tells those who flush of every step forward.
        self._progress = threading.Condition()
        self._closing = threading.Event()
        self._failed_rounds = 0
        self.problem: str | None = None
        self._thread: threading.Thread | None = None

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
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self._journal.close(written=self._position)

    def _run(self) -> None:
        while not self._closing.is_set():
            wrote = self._round()
            if self._failed_rounds:
                # Not on the wake event: a store that is away does not come back because a workflow begins.
                self._closing.wait(min(_PATIENCE_S, 0.05 * 2 ** min(self._failed_rounds, 7)))
            elif not wrote:
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

    def _round(self) -> bool:
        """Move one portion. False: there was nothing, or the store did not take it."""
        try:
            store = self._store or self._reach()
            frames, position = self._journal.read(self._position, limit=BATCH)
            if frames:
                write(store, events_of(frames, self._key), owner=self._journal.owner, position=position)
                self._journal.drop_before(position)
        except StoreError as error:
            self._fail("reach its store", str(error))
            return False
        except Exception as error:  # noqa: BLE001 - the thread must outlive any defect of ours; it is counted and shown
            self._fail("write to its store", f"{type(error).__name__}: {error}")
            return False
        self._failed_rounds = 0
        self.problem = None
        with self._progress:
            self._position = position
            self._progress.notify_all()
        return bool(frames)

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


def write(store: Store, events: list[Event], *, owner: str, position: Position) -> None:
    """Apply a batch. An event that the store can't hold is counted and passed over, never in the way of others."""
    try:
        store.apply(events, owner=owner, position=position)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one event; halving the batch finds it
        if len(events) > 1:
            half = len(events) // 2
            write(store, events[:half], owner=owner, position=START)
            write(store, events[half:], owner=owner, position=position)
        else:
            report("store one of its own events", error)
            store.apply([], owner=owner, position=position)


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
        except (ValueError, CodecError) as error:
            report("read one of its own events", error)
        else:
            events.append(event)
    return events


def adopt_abandoned(store: Store, home: Path, store_tag: str) -> int:
    """Bring the events of dead processes into the store, and delete their journals. Returns how many events came.

    A journal that can't be read stays where it is, and is no obstacle to the others.
    """
    adopted = 0
    for folder in abandoned(home, store_tag):
        with adopt(folder) as dead:
            if dead:
                try:
                    adopted += _drain_dead(store, folder, store_key(home))
                except (OSError, ForeignJournal) as error:
                    report("adopt the journal of a dead process", error)
    return adopted


def _drain_dead(store: Store, folder: Path, key: bytes) -> int:
    owner = folder.name
    count = 0
    for frames, position in _portions(read_folder(folder, Position(*(store.position(owner) or START)))):
        write(store, events_of(frames, key), owner=owner, position=position)
        count += len(frames)
    discard(folder)
    return count


def _portions(frames: Iterator[tuple[bytes, Position]]) -> Iterator[tuple[list[bytes], Position]]:
    portion: list[bytes] = []
    portion_bytes = 0
    position = START
    for frame, position in frames:
        portion.append(frame)
        portion_bytes += len(frame)
        if len(portion) == BATCH or portion_bytes >= PORTION_BYTES:
            yield portion, position
            portion, portion_bytes = [], 0
    if portion:
        yield portion, position
