"""How far back a writer may lean on what is stored.

A body is stored once: a writer that finds it there already writes only where it is used. So that nobody collects it in
that very moment, a collection first raises the horizon above all packs that are there. From then on writers lean only
on packs behind it, and store anew what they find before it; a collection deletes only before it. Nothing has to be
locked meanwhile, and a collector that is killed leaves the horizon raised, which only makes some bodies lie there
twice until the next one. docs/adr/0012 tells why this is enough.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select, text

from tracer.errors import StoreError, StoreUnreachable
from tracer.store import shared
from tracer.store.engine import writing
from tracer.store.packs import new_id
from tracer.store.tables import packs, shared_values

_NAME = "store/horizon"
#: The name of our lock among a Postgres server's advisory locks: held by every writer until it commits.
_LOCK = 0x706C617A
#: How long writers may be held up by a collection that waits for those before them; how often it tries, and rests.
_PATIENCE = "100ms"
_TRIES = 300
_REST_S = 0.1
_TOO_LONG = "55P03"


@dataclass(frozen=True, slots=True)
class Horizon:
    """The least pack id on which writers lean, and which change made it so."""

    since: int
    version: int


class Superseded(StoreError):
    """Another collection has begun or ended since; this one must delete nothing more."""


def observed(connection: Connection) -> int:
    """The horizon, which holds until this transaction has ended: 0 where nothing is collected."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _LOCK})
    row = connection.execute(select(shared_values.c.value).where(shared_values.c.name == _NAME)).scalar()
    return int(row or 0)


def raised(engine: Engine) -> Horizon:
    """Raise the horizon above everything that is stored. All who wrote under the one before have committed."""
    for _ in range(_TRIES):
        try:
            with writing(engine) as connection:
                return _raise(connection)
        except StoreUnreachable as error:
            if getattr(getattr(error.__cause__, "orig", None), "sqlstate", None) != _TOO_LONG:
                raise
            time.sleep(_REST_S)
    raise StoreUnreachable("somebody has been writing into the store for half a minute in one transaction: try later")


def _raise(connection: Connection) -> Horizon:
    if connection.dialect.name == "postgresql":
        # who waits here makes those wait who come later: rather give up and try again
        connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    before = shared.read(connection, _NAME).get(_NAME)
    newest = connection.execute(select(func.max(packs.c.id))).scalar() or 0
    since = max(new_id(), newest + 1, 0 if before is None else before.value + 1)
    version = 0 if before is None else before.version
    shared.put(connection, _NAME, since, version=version)
    return Horizon(since, version + 1)


def hold(connection: Connection, horizon: Horizon) -> None:
    """Until this transaction has ended nobody changes the horizon. Raises Superseded where somebody did."""
    same = select(shared_values.c.version).where(shared_values.c.name == _NAME).with_for_update(read=True)
    if connection.execute(same).scalar() != horizon.version:
        raise Superseded("another prune of this store has begun meanwhile, and goes on with it")


def lower(engine: Engine, horizon: Horizon) -> None:
    """Let writers lean on everything again, unless another collection needs its own horizon."""
    with writing(engine) as connection:
        shared.put(connection, _NAME, 0, version=horizon.version)
