"""What a store holds, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, select, text

from tracer.store import upgrade
from tracer.store.search import Owners
from tracer.store.tables import packs, payloads, processes, steps, traces

_SIZE = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What ``playhead doctor`` says about a store. ``place`` shows no credentials. ``payloads`` counts what is stored
    under an address of its own: whole payloads, and the pieces of long ones. Sizes are in bytes: of all of these when
    unpacked, and of the whole database as it lies. ``running`` names the processes that record right now."""

    place: str
    database: str
    revision: str | None
    traces: int
    steps: int
    payloads: int
    payload_size: int
    size: int
    running: tuple[str, ...]


def read_facts(connection: Connection, place: str, owners: Owners) -> StoreFacts:
    announced = connection.execute(select(processes.c.owner).order_by(processes.c.owner)).scalars()
    unpacked = connection.execute(select(func.coalesce(func.sum(packs.c.size), 0))).scalar_one()
    return StoreFacts(
        place=place,
        database=connection.dialect.name,
        revision=upgrade.revision(connection),
        traces=_count(connection, traces),
        steps=_count(connection, steps),
        payloads=_count(connection, payloads),
        payload_size=int(unpacked),
        size=int(connection.execute(text(_SIZE[connection.dialect.name])).scalar_one()),
        running=tuple(owner for owner in announced.all() if owners.lives(owner)),
    )


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
