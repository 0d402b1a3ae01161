"""Whose a journal is: one folder for each process, and a lock on its file ``owner`` for as long as the process lives.

The system lets go of the lock when the process ends, however it ends, so a folder whose lock can be had is a dead
process's, and whoever holds it may bring its events in. The file names the boot of the machine: containers of one
kernel share that, whatever their host names, and see each other's locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from functools import cache
from pathlib import Path
from typing import Iterator

from tracer.locks import let_go, locked, opened

#: Where journals lie, below the home.
JOURNALS = "journal"
_LOCK_FILE = "owner"
#: Not from socket, whose import would cost more than all else here.
_HOST = os.uname().nodename
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: A folder that is this old and still has no name was begun by a process that was killed in the middle of it.
_UNFINISHED_S = 60.0


def new_owner(store_tag: str) -> str:
    return f"{store_tag}-{_HOST}-{os.getpid()}-{time.time_ns():x}"


def make_folder(journals: Path, owner: str) -> tuple[Path, int]:
    """A journal's folder and the descriptor that holds its lock. It gets its name when it is locked: a folder that
    others can see is never without its living owner."""
    making = journals / f".{owner}"
    making.mkdir(parents=True, mode=0o700)
    try:
        fd = opened(making / _LOCK_FILE)
    except OSError:
        discard(making)
        raise
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(fd, _boot().encode())
        return making.rename(journals / owner), fd
    except OSError:
        let_go(fd)
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
    folder = home / JOURNALS / owner
    if not _is_here(folder):
        return True
    try:
        fd = opened(folder / _LOCK_FILE, 0)
    except OSError:
        return False
    try:
        return not locked(fd)
    finally:
        let_go(fd)


@contextlib.contextmanager
def adopt(folder: Path) -> Iterator[bool]:
    """Hold a dead process's journal, so that only one adopter reads it; gives False while its owner lives."""
    try:
        # Made anew where somebody deleted it: what nobody can lock has no owner.
        fd = opened(folder / _LOCK_FILE)
    except OSError:
        yield False
        return
    try:
        yield locked(fd)
    finally:
        let_go(fd)


def abandoned(home: Path, store_tag: str, *, all_hosts: bool = False) -> list[Path]:
    """Journals meant for this store whose owner may be dead, oldest first: of this machine, or of all."""
    ages: dict[Path, float] = {}
    for folder in (home / JOURNALS).glob(f"{store_tag}-*"):
        if all_hosts or _is_here(folder):
            with contextlib.suppress(FileNotFoundError):  # adopted by another process just now
                ages[folder] = folder.stat().st_mtime
    return sorted(ages, key=ages.__getitem__)


def elsewhere(home: Path, store_tag: str) -> list[Path]:
    """Journals meant for this store that another machine left here, by name."""
    return sorted(folder for folder in (home / JOURNALS).glob(f"{store_tag}-*") if not _is_here(folder))


def host_of(owner: str) -> str:
    return owner.split("-", 1)[-1].rsplit("-", 2)[0]


def pid_of(owner: str) -> int:
    pid = owner.rsplit("-", 2)[-2]
    return int(pid) if pid.isdecimal() else 0


def sweep(home: Path) -> None:
    """Clear away what processes left that were killed while they made their journal."""
    for making in (home / JOURNALS).glob(".*-*"):
        with contextlib.suppress(OSError):
            if time.time() - making.stat().st_mtime > _UNFINISHED_S:
                with adopt(making) as dead:
                    if dead:
                        discard(making)


def _is_here(folder: Path) -> bool:
    """Whether the owner is or was a process of this machine, whose locks we see."""
    if host_of(folder.name) == _HOST:
        return True
    try:
        told = (folder / _LOCK_FILE).read_text()
    except (OSError, ValueError):
        return False
    return bool(told) and told == _boot()


@cache
def _boot() -> str:
    """The boot of this machine's kernel; empty where the system does not name it."""
    try:
        return _BOOT_ID.read_text().strip()
    except (OSError, ValueError):
        return ""
