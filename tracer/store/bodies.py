"""Payloads, whole or in pieces, in and out of the store. Every body is stored once, under the digest of its bytes."""

from __future__ import annotations

from typing import Callable, Iterable, Iterator, Mapping

from sqlalchemy import Connection

from tracer.store import horizon, packs
from tracer.store.packs import LIST, NODE, WHOLE, Body, Place, Reader
from tracer.store.pieces import BASE64, LITERAL, WHOLE_BYTES, cut, digest_of, entries_in, joined, written

_PREFIX = "b2:"
_HEX = 32


def digest_in(address: str) -> bytes:
    """The digest in an address. A text that is none gets one under which nothing is stored."""
    if len(address) == len(_PREFIX) + _HEX and address.startswith(_PREFIX):
        try:
            return bytes.fromhex(address[len(_PREFIX) :])
        except ValueError:
            pass
    return digest_of(address.encode("utf-8", "replace"))


def address_of(digest: bytes) -> str:
    return f"{_PREFIX}{digest.hex()}"


def keep(connection: Connection, payloads: Mapping[bytes, bytes]) -> None:
    """Store these payloads, by digest, as far as they are not stored yet; long ones in pieces. What is stored already
    is leaned on until this transaction has ended."""
    since = horizon.observed(connection)
    new = _missing(connection, payloads, since)
    whole: dict[bytes, bytes] = {}
    nodes: dict[bytes, bytes] = {}
    lists: list[Body] = []
    bodies: list[Body] = []
    for digest, data in new.items():
        if len(data) <= WHOLE_BYTES:
            bodies.append((digest, WHOLE, len(data), data))
            continue
        parts = cut(data)
        if len(parts) == 1:
            bodies.append((digest, WHOLE, len(data), data))
        else:
            lists.append((digest, LIST, len(data), joined(parts, whole, nodes)))
    if lists:
        known = {body[0] for body in bodies}
        for digest, data in _missing(connection, whole, since).items():
            if digest not in known and digest not in new:
                bodies.append((digest, WHOLE, len(data), data))
        new_nodes = _missing(connection, nodes, since)
        bodies += [(digest, NODE, len(data), data) for digest, data in new_nodes.items()]
        bodies += lists
    packs.write(connection, bodies, since)


def _missing(connection: Connection, bodies: Mapping[bytes, bytes], since: int) -> Mapping[bytes, bytes]:
    stored = packs.stored(connection, bodies, since)
    return {digest: body for digest, body in bodies.items() if digest not in stored} if stored else bodies


def sizes(connection: Connection, digests: Iterable[bytes]) -> dict[bytes, int]:
    """The full sizes, in bytes, of the payloads that are stored."""
    return {digest: place.size for digest, place in packs.places(connection, digests).items()}


def fetch(
    connection: Connection,
    digests: Iterable[bytes],
    *,
    most_bytes: int | None = None,
    reader: Reader | None = None,
) -> dict[bytes, bytes]:
    """The payloads under these digests. What is not stored, or not whole any more, is left out, and so is what is
    larger than ``most_bytes``. Who fetches again and again keeps a ``reader``."""
    found = packs.places(connection, digests)
    wanted = [place for place in found.values() if most_bytes is None or place.size <= most_bytes]
    stored = with_pieces(connection, wanted, reader or Reader(connection))
    whole = ((place.digest, _whole(place.digest, stored)) for place in wanted)
    return {digest: data for digest, data in whole if data is not None}


Stored = dict[bytes, tuple[Place, bytes]]


def with_pieces(connection: Connection, places: Iterable[Place], reader: Reader) -> Stored:
    """These bodies and all that they are made of, one query for each level of their lists."""
    stored: Stored = {}
    waiting = list(places)
    while waiting:
        below: set[bytes] = set()
        for place, body in read_at(connection, waiting, reader):
            stored[place.digest] = (place, body)
            if place.form != WHOLE:
                below.update(below_it(body))
        waiting = list(packs.places(connection, below.difference(stored)).values())
    return stored


def read_at(connection: Connection, places: list[Place], reader: Reader | None = None) -> Iterator[tuple[Place, bytes]]:
    """The bodies at these places; damaged and missing ones are left out. One that was moved into another pack since its
    place was read is looked for once more."""
    reader = reader or Reader(connection)
    unread = {place.digest: place for place in places}
    for place, body in reader.bodies(places):
        del unread[place.digest]
        yield place, body
    if unread:
        again = packs.places(connection, unread)
        yield from reader.bodies(place for place in again.values() if place != unread[place.digest])


def below_it(body: bytes) -> list[bytes]:
    """The digests of what a list names; none where it is torn."""
    try:
        return [digest for letter, digest in entries_in(body) if letter != LITERAL]
    except ValueError:
        return []


def _whole(digest: bytes, stored: Stored) -> bytes | None:
    found = stored.get(digest)
    if found is None:
        return None
    place, body = found
    if place.form == WHOLE:
        return body
    said: list[bytes] = []
    size = 0
    try:
        for chunk in chunks(digest, stored.get):
            said.append(chunk)
            size += len(chunk)
            if size > place.size:  # and perhaps without end
                return None
    except (LookupError, ValueError, RecursionError):
        return None
    return b"".join(said) if size == place.size else None


def chunks(digest: bytes, look: Callable[[bytes], tuple[Place, bytes] | None]) -> Iterator[bytes]:
    """The bytes of a payload, piece by piece. Raises KeyError with the digest of a piece that is not there, ValueError
    for a list that is none."""
    found = look(digest)
    if found is None:
        raise KeyError(digest)
    place, body = found
    if place.form == WHOLE:
        yield body
        return
    for letter, entry in entries_in(body):
        if letter == LITERAL:
            yield entry
        elif letter == BASE64:
            yield written((BASE64, b"".join(chunks(entry, look))))
        else:
            yield from chunks(entry, look)
