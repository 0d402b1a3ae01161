"""The journal: memory-mapped segments that hold every event until the store has it.

Bytes copied into a shared mapping belong to the kernel the moment they are copied: they survive the death of the
process, kill -9 included (not the loss of power: see docs/adr/0002). So the journal is both the flight recorder and
the queue between the user's threads and the writer; there is no second queue.

A process owns one folder, ``<store tag>-<host>-<pid>-<start>``, and holds a lock on its file ``owner`` for as long as
it lives. Segments are named by number and start with MAGIC. A frame is its length, its CRC-32 and its bytes; a length
of zero, or a checksum that does not hold, ends a segment.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import shutil
import socket
import threading
import time
import zlib
from pathlib import Path
from struct import Struct
from typing import Iterator, NamedTuple

MAGIC = b"playhd01"
SEGMENT_BYTES = 4 << 20
_HEADER = Struct("<II")
_LOCK_FILE = "owner"
#: The length that closes a full segment: "go on in the next one".
_NEXT = 0xFFFF_FFFF


class Position(NamedTuple):
    """Just behind a frame: everything before it has been read."""

    segment: int
    offset: int


START = Position(0, len(MAGIC))


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
        self.owner = f"{store_tag}-{socket.gethostname()}-{os.getpid()}-{time.time_ns():x}"
        self.folder = home / "journal" / self.owner
        self.folder.mkdir(parents=True, mode=0o700)
        self._lock_fd = os.open(self.folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._segment_bytes = segment_bytes
        # Guards the three fields below, for the length of one copy.
        self._lock = threading.Lock()
        self._segments: dict[int, _Segment] = {0: _Segment(self._path(0), segment_bytes)}
        self._number = 0
        self._offset = len(MAGIC)
        self._appended_bytes = 0
        self._read_bytes = 0

    @property
    def end(self) -> Position:
        with self._lock:
            return Position(self._number, self._offset)

    @property
    def waiting_bytes(self) -> int:
        """Bytes appended and not yet read."""
        return self._appended_bytes - self._read_bytes

    def append(self, frame: bytes) -> None:
        """Copy one frame in. Raises OSError when a new segment can't be made (the disk is full)."""
        size = len(frame)
        header = _HEADER.pack(size, zlib.crc32(frame))
        with self._lock:
            begin = self._offset
            end = begin + 8 + size
            # Room is kept for the closing frame of the segment.
            if end + 8 > self._segments[self._number].size:
                self._next_segment(size)
                begin = self._offset
                end = begin + 8 + size
            memory = self._segments[self._number].memory
            # The bytes first, their header last: a header is only ever seen with its frame behind it.
            memory[begin + 8 : end] = frame
            memory[begin : begin + 8] = header
            self._offset = end
            self._appended_bytes += size

    def _next_segment(self, frame_bytes: int) -> None:
        number = self._number + 1
        size = max(self._segment_bytes, frame_bytes + len(MAGIC) + 16)
        segment = _Segment(self._path(number), size)
        self._segments[self._number].memory[self._offset : self._offset + 8] = _HEADER.pack(_NEXT, 0)
        self._segments[number] = segment
        self._number = number
        self._offset = len(MAGIC)

    def read(self, position: Position, *, limit: int) -> tuple[list[bytes], Position]:
        """Up to ``limit`` frames behind ``position``, and the position behind the last of them."""
        end = self.end
        frames: list[bytes] = []
        number, offset = position
        while len(frames) < limit and (number, offset) < end:
            memory = self._segments[number].memory
            size, _ = _HEADER.unpack_from(memory, offset)
            if size == _NEXT:
                number, offset = number + 1, len(MAGIC)
                continue
            frames.append(memory[offset + 8 : offset + 8 + size])
            offset += 8 + size
            self._read_bytes += size
        return frames, Position(number, offset)

    def drop_before(self, position: Position) -> None:
        """Delete the segments that lie wholly before ``position``: the store has them."""
        for number in [number for number in self._segments if number < position.segment]:
            self._segments.pop(number).memory.close()
            self._path(number).unlink(missing_ok=True)

    def close(self, *, delete: bool) -> None:
        """Let go of the folder; ``delete`` it when the store has all of it."""
        for segment in self._segments.values():
            segment.memory.close()
        self._segments.clear()
        if delete:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.forget_lock()

    def forget_lock(self) -> None:
        """Close the lock's descriptor; in a forked child this leaves the parent's lock as it is."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}.seg"


def is_alive(home: Path, owner: str) -> bool:
    """Whether the process that owns this journal still runs. An owner on another machine is given the benefit."""
    if _host_of(owner) != socket.gethostname():
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
    mine = f"{store_tag}-{socket.gethostname()}-"
    folders = [folder for folder in (home / "journal").glob(f"{store_tag}-*") if folder.name.startswith(mine)]
    return sorted(folders, key=lambda folder: folder.stat().st_mtime)


def read_folder(folder: Path, position: Position) -> Iterator[tuple[bytes, Position]]:
    """Every whole frame of a dead journal behind ``position``. Stops at the first torn one."""
    number, offset = position
    while (path := folder / f"{number:08d}.seg").exists():
        data = path.read_bytes()
        if data[: len(MAGIC)] != MAGIC:
            return
        while True:
            size, checksum = _HEADER.unpack_from(data, offset) if offset + 8 <= len(data) else (0, 0)
            if size == _NEXT:
                break
            frame = data[offset + 8 : offset + 8 + size]
            if size == 0 or len(frame) < size or zlib.crc32(frame) != checksum:
                return
            offset += 8 + size
            yield frame, Position(number, offset)
        number, offset = number + 1, len(MAGIC)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _host_of(owner: str) -> str:
    return owner.split("-", 1)[-1].rsplit("-", 2)[0]
