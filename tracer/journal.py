"""The journal: memory-mapped segments that hold every event until the store has it.

Bytes copied into a shared mapping belong to the kernel the moment they are copied: they survive the death of the
process, kill -9 included (not the loss of power: see docs/adr/0002). So the journal is both the flight recorder and
the queue between the user's threads and the writer; there is no second queue.

A process owns one folder, ``<store tag>-<host>-<pid>-<start>`` (``tracer.owners``), of segments named by number
(``tracer.segments``). Only the segment that is written to and the one made ready to come next are mapped; what waits in
the others is read back from their files. What is not wholly read is never deleted.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Iterator, NamedTuple
from zlib import crc32

from tracer.locks import let_go
from tracer.owners import JOURNALS, discard, make_folder, new_owner
from tracer.segments import (
    HEADER,
    MAGIC,
    Segment,
    check_magic,
    frames_of,
    has_frames,
    numbers_in,
    opened,
    path_of,
    runs_of,
    size_of,
)

_head = HEADER.pack_into
SEGMENT_BYTES = 2 << 20
#: Frames are handed out in portions of about this size, so that a reader never holds a whole backlog in memory.
PORTION_BYTES = 2 << 20
#: Full segments that stay mapped until the store has them; of a longer backlog the others are read from their files.
_MOST_FULL = 2
#: How long an append waits for a segment that is being made for it, before it makes one for itself.
_PATIENCE_S = 0.02


class Position(NamedTuple):
    """Just behind a frame: everything before it has been read."""

    segment: int
    offset: int


START = Position(0, len(MAGIC))


class JournalClosed(OSError):
    """This journal was let go of: its process records into another one, or no more."""


class Journal:
    """The journal of this process. ``append`` is for any thread; ``read`` and ``drop_before`` are for one writer."""

    def __init__(self, home: Path, store_tag: str, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.owner = new_owner(store_tag)
        self._segment_bytes = segment_bytes
        self.folder, self._lock_fd = make_folder(home / JOURNALS, self.owner)
        # Guards all below, for the length of one copy. Reentrant: the collector may run a finalizer that appends.
        self._lock = threading.RLock()
        self._numbers = itertools.count()
        try:
            segment = Segment(self.folder, next(self._numbers), segment_bytes)
        except OSError:
            discard(self.folder)
            let_go(self._lock_fd)
            raise
        #: How many frames were appended.
        self.appended = 0
        #: How many bytes of journal come before each segment that the store does not have all of.
        self._before: dict[int, int] = {0: 0}
        self._dropped_bytes = len(MAGIC)
        self._closed = False
        # What the maker's thread is asked for (False: to end), and what it made (None: it could not).
        self._wishes: SimpleQueue[bool] = SimpleQueue()
        self._spares: SimpleQueue[Segment | None] = SimpleQueue()
        self._maker: threading.Thread | None = None
        self._awaited = 0
        #: Full segments that are still mapped, by number: read from memory, and written again once the store has them.
        self._full: dict[int, Segment] = {}
        self._used: SimpleQueue[Segment] = SimpleQueue()
        #: Another full segment, for the maker to unmap.
        self._retired: Segment | None = None
        self._segment = segment
        self._memory = segment.memory
        self._number = 0
        self._offset = len(MAGIC)
        #: Up to where frames may go now: to the end (but for a header's zeros), or in the first one to the middle.
        self._end = segment_bytes - HEADER.size
        self._limit = segment_bytes // 2

    @property
    def end(self) -> Position:
        with self._lock:
            return Position(self._number, self._offset)

    @property
    def waiting_bytes(self) -> int:
        """Bytes appended that the store does not have yet."""
        with self._lock:
            return self._before[self._number] + self._offset - self._dropped_bytes

    def append(self, frame: bytes) -> None:
        """Copy one frame in. Raises JournalClosed, or OSError when a new segment can't be made (the disk is full)."""
        size = len(frame) + 8
        checksum = crc32(frame)
        with self._lock:
            while True:
                # From here to the claim nothing is called and nothing allocated that the collector counts: it might run
                # a finalizer that appends as well. Behind the claim it may.
                begin = self._offset
                end = begin + size
                if end <= self._limit:
                    break
                self._make_room(size)
            self._offset = end
            memory = self._memory
            # The header first: should this be all, a reader can step over it to what a finalizer put behind.
            _head(memory, begin, size - 8, checksum)
            memory[begin + 8 : end] = frame
            self.appended += 1

    def _make_room(self, size: int) -> None:
        """Have a place for ``size`` bytes: in the second half of this segment, or in the next one."""
        if self._closed:
            raise JournalClosed("the journal was closed")
        if self._offset + size <= self._end:
            self._limit = self._end
            self._ask()
            return
        number = self._number
        segment = self._next_segment(size)
        if self._number != number:  # a finalizer that ran meanwhile has been here
            segment.drop()
            return
        end = segment.size - HEADER.size
        full = self._segment
        # Without a call in between: a finalizer sees the one or the other.
        self._before[segment.number] = self._before[number] + self._offset
        self._segment = segment
        self._memory = segment.memory
        self._end = end
        self._limit = end
        self._number = segment.number
        self._offset = len(MAGIC)
        if len(self._full) < _MOST_FULL:
            self._full[number] = full
        else:
            self._retired = full
        # At once: who has filled one segment will fill more. Who has not filled half of one needs no second.
        self._ask()

    def _next_segment(self, size: int) -> Segment:
        needed = size + len(MAGIC) + HEADER.size
        while self._awaited:
            try:
                # Bounded: the maker may be in a finalizer that waits for our lock.
                spare = self._spares.get(timeout=_PATIENCE_S)
            except Empty:
                break
            self._awaited -= 1
            if spare is not None:
                if spare.number > self._number and spare.size >= needed:
                    return spare
                spare.drop()
        return Segment(self.folder, next(self._numbers), max(self._segment_bytes, needed))

    def _ask(self) -> None:
        """Have the next segment made ready, so that the append that fills this one does not wait for it."""
        if self._awaited:
            return
        if self._maker is None:
            maker = threading.Thread(target=self._make, name="playhead-journal", daemon=True)
            with contextlib.suppress(RuntimeError):  # no more threads, or the interpreter is ending
                maker.start()
                self._maker = maker
        if self._maker is not None:
            self._awaited += 1
            self._wishes.put(True)

    def _make(self) -> None:
        while self._wishes.get():
            spare = None
            with contextlib.suppress(OSError, MemoryError):  # the append that needs it tries for itself, and says so
                spare = self._made()
            self._spares.put(spare)
            self._retired = None

    def _made(self) -> Segment:
        with contextlib.suppress(Empty):
            used = self._used.get_nowait()
            used.reuse(next(self._numbers))
            return used
        return Segment(self.folder, next(self._numbers), self._segment_bytes)

    def read(self, position: Position, *, limit: int) -> tuple[list[bytes], Position]:
        """Up to ``limit`` frames behind ``position``, and the position behind the last of them. A frame that was
        damaged on disk comes back empty."""
        with self._lock:
            end = Position(self._number, self._offset)
            mapped = {**self._full, self._number: self._segment}
            later = sorted(number for number in self._before if number > position.segment)
        frames: list[bytes] = []
        number, offset = position
        portion_bytes = 0
        while (number, offset) < end and len(frames) < limit and portion_bytes < PORTION_BYTES:
            for run, behind in self._runs(number, offset, end, mapped.get(number)):
                room = limit - len(frames)
                some, until = (run, behind) if len(run) <= room else (run[:room], offset + size_of(run[:room]))
                frames += some
                portion_bytes += until - offset
                offset = until
                if len(frames) == limit or portion_bytes >= PORTION_BYTES:
                    break
            else:
                if number < end.segment:
                    number, offset = later.pop(0), len(MAGIC)
        return frames, Position(number, offset)

    def _runs(
        self, number: int, offset: int, end: Position, mapped: Segment | None
    ) -> Iterator[tuple[list[bytes], int]]:
        """What lies behind ``offset`` in one segment, an empty frame in place of a damaged one."""
        if mapped is not None:
            until = end.offset if number == end.segment else mapped.size
            yield from ((run or [b""], behind) for run, behind in mapped.runs(offset, until))
            return
        try:
            with opened(path_of(self.folder, number)) as (read_at, until):
                yield from ((run or [b""], behind) for run, behind in runs_of(read_at, offset, until, torn_end=False))
        except FileNotFoundError:  # somebody deleted it; what comes behind it is still to be had
            yield [b""], offset

    def drop_before(self, position: Position) -> None:
        """The store has everything before ``position``: delete the segments that lie wholly before it."""
        with self._lock:
            self._dropped_bytes = self._before[position.segment] + position.offset
            gone = [number for number in self._before if number < position.segment]
            for number in gone:
                del self._before[number]
            full = {number: self._full.pop(number) for number in gone if number in self._full}
        for number in gone:
            segment = full.get(number)
            if segment is None or segment.size != self._segment_bytes or not self._used.empty() or not segment.put_by():
                path_of(self.folder, number).unlink(missing_ok=True)
            else:
                self._used.put(segment)

    def refuse(self) -> None:
        """Take no more: whoever appends gets JournalClosed. What is in it can still be read."""
        with self._lock:
            # What comes now finds no room, and then this.
            self._closed = True
            self._limit = 0

    def close(self, *, written: Position) -> bool:
        """Let go of the folder. It is deleted, and True returned, when nothing was appended behind ``written``."""
        with self._lock:
            everything = written >= (self._number, self._offset)
            self.refuse()
            self._wishes.put(False)
            awaited, self._awaited = self._awaited, 0
        for _ in range(awaited):
            with contextlib.suppress(Empty):
                spare = self._spares.get(timeout=1.0)
                if spare is not None:
                    spare.drop()
        self._retired = None
        if everything:
            discard(self.folder)
        self.forget_lock()
        return everything

    def forget_lock(self) -> None:
        """Let go of the lock, as a forked child must; its parent keeps it."""
        let_go(self._lock_fd)


def read_folder(folder: Path, position: Position) -> Iterator[tuple[bytes | None, Position]]:
    """Every whole frame of a dead journal behind ``position``; None in place of what is damaged, and the position
    behind that. Raises ForeignJournal for one that this version can't read."""
    numbers = [number for number in numbers_in(folder) if number >= position.segment]
    last = max((number for number in numbers if has_frames(path_of(folder, number))), default=0)
    for number in numbers:
        path = path_of(folder, number)
        offset = position.offset if number == position.segment else len(MAGIC)
        with opened(path) as (read_at, until):
            if not check_magic(path, read_at):
                yield None, Position(number, offset)
            for frame, behind in frames_of(read_at, offset, until, torn_end=number == last):
                yield frame, Position(number, behind)
