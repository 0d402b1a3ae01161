"""Bodies that nothing uses any more, taken out of the store while others write into it.

First it is put down what is used: what steps name, and what lists name that are used. Then everything else goes, in
small transactions; packs in which nothing is used go whole, and what is left of a pack of which less than half is used
moves into a new one. ``horizon`` is why nothing goes that a writer leans on in that very moment.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Collection, Iterator

from sqlalchemy import Connection, Engine, delete, func, select, tuple_

from tracer.errors import StoreError
from tracer.store import horizon as horizons
from tracer.store.bodies import below_it, read_at
from tracer.store.engine import reading
from tracer.store.horizon import Horizon
from tracer.store.pace import Pace
from tracer.store.packs import PACK_BYTES, Body, Place, Reader, laid_out
from tracer.store.scratch import Scratch, scratch
from tracer.store.statements import put
from tracer.store.tables import packs, payloads, steps

#: Rows that are read at once, lists that are followed at once, and bodies and packs that go at once to begin with.
_ROWS, _LISTS, _BODIES, _PACKS = 5_000, 500, 500, 20


@dataclass(frozen=True, slots=True)
class Collected:
    """How many bodies went and how many bytes they were, unpacked; how many packs went, how many were made of what was
    left, and by how many bytes the packs are smaller as they lie."""

    bodies: int = 0
    body_size: int = 0
    packs: int = 0
    packs_made: int = 0
    freed: int = 0


def survey(engine: Engine, *, without: Collection[str] = ()) -> Collected:
    """What a collection would take if these traces were gone: bodies, nothing of packs. Changes nothing."""
    with scratch() as noted:
        _look(engine, noted, since=None, without=frozenset(without))
        return Collected(*noted.unused_total())


def collect(engine: Engine) -> Collected:
    """Take out what nothing uses. Raises Superseded where another collection begins meanwhile; what is gone by then
    was used by nothing, and the other one goes on."""
    horizon = horizons.raised(engine)
    try:
        with scratch() as noted:
            _look(engine, noted, since=horizon.since, without=frozenset())
            count, size = noted.unused_total()
            _take_bodies(engine, noted, horizon)
            gone = _take_packs(engine, noted, horizon)
            made = _make_anew(engine, noted, horizon)
            return Collected(count, size, gone.packs + made.packs, made.packs_made, gone.freed + made.freed)
    finally:
        with contextlib.suppress(StoreError):  # it stays raised, which harms nobody
            horizons.lower(engine, horizon)


def _look(engine: Engine, noted: Scratch, *, since: int | None, without: frozenset[str]) -> None:
    for digests in _named(engine, without):
        noted.use(digests)
    for places in _places(engine, since):
        noted.note(places)
    for rows in _packs(engine, since):
        noted.note_packs(rows)
    for lists in noted.unfollowed(_LISTS):
        with reading(engine) as connection:
            noted.use({digest for _, body in read_at(connection, lists) for digest in below_it(body)})


def _named(engine: Engine, without: frozenset[str]) -> Iterator[set[bytes]]:
    """What steps name, but for those of these traces. Each portion in a transaction of its own: what was named before
    the horizon was raised is seen, whatever happens meanwhile."""
    key = (steps.c.trace_id, steps.c.step_id)
    page = select(*key, steps.c.input, steps.c.output, steps.c.failure).order_by(*key).limit(_ROWS)
    last = ("", "")
    while True:
        with reading(engine) as connection:
            rows = connection.execute(page.where(tuple_(*key) > last)).all()
        if not rows:
            return
        last = (rows[-1].trace_id, rows[-1].step_id)
        yield {bytes(each) for row in rows if row.trace_id not in without for each in row[2:] if each is not None}


def _places(engine: Engine, since: int | None) -> Iterator[list[Place]]:
    page = select(payloads).order_by(payloads.c.digest).limit(_ROWS)
    if since is not None:
        page = page.where(payloads.c.pack < since)
    last = b""
    while True:
        with reading(engine) as connection:
            rows = connection.execute(page.where(payloads.c.digest > last)).all()
        if not rows:
            return
        last = bytes(rows[-1].digest)
        yield [Place(bytes(row.digest), *row[1:]) for row in rows]


def _packs(engine: Engine, since: int | None) -> Iterator[list[tuple[int, int, int]]]:
    page = select(packs.c.id, packs.c.size, func.length(packs.c.body)).order_by(packs.c.id).limit(_ROWS)
    if since is not None:
        page = page.where(packs.c.id < since)
    last = -1
    while True:
        with reading(engine) as connection:
            rows = connection.execute(page.where(packs.c.id > last)).all()
        if not rows:
            return
        last = rows[-1].id
        yield [(row[0], row[1], row[2]) for row in rows]


_GONE = {
    "sqlite": "DELETE FROM payloads WHERE digest = ? AND pack < ?",
    "postgresql": "DELETE FROM payloads WHERE digest = %s AND pack < %s",
}
_MOVED = {
    "sqlite": "UPDATE payloads SET pack = ?, start = ? WHERE digest = ? AND pack = ?",
    "postgresql": "UPDATE payloads SET pack = %s, start = %s WHERE digest = %s AND pack = %s",
}


def _take_bodies(engine: Engine, noted: Scratch, horizon: Horizon) -> None:
    pace = Pace(engine, _BODIES)
    for digests in pace.portions(noted.unused()):
        with pace.turn() as connection:
            horizons.hold(connection, horizon)
            rows = [(digest, horizon.since) for digest in digests]
            connection.exec_driver_sql(_GONE[connection.dialect.name], rows)


def _take_packs(engine: Engine, noted: Scratch, horizon: Horizon) -> Collected:
    gone = Collected()
    pace = Pace(engine, _PACKS)
    for some in pace.portions(noted.empty_packs()):
        with pace.turn() as connection:
            horizons.hold(connection, horizon)
            connection.execute(delete(packs).where(packs.c.id.in_([number for number, _ in some])))
        gone = replace(gone, packs=gone.packs + len(some), freed=gone.freed + sum(packed for _, packed in some))
    return gone


@dataclass(frozen=True, slots=True)
class _Rest:
    """What is used of a pack."""

    pack: int
    packed: int
    bodies: tuple[tuple[Place, bytes], ...]


def _make_anew(engine: Engine, noted: Scratch, horizon: Horizon) -> Collected:
    done = Collected()
    noted.index_packs()
    pace = Pace(engine, 1)
    for rests in _groups(engine, noted):
        laid: dict[bytes, int] = {place.digest: rest.pack for rest in rests for place, _ in rest.bodies}
        bodies = (_body(place, data) for rest in rests for place, data in rest.bodies)
        made, rows = laid_out(bodies, horizon.since)
        with pace.turn() as connection:
            horizons.hold(connection, horizon)
            _move(connection, made, [(row[1], row[2], row[0], laid[row[0]]) for row in rows])
            connection.execute(delete(packs).where(packs.c.id.in_([rest.pack for rest in rests])))
        freed = sum(rest.packed for rest in rests) - sum(len(row[3]) for row in made)
        done = Collected(0, 0, done.packs + len(rests), done.packs_made + len(made), done.freed + freed)
    return done


def _move(
    connection: Connection, made: list[tuple[int, int, str, bytes]], moved: list[tuple[int, int, bytes, int]]
) -> None:
    put(connection, packs, made)
    # one that was stored anew meanwhile lies elsewhere by now, and stays there
    connection.exec_driver_sql(_MOVED[connection.dialect.name], moved)


def _groups(engine: Engine, noted: Scratch) -> Iterator[list[_Rest]]:
    """What is left of sparse packs, by as much as one pack holds. One that can't be read is left as it is."""
    group: list[_Rest] = []
    size = 0
    for number, packed in noted.sparse_packs():
        places = noted.used_in(number)
        with reading(engine) as connection:
            bodies = tuple(Reader(connection).bodies(places))
        if len(bodies) < len(places):
            continue
        length = sum(place.length for place in places)
        if group and size + length > PACK_BYTES:
            yield group
            group, size = [], 0
        group.append(_Rest(number, packed, bodies))
        size += length
    if group:
        yield group


def _body(place: Place, data: bytes) -> Body:
    return place.digest, place.form, place.size, data
