"""What keeps a store small: which traces are pinned, what retention asks of each, and what goes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Collection, Iterator, Mapping

from sqlalchemy import Connection, Engine, Row, func, or_, select, text, union_all

from tracer.errors import TraceNotFound
from tracer.store import collecting, shared
from tracer.store.deleting import PINNED, Deleted, delete_traces
from tracer.store.engine import reading, shown, writing
from tracer.store.escalations import PENDING
from tracer.store.pace import Pace
from tracer.store.search import Owners
from tracer.store.tables import escalations, notes, packs, payloads, steps, traces
from tracer.subjects import Held, Reason, Subject

#: What a step takes beside its input and output, in bytes: its rows and their indexes, as measured.
_STEP_BYTES = 600
#: Pages of an SQLite file that are given back at once to begin with.
_PAGES = 100


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The upkeep of one store. Every change is made of small transactions, between which others write."""

    engine: Engine
    alive: Callable[[str], bool] | None

    def pin(self, trace_id: str) -> bool:
        """Let no prune take this trace. False: it was pinned already. Raises TraceNotFound."""
        with writing(self.engine) as connection:
            known = select(traces.c.trace_id).where(traces.c.trace_id == trace_id)
            if connection.execute(known).scalar() is None:
                raise TraceNotFound(f"no trace {trace_id} in {shown(self.engine.url)}")
            return shared.put(connection, PINNED + trace_id, {"at_ns": time.time_ns()}, version=0)

    def unpin(self, trace_id: str) -> bool:
        """False: it was not pinned."""
        with writing(self.engine) as connection:
            return shared.forget(connection, PINNED + trace_id)

    def pins(self) -> tuple[str, ...]:
        """The ids of the pinned traces."""
        with reading(self.engine) as connection:
            return _pins(connection)

    def subjects(self, *, before_ns: int | None = None, sizes: bool = False) -> list[Subject]:
        """What retention asks of each trace. ``before_ns`` leaves out what began later, but for the replays of others
        and the runs that went on, and what these came from. ``sizes``: with the share that each has of the store."""
        with reading(self.engine) as connection:
            shares = _shares(connection) if sizes else {}
            return _subjects(connection, Owners(connection, self.alive), before_ns, shares)

    def delete(self, trace_ids: Collection[str]) -> Deleted:
        """As ``Store.delete``, but pinned traces stay."""
        return delete_traces(self.engine, trace_ids, self.alive, spare_pinned=True)

    def survey(self, *, without: Collection[str] = ()) -> collecting.Collected:
        """What ``collect`` would take if these traces were gone; of packs nothing is said."""
        return collecting.survey(self.engine, without=without)

    def collect(self) -> collecting.Collected:
        """Take out the inputs and outputs that no trace uses any more, and give the room back that this makes."""
        collected = collecting.collect(self.engine)
        self._give_back()
        return collected

    def _give_back(self) -> None:
        """Make the file of an SQLite store smaller, where it was made for that. Postgres has its autovacuum."""
        if self.engine.dialect.name != "sqlite":
            return
        pace = Pace(self.engine, _PAGES)
        while _pages_to_give_back(self.engine):
            pace.script(f"PRAGMA incremental_vacuum({pace.size})")


_INCREMENTAL = 2


def _pages_to_give_back(engine: Engine) -> int:
    with reading(engine) as connection:
        if connection.execute(text("PRAGMA auto_vacuum")).scalar() != _INCREMENTAL:
            return 0
        return int(connection.execute(text("PRAGMA freelist_count")).scalar() or 0)


def _pins(connection: Connection) -> tuple[str, ...]:
    return tuple(name.removeprefix(PINNED) for name in shared.read(connection, PINNED))


def _subjects(
    connection: Connection, owners: Owners, before_ns: int | None, shares: Mapping[str, int]
) -> list[Subject]:
    origin = func.coalesce(traces.c.replay_of, traces.c.resume_of)
    query = select(
        *(traces.c.trace_id, traces.c.workflow, traces.c.started_ns, origin.label("origin"), traces.c.replay_of),
        *(traces.c.outcome, traces.c.owner, traces.c.escalations),
    )
    if before_ns is not None:
        tied = or_(traces.c.replay_of.is_not(None), traces.c.resume_of.is_not(None))
        # two selects, so that each is answered by its own index
        origins = union_all(
            *(select(each).where(each.is_not(None)) for each in (traces.c.replay_of, traces.c.resume_of))
        )
        query = query.where(or_(traces.c.started_ns < before_ns, tied, traces.c.trace_id.in_(origins)))
    scored = set(connection.execute(select(notes.c.trace_id).where(notes.c.kind == "score").distinct()).scalars())
    asked = set(connection.execute(select(escalations.c.trace_id).where(PENDING)).scalars())
    pinned = set(_pins(connection))
    found = []
    for row in connection.execute(query):
        held: Held | None = None
        if row.outcome is None and owners.lives(row.owner):
            held = "running"
        elif row.trace_id in pinned:
            held = "pinned"
        elif row.trace_id in asked:
            held = "waiting"
        reasons = frozenset(_reasons(row, is_scored=row.trace_id in scored))
        size = shares.get(row.trace_id, 0)
        found.append(Subject(row.trace_id, row.workflow, row.started_ns, size, row.origin, reasons, held))
    return found


def _reasons(row: Row[*tuple[Any, ...]], *, is_scored: bool) -> Iterator[Reason]:
    # what was cut short did not end well either
    if row.outcome not in ("ok", "waiting"):
        yield "failed"
    if is_scored:
        yield "scored"
    if row.escalations:
        yield "escalated"
    if row.replay_of is not None:
        yield "replayed"


def _shares(connection: Connection) -> dict[str, int]:
    """What each trace takes: its rows, and of the packs as much as it has of everything that was recorded."""
    parts = (
        select(steps.c.trace_id, payloads.c.size).join(payloads, payloads.c.digest == column)
        for column in (steps.c.input, steps.c.output)
    )
    every = union_all(*parts).subquery()
    told = select(every.c.trace_id, func.sum(every.c.size)).group_by(every.c.trace_id)
    recorded = {row[0]: int(row[1]) for row in connection.execute(told)}
    packed, unpacked = connection.execute(select(func.sum(func.length(packs.c.body)), func.sum(packs.c.size))).one()
    used = connection.execute(select(func.sum(payloads.c.length))).scalar()
    lies = int(used or 0) * int(packed or 0) / int(unpacked or 1)
    ratio = lies / max(1, sum(recorded.values()))
    rows = connection.execute(select(traces.c.trace_id, traces.c.seq))
    return {row.trace_id: row.seq * _STEP_BYTES + int(recorded.get(row.trace_id, 0) * ratio) for row in rows}
