"""One segment of a journal: a preallocated, memory-mapped file of frames, and how frames are read back.

A segment begins with MAGIC. A frame is its length, its CRC-32 and its bytes; a length of zero ends a segment. Reading
takes a stretch at a time, so that no backlog is ever held in memory.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import zlib
from pathlib import Path
from struct import Struct
from typing import Callable, Iterator

MAGIC = b"playhd01"
#: Before each frame: its length and its checksum.
HEADER = Struct("<II")
STRETCH_BYTES = 256 << 10
_ZEROS = bytes(256 << 10)
#: In one call; POSIX asks for 16 at least, and Linux takes 1,024.
_MOST_BUFFERS = 16
_OTHER_VERSION = re.compile(rb"playhd\d\d")
#: The length that earlier versions closed a full segment with.
_NEXT = 0xFFFF_FFFF

#: (offset, size) -> that many bytes from there, fewer at the end.
ReadAt = Callable[[int, int], bytes]


class ForeignJournal(ValueError):
    """A journal that another version of playhead wrote: not to be read, and not to be deleted."""


class Segment:
    """A mapped file. Its pages are touched when it is made, so that an append never waits for one."""

    __slots__ = ("memory", "number", "path", "size")

    def __init__(self, folder: Path, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.path = path_of(folder, number)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Reserve the blocks now: a full disk must fail here, as an error, and not later, as a SIGBUS.
            _reserve(fd, size)
            self.memory = mmap.mmap(fd, size)
        except OSError as error:
            self.path.unlink(missing_ok=True)
            advice = "free some disk, or set PLAYHEAD_HOME to a place with room"
            raise OSError(error.errno, f"{error.strerror}: {advice}", str(folder)) from error
        finally:
            os.close(fd)
        _touch(self.memory, size)
        self.memory[: len(MAGIC)] = MAGIC

    def put_by(self) -> bool:
        """The store has all of it: keep it for ``reuse``, under a name that no reader looks at, and that no other one
        is kept under: another may be put by while this one is being made a segment again."""
        with contextlib.suppress(OSError):
            self.path = self.path.rename(self.path.with_suffix(".spare"))
            return True
        return False

    def reuse(self, number: int) -> None:
        """Empty it and make it the segment of that number. Its pages are there already: a new one would cost more."""
        _touch(self.memory, self.size)
        self.memory[: len(MAGIC)] = MAGIC
        self.path = self.path.rename(path_of(self.path.parent, number))
        self.number = number

    def runs(self, offset: int, until: int) -> Iterator[Run]:
        """``runs_of``, from memory."""
        memory = self.memory
        return runs_of(lambda at, size: memory[at : at + size], offset, until, torn_end=False)

    def drop(self) -> None:
        """It was made and is not needed."""
        self.path.unlink(missing_ok=True)


def _reserve(fd: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        # Pages that one write brings in are made and mapped many at once: a quarter of what each one costs by itself
        # when it is touched. What this leaves out is touched all the same.
        if count := size // len(_ZEROS):
            os.pwritev(fd, [_ZEROS] * min(count, _MOST_BUFFERS), 0)
    else:  # macOS has no such call; written zeros reserve as well
        os.write(fd, bytes(size))


def _touch(memory: mmap.mmap, size: int) -> None:
    """Have every page there and writable. The system does it in one call, without the interpreter's lock."""
    done = 0
    with contextlib.suppress(OSError):
        # Opened each time: a descriptor that is kept may be another file's by then, in a process that closes them all.
        zeros = os.open("/dev/zero", os.O_RDONLY | os.O_CLOEXEC)
        try:
            done = os.readv(zeros, [memory])
        finally:
            os.close(zeros)
    for page in range(done, size, mmap.PAGESIZE):
        memory[page] = 0


def path_of(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}.seg"


def numbers_in(folder: Path) -> list[int]:
    """The segments that lie in a folder, in order. One may be missing: it was made in vain."""
    return sorted(int(path.stem) for path in folder.glob("*.seg") if path.stem.isdecimal())


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[ReadAt, int]]:
    """A segment's bytes as they lie on disk, and how many there are."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield lambda offset, size: os.pread(fd, size, offset), os.fstat(fd).st_size
    finally:
        os.close(fd)


def check_magic(path: Path, read_at: ReadAt) -> bool:
    """Whether a segment begins as one should, or was killed before it began. Raises ForeignJournal for one that this
    version can't read."""
    magic = read_at(0, len(MAGIC))
    if magic != MAGIC and _OTHER_VERSION.fullmatch(magic):
        raise ForeignJournal(f"{path} was not written by this version of playhead: read it with the one that did")
    return magic == MAGIC or not any(magic)


def has_frames(path: Path) -> bool:
    with opened(path) as (read_at, _):
        return any(read_at(len(MAGIC), HEADER.size))


def frames_of(read_at: ReadAt, offset: int, until: int, *, torn_end: bool) -> Iterator[tuple[bytes | None, int]]:
    """Every whole frame behind ``offset``, with the offset behind it; None in place of what is damaged."""
    for run, behind in runs_of(read_at, offset, until, torn_end=torn_end):
        if run is None:
            yield None, behind
            continue
        offset = behind - size_of(run)
        for frame in run:
            offset += HEADER.size + len(frame)
            yield frame, offset


#: Frames that lie one behind the other, or None in place of one that is damaged; and the offset behind them.
Run = tuple[list[bytes] | None, int]


def size_of(run: list[bytes]) -> int:
    """What these frames take in a segment."""
    return HEADER.size * len(run) + sum(map(len, run))


def runs_of(read_at: ReadAt, offset: int, until: int, *, torn_end: bool) -> Iterator[Run]:
    """All frames behind ``offset``, a stretch of them at a time.

    A damaged frame is stepped over where the one behind it is whole; else the rest of the segment is lost with it.
    ``torn_end``: a last frame that is not whole is no damage, its writer was killed while it wrote.
    """
    stretch = _Stretch(read_at, until)
    while True:
        # Nothing is behind the beginning of a file that was killed before it had its size.
        whole = _whole(read_at(offset, max(0, min(STRETCH_BYTES, until - offset))))
        if whole:
            offset += size_of(whole)
            yield whole, offset
            continue
        # The end of the frames, or damage, or a frame that is longer than a stretch: a closer look says which.
        size, checksum = stretch.header(offset)
        if size == _NEXT or (size == 0 and checksum == 0):
            return
        behind = offset + HEADER.size + size
        frame = stretch.frame(offset)
        if frame is None:
            if torn_end and behind <= until and stretch.is_empty(behind):
                return
            # A wrong length leads nowhere, or to a place where no frame begins.
            if stretch.frame(behind) is None and not (behind < until and stretch.is_empty(behind)):
                behind = until
        yield None if frame is None else [frame], behind
        offset = behind


def _whole(data: bytes) -> list[bytes]:
    """The frames that ``data`` begins with, for as long as they are whole."""
    frames: list[bytes] = []
    at, length, unpack, checksum_of = 0, len(data), HEADER.unpack_from, zlib.crc32
    while at + HEADER.size <= length:
        size, checksum = unpack(data, at)
        begin = at + HEADER.size
        at = begin + size
        if size == 0 or at > length:
            break
        frame = data[begin:at]
        if checksum_of(frame) != checksum:
            break
        frames.append(frame)
    return frames


class _Stretch:
    """A window on a segment that moves along with its reader."""

    def __init__(self, read_at: ReadAt, until: int) -> None:
        self._read_at = read_at
        self._until = until
        self._begin = 0
        self._bytes = b""

    def get(self, offset: int, size: int) -> bytes:
        size = min(size, self._until - offset)
        if size <= 0:
            return b""
        if offset < self._begin or offset + size > self._begin + len(self._bytes):
            self._begin = offset
            self._bytes = self._read_at(offset, min(max(size, STRETCH_BYTES), self._until - offset))
        at = offset - self._begin
        return self._bytes[at : at + size]

    def header(self, offset: int) -> tuple[int, int]:
        """Length and checksum; two zeros where there is no more room for them."""
        data = self.get(offset, HEADER.size)
        if len(data) < HEADER.size:
            return 0, 0
        size, checksum = HEADER.unpack(data)
        return size, checksum

    def frame(self, offset: int) -> bytes | None:
        """The frame that begins here, if it is whole."""
        size, checksum = self.header(offset)
        if size == 0 or offset + HEADER.size + size > self._until:
            return None
        frame = self.get(offset + HEADER.size, size)
        return frame if len(frame) == size and zlib.crc32(frame) == checksum else None

    def is_empty(self, offset: int) -> bool:
        """Whether nothing but zeros, or nothing at all, comes from here on."""
        while offset < self._until:
            data = self.get(offset, STRETCH_BYTES)
            if not data or any(data):
                return not data
            offset += len(data)
        return True
