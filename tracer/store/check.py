"""Whether everything that is stored is what it was: every body hashed again, every reference followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from sqlalchemy import Connection, select, union_all

from tracer.store.bodies import Stored, address_of, chunks, with_pieces
from tracer.store.packs import CHUNK, LIST, NODE, WHOLE, Place, Reader
from tracer.store.pieces import digest_of, node_digest
from tracer.store.tables import payloads, steps

#: Of the steps that use a damaged payload, so many are named.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Damage:
    """A payload that can't be given back as it was. ``used_by`` names up to five steps as ``trace id/step id input``;
    it is empty for a piece of longer payloads, which are named as well."""

    address: str
    problem: str
    used_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """How many bodies were hashed, and what was wrong with them."""

    bodies: int
    damaged: tuple[Damage, ...]


def check(connection: Connection) -> Checked:
    """Read every body once, in the order in which they lie, and follow every list. Memory: some packs, and the largest
    payload."""
    reader, followed = Reader(connection), Reader(connection)
    checked = 0
    wrong: dict[bytes, str] = {}
    for places in _in_packs(connection):
        checked += len(places)
        unread = {place.digest for place in places}
        for place, body in reader.bodies(places):
            unread.discard(place.digest)
            stored = with_pieces(connection, [place], followed) if place.form == LIST else {}
            problem = _problem(place, body, stored)
            if problem is not None:
                wrong[place.digest] = problem
        wrong |= dict.fromkeys(unread, "its pack is missing or torn")
    wrong |= dict.fromkeys(_missing(connection), "it is not in the store")
    users = _users(connection, sorted(wrong))
    damaged = (Damage(address_of(digest), wrong[digest], tuple(users.get(digest, ()))) for digest in sorted(wrong))
    return Checked(checked, tuple(damaged))


def _in_packs(connection: Connection) -> Iterator[list[Place]]:
    """All places, some hundred at a time, in the order of packs. The database sorts, on disk if need be."""
    query = select(payloads).order_by(payloads.c.pack, payloads.c.start)
    with connection.execute(query, execution_options={"yield_per": CHUNK}) as found:
        for some in found.partitions():
            yield [Place(*row) for row in some]


def _problem(place: Place, body: bytes, stored: Stored) -> str | None:
    """What is wrong with a body, or None."""
    if place.form == WHOLE:
        return None if digest_of(body) == place.digest else "its bytes have changed"
    if place.form == NODE:
        return None if node_digest(body) == place.digest else "its list of pieces has changed"
    digest = blake2b(digest_size=len(place.digest))
    size = 0
    try:
        for chunk in chunks(place.digest, stored.get):
            digest.update(chunk)
            size += len(chunk)
            if size > place.size:
                return "its pieces are more than it was"
    except KeyError as error:
        return f"its piece {address_of(error.args[0])} is missing or torn"
    except (ValueError, RecursionError):
        return "its list of pieces is torn"
    return None if digest.digest() == place.digest else "its pieces are not what they were"


_USED = {"input": steps.c.input, "output": steps.c.output, "failure": steps.c.failure}


def _missing(connection: Connection) -> Iterator[bytes]:
    """Digests that steps refer to and that are not stored."""
    used = (
        select(column.label("digest"))
        .select_from(steps.outerjoin(payloads, payloads.c.digest == column))
        .where(column.is_not(None), payloads.c.digest.is_(None))
        for column in _USED.values()
    )
    both = union_all(*used).subquery()
    for (digest,) in connection.execute(select(both.c.digest).distinct().order_by(both.c.digest)):
        yield bytes(digest)


def _users(connection: Connection, digests: list[bytes]) -> dict[bytes, list[str]]:
    found: dict[bytes, list[str]] = {}
    for start in range(0, len(digests), CHUNK):
        for name, column in _USED.items():
            query = select(column, steps.c.trace_id, steps.c.step_id).where(column.in_(digests[start : start + CHUNK]))
            for digest, trace_id, step_id in connection.execute(query.order_by(steps.c.trace_id, steps.c.step_id)):
                places = found.setdefault(bytes(digest), [])
                if len(places) < _NAMED:
                    places.append(f"{trace_id}/{step_id} {name}")
    return found
