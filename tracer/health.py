"""How recording fares, as other processes see it.

Each recording process tells it in a small file in its journal's folder. When the process is gone, whoever takes its
journal in adds its counts to the home's file of kept counts, under the owner's name: twice is the same as once.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from struct import Struct
from typing import Any, Iterator, Mapping

from tracer.locks import alone

_STATUS = "status"
_KEPT = "kept.json"
_HEADER = Struct("<II")
_STATUS_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Status:
    """One recording process. ``behind_since_ns``, in epoch nanoseconds, is 0 where nothing waits; ``problem`` is why
    the store did not take the last batch. ``degraded`` counts what it could not do, by the words of the warning."""

    pid: int = 0
    queued_events: int = 0
    queued_bytes: int = 0
    behind_since_ns: int = 0
    written_events: int = 0
    degraded: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """The counts of processes that are gone, and the time of the latest. ``owners`` are those of them whose journals
    still lay here when they were counted."""

    degraded: Mapping[str, int] = field(default_factory=dict)
    last_ns: int = 0
    owners: frozenset[str] = frozenset()


def write_status(folder: Path, status: Status) -> None:
    """Not mapped into memory: on a full disk this fails as an error, and not with a signal."""
    told = {**asdict(status), "problem": status.problem[:500]}
    data = json.dumps(told).encode()
    if len(data) + _HEADER.size > _STATUS_BYTES:
        data = json.dumps({**told, "degraded": {"do many things": sum(status.degraded.values())}}).encode()
    fd = os.open(folder / _STATUS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, _HEADER.pack(len(data), zlib.crc32(data)) + data, 0)
    finally:
        os.close(fd)


def read_status(folder: Path) -> Status | None:
    """What a process tells; None where it told nothing yet. It may be writing just now, so one looks again."""
    for _ in range(3):
        with contextlib.suppress(OSError, ValueError, TypeError):
            data = (folder / _STATUS).read_bytes()[:_STATUS_BYTES]
            size, checksum = _HEADER.unpack_from(data.ljust(_HEADER.size, b"\0"))
            told = data[_HEADER.size : _HEADER.size + size]
            if zlib.crc32(told) == checksum:
                return Status(**json.loads(told)) if told else None
    return None


def degraded_of(folder: Path) -> Mapping[str, int]:
    status = read_status(folder)
    return {} if status is None else status.degraded


def keep(home: Path, owner: str, degraded: Mapping[str, int]) -> None:
    """Have the home remember what a process could not do that is or will be gone. The same owner again replaces."""
    if degraded:
        with _changing(home) as held:
            held["owners"][owner] = dict(degraded)
            held["last_ns"] = time.time_ns()


def forget(home: Path) -> None:
    """Set the kept counts back to zero."""
    with _changing(home) as held:
        held.update(counts={}, owners={}, last_ns=0)


def kept(home: Path) -> Kept:
    held = _read(home / _KEPT)
    counts = Counter(held["counts"])
    for told in held["owners"].values():
        counts.update(told)
    return Kept(dict(counts), held["last_ns"], frozenset(held["owners"]))


@contextlib.contextmanager
def _changing(home: Path) -> Iterator[dict[str, Any]]:
    path = home / _KEPT
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(path.with_suffix(".lock")):
        held = _read(path)
        yield held
        for owner in [each for each in held["owners"] if not (home / "journal" / each).exists()]:
            # Nobody can tell of this one again.
            held["counts"] = dict(Counter(held["counts"]) + Counter(held["owners"].pop(owner)))
        made = path.with_suffix(".new")
        made.write_text(json.dumps(held))
        made.replace(path)


def _read(path: Path) -> dict[str, Any]:
    """The kept counts; none where there is no file, or it is damaged."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
        held = json.loads(path.read_text())
        owners = {str(owner): _counts(told) for owner, told in held["owners"].items()}
        return {"counts": _counts(held["counts"]), "owners": owners, "last_ns": int(held["last_ns"])}
    return {"counts": {}, "owners": {}, "last_ns": 0}


def _counts(told: Mapping[Any, Any]) -> dict[str, int]:
    return {str(what): int(times) for what, times in told.items()}
