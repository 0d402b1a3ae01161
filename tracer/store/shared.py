"""Values that processes share beside the traces, changed by compare and set: each has a version that only grows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from tracer.store.tables import shared_values


@dataclass(frozen=True, slots=True)
class Shared:
    """A JSON value, how often it was changed, and when last."""

    value: Any
    version: int
    changed_ns: int


def read(connection: Connection, prefix: str) -> dict[str, Shared]:
    named = shared_values.c.name.startswith(prefix, autoescape=True)
    rows = connection.execute(select(shared_values).where(named).order_by(shared_values.c.name))
    # LIKE takes upper case for lower on SQLite
    return {row.name: Shared(row.value, row.version, row.changed_ns) for row in rows if row.name.startswith(prefix)}


def put(connection: Connection, name: str, value: Any, *, version: int) -> bool:
    row = {"name": name, "version": version + 1, "value": value, "changed_ns": time.time_ns()}
    if version:
        same = (shared_values.c.name == name) & (shared_values.c.version == version)
        return connection.execute(shared_values.update().where(same).values(row)).rowcount == 1
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    first = make(shared_values).values(row).on_conflict_do_nothing().returning(shared_values.c.version)
    return connection.execute(first).one_or_none() is not None


def forget(connection: Connection, name: str) -> bool:
    """Take a value away, whatever its version. False: there was none. Only for names whose values nobody changes."""
    return connection.execute(shared_values.delete().where(shared_values.c.name == name)).rowcount > 0
