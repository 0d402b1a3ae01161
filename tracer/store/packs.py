"""Bodies side by side, compressed together: one row for hundreds of them, and what they have in common is said once."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Iterable, Iterator

import zstandard
from sqlalchemy import Connection, select

from tracer.ids import CHANCE
from tracer.store.statements import put, which
from tracer.store.tables import packs, payloads

#: A pack holds at most this much unless a single body is larger: reading one small body unpacks all of its pack.
PACK_BYTES = 256 * 1024
#: Already much smaller than none, at a third less time than the next.
_LEVEL = 1
#: What one reader keeps unpacked, and how many packs it asks for at once.
_KEPT_BYTES = 8 * 1024 * 1024
_AT_ONCE = 16
#: Parameters in one query; well below what any SQLite takes.
CHUNK = 500
#: Random enough for several processes to make ids within the same microsecond.
_CHANCE_BITS = 12
#: Likewise for clocks that are slow, whose ids all count from the horizon: some minutes wide.
_SLOW_BITS = 40
_PLACE = ("pack", "start", "length", "size", "form")

#: What a stored body is: bytes as they are; the list of a payload's pieces; a part of such a list.
WHOLE, LIST, NODE = range(3)


#: A body to be stored: its digest, its form, the size of what it stands for, and its bytes.
Body = tuple[bytes, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stored body lies."""

    digest: bytes
    pack: int
    start: int
    length: int
    size: int
    form: int


def new_id(since: int = 0) -> int:
    """A number that no other process makes, in 63 bits; later ones are larger, so that rows are added at the end. It is
    at least ``since``, also where this machine's clock is slow."""
    number = (time.time_ns() >> 10 << _CHANCE_BITS) + CHANCE.getrandbits(_CHANCE_BITS)
    return number if number >= since else since + CHANCE.getrandbits(_SLOW_BITS)


def write(connection: Connection, bodies: Iterable[Body], since: int = 0) -> None:
    """Store bodies, in this order, in new packs. One that another writer has stored meanwhile stays where it is, unless
    there is a horizon: behind ``since`` it lies where it was put last."""
    made, rows = laid_out(bodies, since)
    put(connection, packs, made)
    put(connection, payloads, rows, change=_PLACE if since else ())


def laid_out(bodies: Iterable[Body], since: int) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of new packs and of the places in them, these in the order of their digests."""
    made: list[tuple[Any, ...]] = []
    rows: list[tuple[Any, ...]] = []
    filled: list[bytes] = []
    start, number = 0, new_id(since)
    for digest, form, size, data in bodies:
        length = len(data)
        if filled and start + length > PACK_BYTES:
            made.append((number, start, *_packed(b"".join(filled))))
            filled, start, number = [], 0, number + 1
        rows.append((digest, number, start, length, size, form))
        filled.append(data)
        start += length
    if filled:
        made.append((number, start, *_packed(b"".join(filled))))
    rows.sort()
    return made, rows


class _Thread(threading.local):
    """A compressor is for one thread at a time, and to make one takes a fifth of what it then does for a pack."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress


_thread = _Thread()


def _packed(data: bytes) -> tuple[str, bytes]:
    packed = _thread.compress(data)
    return ("zstd", packed) if len(packed) < len(data) else ("raw", data)


def places(connection: Connection, digests: Iterable[bytes]) -> dict[bytes, Place]:
    """Where the bodies under these digests lie; what is not stored is left out."""
    wanted = sorted(set(digests))
    found: dict[bytes, Place] = {}
    for start in range(0, len(wanted), CHUNK):
        part = select(payloads).where(payloads.c.digest.in_(wanted[start : start + CHUNK]))
        found.update((bytes(row.digest), Place(*row)) for row in connection.execute(part))
    return found


def stored(connection: Connection, digests: Iterable[bytes], since: int = 0) -> set[bytes]:
    """Which of these bodies are stored, behind the horizon ``since``."""
    wanted = list(digests)
    if not since:
        return which(connection, payloads.c.digest, wanted)
    return {digest for digest, place in places(connection, wanted).items() if place.pack >= since}


class Reader:
    """Reads bodies out of their packs, each pack unpacked once as long as it is among the last ones used."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._kept_bytes = 0

    def bodies(self, wanted: Iterable[Place]) -> Iterator[tuple[Place, bytes]]:
        """The bodies at these places, pack by pack; damaged and missing ones are left out."""
        by_pack: dict[int, list[Place]] = {}
        for place in wanted:
            by_pack.setdefault(place.pack, []).append(place)
        for number, data in self._packs(sorted(by_pack)):
            for place in by_pack[number]:
                if place.start + place.length <= len(data):
                    yield place, data[place.start : place.start + place.length]

    def _packs(self, numbers: list[int]) -> Iterator[tuple[int, bytes]]:
        missing: list[int] = []
        for number in numbers:
            if number in self._kept:
                self._kept.move_to_end(number)
                yield number, self._kept[number]
            else:
                missing.append(number)
        for start in range(0, len(missing), _AT_ONCE):
            some = missing[start : start + _AT_ONCE]
            for row in self._connection.execute(select(packs).where(packs.c.id.in_(some))):
                data = _unpacked(row)
                if data is not None:
                    self._keep(row.id, data)
                    yield row.id, data

    def _keep(self, number: int, data: bytes) -> None:
        self._kept[number] = data
        self._kept_bytes += len(data)
        while self._kept_bytes > _KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1])


def _unpacked(row: Any) -> bytes | None:
    if row.encoding == "raw":
        return bytes(row.body)
    try:
        return zstandard.ZstdDecompressor().decompress(row.body, max_output_size=row.size)
    except zstandard.ZstdError:
        return None
