"""The journal: memory-mapped segments that hold every event until the store has it.

Bytes copied into a shared mapping belong to the kernel the moment they are copied: they survive the death of the
process, kill -9 included (not the loss of power: see docs/adr/0002). So the journal is both the flight recorder and
the queue between the user's threads and the writer; there is no second queue.

A process owns one folder, ``<store tag>-<host>-<pid>-<start>``, and holds a lock on its file ``owner`` for as long as
it lives. Segments are named by number and start with MAGIC. A frame is its length, its CRC-32 and its bytes; a length
of zero, or a checksum that does not hold, ends a segment. What is not wholly read is never deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import threading
import time
import zlib
from pathlib import Path
from struct import Struct
from typing import Iterator, NamedTuple

MAGIC = b"playhd01"
SEGMENT_BYTES = 4 << 20
#: Frames are handed out in portions of about this size, so that a reader never holds a whole backlog in memory.
PORTION_BYTES = 16 << 20
_HEADER = Struct("<II")
_LOCK_FILE = "owner"
#: Not from socket, whose import would cost more than all else here.
_HOST = os.uname().nodename
#: The length that closes a full segment: "go on in the next one".
_NEXT = 0xFFFF_FFFF


class Position(NamedTuple):
    """Just behind a frame: everything before it has been read."""

    segment: int
    offset: int


START = Position(0, len(MAGIC))


class JournalClosed(OSError):
    """This journal was let go of: its process records into another one, or no more."""


class ForeignJournal(ValueError):
    """A journal that another version of playhead wrote: not to be read, and not to be deleted."""


class _Segment:
    """One mapped file. Its pages are touched when it is made, so that an append never waits for one."""

    def __init__(self, path: Path, size: int) -> None:
        self.size = size
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Reserve the blocks now: a full disk must fail here, as an error, and not later, as a SIGBUS.
            _reserve(fd, size)
            self.memory = mmap.mmap(fd, size)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        for page in range(0, size, mmap.PAGESIZE):
            self.memory[page] = 0
        self.memory[: len(MAGIC)] = MAGIC


def _reserve(fd: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:  # macOS has no such call; written zeros reserve as well
        os.write(fd, bytes(size))


class Journal:
    """The journal of this process. ``append`` is for any thread; ``read`` and ``drop_before`` are for one writer."""

    def __init__(self, home: Path, store_tag: str, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.owner = f"{store_tag}-{_HOST}-{os.getpid()}-{time.time_ns():x}"
        self._segment_bytes = segment_bytes
        self.folder, self._lock_fd = _make_folder(home / "journal", self.owner)
        # Guards all below, for the length of one copy. Reentrant: the collector may run a finalizer that appends.
        self._lock = threading.RLock()
        try:
            self._segments: dict[int, _Segment] = {0: _Segment(self._path(0), segment_bytes)}
        except OSError:
            discard(self.folder)
            self.forget_lock()
            raise
        #: How many bytes of journal come before each segment.
        self._before: dict[int, int] = {0: 0}
        self._number = 0
        self._offset = len(MAGIC)
        self._dropped_bytes = self._bytes_until(START)

    @property
    def end(self) -> Position:
        with self._lock:
            return Position(self._number, self._offset)

    @property
    def waiting_bytes(self) -> int:
        """Bytes appended that the store does not have yet."""
        with self._lock:
            return self._bytes_until(Position(self._number, self._offset)) - self._dropped_bytes

    def append(self, frame: bytes) -> None:
        """Copy one frame in. Raises JournalClosed, or OSError when a new segment can't be made (the disk is full)."""
        size = len(frame)
        header = _HEADER.pack(size, zlib.crc32(frame))
        with self._lock:
            if self._number not in self._segments:
                raise JournalClosed("the journal was closed")
            begin = self._offset
            end = begin + 8 + size
            # Room is kept for the closing frame of the segment.
            if end + 8 > self._segments[self._number].size:
                self._next_segment(size)
                begin = self._offset
                end = begin + 8 + size
            # Claimed before anything is copied: a finalizer that the collector runs right here may append as well.
            self._offset = end
            memory = self._segments[self._number].memory
            # The bytes first, their header last: a header is only ever seen with its frame behind it.
            memory[begin + 8 : end] = frame
            memory[begin : begin + 8] = header

    def _next_segment(self, frame_bytes: int) -> None:
        number = self._number + 1
        size = max(self._segment_bytes, frame_bytes + len(MAGIC) + 16)
        segment = _Segment(self._path(number), size)
        self._segments[self._number].memory[self._offset : self._offset + 8] = _HEADER.pack(_NEXT, 0)
        self._segments[number] = segment
        self._before[number] = self._before[self._number] + self._offset
        self._number = number
        self._offset = len(MAGIC)

    def read(self, position: Position, *, limit: int) -> tuple[list[bytes], Position]:
        """Up to ``limit`` frames behind ``position``, and the position behind the last of them."""
        end = self.end
        frames: list[bytes] = []
        number, offset = position
        portion_bytes = 0
        while len(frames) < limit and portion_bytes < PORTION_BYTES and (number, offset) < end:
            memory = self._segments[number].memory
            size, _ = _HEADER.unpack_from(memory, offset)
            if size == _NEXT:
                number, offset = number + 1, len(MAGIC)
                continue
            frames.append(memory[offset + 8 : offset + 8 + size])
            offset += 8 + size
            portion_bytes += size
        return frames, Position(number, offset)

    def drop_before(self, position: Position) -> None:
        """The store has everything before ``position``: delete the segments that lie wholly before it."""
        with self._lock:
            self._dropped_bytes = self._bytes_until(position)
            gone = {number: self._segments.pop(number) for number in list(self._segments) if number < position.segment}
            for number in gone:
                del self._before[number]
        for number, segment in gone.items():
            segment.memory.close()
            self._path(number).unlink(missing_ok=True)

    def close(self, *, written: Position) -> bool:
        """Let go of the folder. It is deleted, and True returned, when nothing was appended behind ``written``."""
        with self._lock:
            everything = written >= (self._number, self._offset)
            segments = list(self._segments.values())
            self._segments.clear()
        for segment in segments:
            segment.memory.close()
        if everything:
            discard(self.folder)
        self.forget_lock()
        return everything

    def forget_lock(self) -> None:
        """Close the lock's descriptor; in a forked child this leaves the parent's lock as it is."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _bytes_until(self, position: Position) -> int:
        return self._before[position.segment] + position.offset

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}.seg"


def _make_folder(journals: Path, owner: str) -> tuple[Path, int]:
    """A journal's folder and the descriptor that holds its lock. It gets its name when it is locked: a folder that
    others can see is never without its living owner."""
    making = journals / f".{owner}"
    making.mkdir(parents=True, mode=0o700)
    lock_fd = os.open(making / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return making.rename(journals / owner), lock_fd
    except OSError:
        os.close(lock_fd)
        discard(making)
        raise


def discard(folder: Path) -> None:
    """Delete a journal of which the store has everything. Segments first and the lock's file last: whoever is killed
    half-way leaves a journal that can still be adopted."""
    with contextlib.suppress(OSError):  # another adopter may have been here, or the whole home is gone
        for path in sorted(folder.iterdir(), key=lambda path: (path.name == _LOCK_FILE, path.name)):
            path.unlink(missing_ok=True)
        folder.rmdir()


def is_alive(home: Path, owner: str) -> bool:
    """Whether the process that owns this journal still runs. An owner on another machine is given the benefit."""
    if _host_of(owner) != _HOST:
        return True
    try:
        fd = os.open(home / "journal" / owner / _LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _locked(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def adopt(folder: Path) -> Iterator[bool]:
    """Hold a dead process's journal, so that only one adopter reads it; gives False while its owner lives."""
    try:
        fd = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        yield _locked(fd)
    finally:
        os.close(fd)


def abandoned(home: Path, store_tag: str) -> list[Path]:
    """Journals meant for this store, from this machine, whose owner may be dead. Oldest first."""
    ages: dict[Path, float] = {}
    for folder in (home / "journal").glob(f"{store_tag}-*"):
        if _host_of(folder.name) == _HOST:
            with contextlib.suppress(FileNotFoundError):  # adopted by another process just now
                ages[folder] = folder.stat().st_mtime
    return sorted(ages, key=ages.__getitem__)


def read_folder(folder: Path, position: Position) -> Iterator[tuple[bytes, Position]]:
    """Every whole frame of a dead journal behind ``position``. Of a torn or damaged segment the part behind the damage
    is lost; the next segment is read all the same. Raises ForeignJournal for one that this version can't read."""
    number, offset = position
    while (path := folder / f"{number:08d}.seg").exists():
        data = path.read_bytes()
        if data[: len(MAGIC)] == MAGIC:
            for frame, behind in _frames_of(data, offset):
                yield frame, Position(number, behind)
        elif any(data[: len(MAGIC)]):
            raise ForeignJournal(f"{path} was not written by this version of playhead")
        number, offset = number + 1, len(MAGIC)


def _frames_of(data: bytes, offset: int) -> Iterator[tuple[bytes, int]]:
    while offset + 8 <= len(data):
        size, checksum = _HEADER.unpack_from(data, offset)
        frame = data[offset + 8 : offset + 8 + size]
        if size in (0, _NEXT) or len(frame) < size or zlib.crc32(frame) != checksum:
            return
        offset += 8 + size
        yield frame, offset


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _host_of(owner: str) -> str:
    return owner.split("-", 1)[-1].rsplit("-", 2)[0]
