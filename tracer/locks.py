"""Locks on files, which the system lets go of when their process ends, however it ends.

They belong to the open file, which a forked child shares: it would hold its parent's locks for as long as it lives
itself, and nobody else would get them. So a child closes them first of all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Iterator

#: The descriptor of every lock that this process may hold, and which file it is.
_held: dict[int, tuple[int, int]] = {}


def _forked() -> None:
    for fd in list(_held):
        let_go(fd)


os.register_at_fork(after_in_child=_forked)


def opened(path: Path, flags: int = os.O_CREAT) -> int:
    """The descriptor of a file that is to be locked; a directory is opened with ``O_DIRECTORY``. Raises OSError."""
    mode = os.O_RDONLY if flags & os.O_DIRECTORY else os.O_RDWR
    fd = os.open(path, mode | os.O_CLOEXEC | flags, 0o600)
    _held[fd] = _file(fd)
    return fd


def locked(fd: int) -> bool:
    """Take the lock, at once or not at all; whether it is ours."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def let_go(fd: int) -> None:
    """Close a lock's descriptor. In a forked child that is done already; where the process closed all its descriptors,
    as daemons do, the number may be another file's by now."""
    file = _held.pop(fd, None)
    if file is not None:
        with contextlib.suppress(OSError):
            if _file(fd) == file:
                os.close(fd)


@contextlib.contextmanager
def alone(path: Path, flags: int = os.O_CREAT) -> Iterator[None]:
    """Wait for the lock on ``path``, and hold it meanwhile. Raises OSError."""
    fd = opened(path, flags)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        let_go(fd)


def _file(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
