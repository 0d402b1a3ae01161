"""The store: one door for everything that is written and read."""

from __future__ import annotations

import re
import socket
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Collection, Iterable, Iterator, Self, Sequence

from sqlalchemy import Column, ColumnElement, Connection, Engine, Select, and_, func, or_, select
from sqlalchemy.exc import DatabaseError

from tracer import codec
from tracer.errors import AmbiguousTrace, StoreError, StoreUnreachable, TraceNotFound
from tracer.events import Event
from tracer.model import PayloadRef, Trace, TraceSummary
from tracer.seen import Seen
from tracer.store import engine as engines
from tracer.store import index, measures, occurrences, read, repricing, shared, tagged, totals, upgrade, write
from tracer.store.bodies import digest_in
from tracer.store.check import Checked, check
from tracer.store.deleting import Deleted, delete_traces
from tracer.store.escalations import Escalations
from tracer.store.facets import Facets, facets
from tracer.store.facts import StoreFacts, read_facts
from tracer.store.hits import Hit, hits
from tracer.store.query import Filter
from tracer.store.remarks import Remarks
from tracer.store.search import Owners, conditions
from tracer.store.shared import Shared
from tracer.store.statements import upsert
from tracer.store.tables import journal_positions, model_calls, processes, traces
from tracer.store.tagged import Tagged
from tracer.store.texts import plain
from tracer.store.upkeep import Upkeep
from tracer.tail import KEEP_ALL, Keep

_CANDIDATES = 5
_ALL = Filter()


class Store:
    """An open store. Any thread may use it, and any number of processes may have the same one open.

    Every method raises StoreUnreachable when the database is gone.
    """

    def __init__(self, engine: Engine, *, alive: Callable[[str], bool] | None) -> None:
        self._engine = engine
        self._alive = alive

    @property
    def place(self) -> str:
        """Where this store is, for people: a path, or a URL without credentials."""
        return engines.shown(self._engine.url)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Writing

    def apply(
        self,
        events: Iterable[Event],
        *,
        owner: str,
        position: tuple[int, int] | None = None,
        keep: Keep = KEEP_ALL,
    ) -> None:
        """Write a batch of events, best some hundred, and the journal position behind it, in one transaction. Events
        may come late or twice: the same events again change nothing. Of ended traces only those stay that ``keep``
        keeps."""
        with engines.writing(self._engine) as connection:
            write.apply(connection, events, owner=owner, position=position, keep=keep)

    def position(self, owner: str) -> tuple[int, int] | None:
        """How far ``owner``'s journal has been written: (segment, offset)."""
        wanted = select(journal_positions.c.segment, journal_positions.c.offset_bytes)
        with engines.reading(self._engine) as connection:
            row = connection.execute(wanted.where(journal_positions.c.owner == owner)).one_or_none()
        return None if row is None else (row.segment, row.offset_bytes)

    def shared(self, prefix: str) -> dict[str, Shared]:
        """The shared values whose names begin with ``prefix``, by name."""
        with engines.reading(self._engine) as connection:
            return shared.read(connection, prefix)

    def share(self, name: str, value: Any, *, version: int) -> bool:
        """Put a JSON value in the place of the one of that ``version`` (0: there is none yet). False, and nothing is
        changed, where another process was first."""
        with engines.writing(self._engine) as connection:
            return shared.put(connection, name, value, version=version)

    @property
    def escalations(self) -> Escalations:
        """The questions that waiting runs have asked."""
        return Escalations(self._engine)

    @property
    def remarks(self) -> Remarks:
        """What readers say of steps: scores and notes, added and taken back."""
        return Remarks(self._engine)

    def announce(self, owner: str, *, pid: int) -> None:
        """Say that the process ``owner`` of this machine records from now on."""
        row = {
            "owner": owner,
            "host": socket.gethostname(),
            "pid": pid,
            "started_ns": time.time_ns(),
            "closed_ns": None,
        }
        with engines.writing(self._engine) as connection:
            upsert(connection, processes, [row], change=("closed_ns",))

    def withdraw(self, owner: str) -> None:
        """Say that ``owner`` has ended and records no more: what it left open is interrupted, whoever asks."""
        with engines.writing(self._engine) as connection:
            gone = processes.update().where(processes.c.owner == owner).values(closed_ns=time.time_ns())
            connection.execute(gone)
            totals.settle(connection, owner)

    def reprice(self, found: Filter, price: repricing.Price, *, write: bool) -> Iterator[list[repricing.Repriced]]:
        """Price the ended model calls of the filter's traces anew; with a model in it, that model's calls only.
        ``price`` gives a call's cost, or None to leave it. Some hundred at a time, in the order of their keys; where
        they are written down, so are their traces' totals, in one transaction for each list that is yielded."""
        fixed = replace(found, model=None, since=None, since_ns=found.since_when_ns())
        after: tuple[str, str] | None = ("", "")
        is_indexed = self._index_for(fixed)
        while after is not None:
            with (engines.writing if write else engines.reading)(self._engine) as connection:
                owners = Owners(connection, self._alive)
                wanted = self._conditions(connection, fixed, owners, is_indexed=is_indexed)
                priced, after = repricing.page(connection, wanted, price, model=found.model, after=after, write=write)
            if priced:
                yield priced

    def delete(self, trace_ids: Collection[str]) -> Deleted:
        """Delete these traces with their steps, calls and notes, all but those that still run. The bodies of their
        inputs and outputs are left for a prune."""
        return delete_traces(self._engine, trace_ids, self._alive)

    @property
    def upkeep(self) -> Upkeep:
        """What keeps the store small: pins, deleting what has had its time, collecting what nothing uses."""
        return Upkeep(self._engine, self._alive)

    # Reading

    def resolve(self, name: str) -> str:
        """The trace id behind ``latest``, an id, or a prefix that only one trace has."""
        with engines.reading(self._engine) as connection:
            if name == "latest":
                newest = (
                    select(traces.c.trace_id).order_by(traces.c.started_ns.desc(), traces.c.trace_id.desc()).limit(1)
                )
                latest = connection.execute(newest).scalar()
                if latest is None:
                    raise TraceNotFound(f"no trace is recorded in {self.place} yet")
                return str(latest)
            prefix = name.strip().lower()
            if not re.fullmatch("[0-9a-f]{1,32}", prefix):
                raise TraceNotFound(f"{name!r} is no trace: give an id, the beginning of one, or latest")
            return self._with_prefix(connection, prefix)

    def _with_prefix(self, connection: Connection, prefix: str) -> str:
        # A range, so that the key's index is used in any collation; "g" comes behind every hex digit.
        same = (traces.c.trace_id >= prefix) & (traces.c.trace_id < prefix + "g")
        found = select(traces.c.trace_id).where(same).order_by(traces.c.trace_id).limit(_CANDIDATES + 1)
        ids = list(connection.execute(found).scalars())
        if not ids:
            raise TraceNotFound(f"no trace begins with {prefix} in {self.place}")
        if len(ids) > 1:
            shown = ", ".join(ids[:_CANDIDATES]) + (", ..." if len(ids) > _CANDIDATES else "")
            raise AmbiguousTrace(f"several traces begin with {prefix}: {shown}; give more of the id")
        return str(ids[0])

    def trace(self, trace_id: str, only: Collection[str] | None = None) -> Trace:
        """A whole trace, or ``only`` these of its steps: in the order they began, inputs and outputs as addresses."""
        with engines.reading(self._engine) as connection:
            row = connection.execute(select(traces).where(traces.c.trace_id == plain(trace_id))).one_or_none()
            if row is None:
                raise TraceNotFound(f"no trace {trace_id} in {self.place}")
            return read.trace_of(connection, row, Owners(connection, self._alive), only)

    def traces(
        self, found: Filter = _ALL, *, limit: int = 50, before: tuple[int, str] | None = None
    ) -> list[TraceSummary]:
        """Traces, newest first. For the next page give the last row's (started_ns, trace_id) as ``before``."""
        with self._looking_for(found) as (connection, owners, wanted):
            return self._page(connection, select(*read.SUMMARY).where(*wanted), owners, limit=limit, before=before)

    def tagged(self, tag: str, found: Filter = _ALL) -> list[Tagged]:
        """The steps of the filter's traces that have this tag, in the order they began."""
        with self._looking_for(found) as (connection, _, wanted):
            return tagged.read(connection, tag, wanted)

    def replays_of(self, trace_id: str, *, limit: int = 50) -> list[TraceSummary]:
        """The replays of a trace, newest first."""
        with engines.reading(self._engine) as connection:
            query = select(*read.SUMMARY).where(traces.c.replay_of == trace_id)
            return self._page(connection, query, Owners(connection, self._alive), limit=limit, before=None)

    def resumes_of(self, trace_id: str, *, limit: int = 50) -> list[TraceSummary]:
        """The runs that went on where this trace had stopped, newest first."""
        with engines.reading(self._engine) as connection:
            query = select(*read.SUMMARY).where(traces.c.resume_of == trace_id)
            return self._page(connection, query, Owners(connection, self._alive), limit=limit, before=None)

    def followers(self, trace_ids: Collection[str], *, limit: int = 500) -> list[TraceSummary]:
        """The traces that replay one of these or went on where one had stopped, newest first."""
        with engines.reading(self._engine) as connection:
            # two queries, so that each is answered by its own index
            owners, found = Owners(connection, self._alive), []
            for column in (traces.c.replay_of, traces.c.resume_of):
                query = select(*read.SUMMARY).where(column.in_(trace_ids))
                found += self._page(connection, query, owners, limit=limit, before=None)
        return sorted(found, key=lambda one: (one.started_ns, one.trace_id), reverse=True)

    def summaries(self, trace_ids: Collection[str]) -> list[TraceSummary]:
        """Those of these traces that are there, newest first."""
        with engines.reading(self._engine) as connection:
            query = select(*read.SUMMARY).where(traces.c.trace_id.in_([plain(name) for name in trace_ids]))
            return self._page(connection, query, Owners(connection, self._alive), limit=len(trace_ids), before=None)

    def hits(self, trace_ids: Collection[str], words: Sequence[str]) -> dict[str, Hit]:
        """Where in each of these traces the words occur, by trace id; only what the index of texts knows."""
        with engines.reading(self._engine) as connection:
            return hits(connection, trace_ids, words) if words and trace_ids else {}

    def _page(
        self, connection: Connection, query: Select[Any], owners: Owners, *, limit: int, before: tuple[int, str] | None
    ) -> list[TraceSummary]:
        if before is not None:
            started_ns, trace_id = before
            same_time = and_(traces.c.started_ns == started_ns, traces.c.trace_id < trace_id)
            # the first condition says nothing new, but an index can begin there
            query = query.where(traces.c.started_ns <= started_ns, or_(traces.c.started_ns < started_ns, same_time))
        query = query.order_by(traces.c.started_ns.desc(), traces.c.trace_id.desc()).limit(limit)
        return [read.summary_of(row, owners) for row in connection.execute(query).all()]

    def facets(self, found: Filter = _ALL) -> Facets:
        """What the filter's traces are made of, among the newest 10,000."""
        with self._looking_for(replace(found, statuses=())) as (connection, owners, wanted):
            return facets(connection, found, wanted, owners)

    def edge(self, found: Filter, number: int) -> int | None:
        """When the ``number``-th newest of the filter's traces began; None where there are not more than that."""
        with self._looking_for(found) as (connection, _, wanted):
            by_age = select(traces.c.started_ns).where(*wanted).order_by(traces.c.started_ns.desc())
            edge = connection.execute(by_age.offset(number - 1).limit(2)).scalars().all()
            return int(edge[0]) if len(edge) > 1 else None

    @contextmanager
    def seen(self, found: Filter = _ALL, *, every_step: bool) -> Iterator[Seen]:
        """What measuring takes of the filter's traces; its steps are read as one goes through them."""
        with self._looking_for(found) as (connection, owners, wanted):
            yield measures.seen(connection, wanted, owners, every_step=every_step)

    @contextmanager
    def _looking_for(self, found: Filter) -> Iterator[tuple[Connection, Owners, list[ColumnElement[bool]]]]:
        """A reading connection, who still runs, and what must hold for the filter's traces."""
        is_indexed = self._index_for(found)
        with engines.reading(self._engine) as connection:
            owners = Owners(connection, self._alive)
            yield connection, owners, self._conditions(connection, found, owners, is_indexed=is_indexed)

    def _index_for(self, found: Filter) -> bool:
        """Bring the index of texts up to date, if the filter needs it. False where that can't be done: the store is
        read-only to us, or another process holds it for longer than one waits."""
        if found.words:
            try:
                index.catch_up(self._engine)
            except (StoreUnreachable, DatabaseError):
                return False
        return True

    def _conditions(
        self, connection: Connection, found: Filter, owners: Owners, *, is_indexed: bool
    ) -> list[ColumnElement[bool]]:
        if is_indexed:
            return conditions(found, owners)
        # A search that leaves out what came last would be worse than a slow one: what is not indexed is read here.
        return conditions(found, owners, index.unindexed(connection, found.words))

    def workflows(self) -> list[str]:
        """The names of all workflows, in order."""
        with engines.reading(self._engine) as connection:
            return _distinct(connection, traces.c.workflow)

    def models(self) -> list[str]:
        """The names of all models that answered, in order."""
        with engines.reading(self._engine) as connection:
            return _distinct(connection, model_calls.c.model)

    def payloads(self, digests: Iterable[str]) -> dict[str, bytes]:
        """The payloads under these addresses, as the codec wrote them; an address that is not there is left out."""
        with engines.reading(self._engine) as connection:
            return read.payloads_in(connection, digests)

    def payload(self, digest: str) -> bytes:
        """One payload; raises StoreError if it is not there."""
        found = self.payloads([digest])
        if digest not in found:
            raise StoreError(f"the payload {digest} is not in {self.place}: it was pruned, or its journal was lost")
        return found[digest]

    def value(self, ref: PayloadRef) -> Any:
        """The recorded value itself; raises StoreError if it is not there, CodecError if it was damaged."""
        return codec.decode(self.payload(ref.digest))

    def occurrences(self, digest: str, *, limit: int = 20) -> list[occurrences.Occurrence]:
        """Where a payload stands as an input or an output, newest first; the newest few hundred traces are asked."""
        with engines.reading(self._engine) as connection:
            return occurrences.of(connection, digest_in(digest), limit=limit)

    def facts(self) -> StoreFacts:
        """Everything about the store that doctor reports. This one does count."""
        with engines.reading(self._engine) as connection:
            return read_facts(connection, self.place, Owners(connection, self._alive))

    def check(self) -> Checked:
        """Hash every payload anew from what is stored of it, and look for every one that a step refers to."""
        with engines.reading(self._engine) as connection:
            return check(connection)

    def verify_totals(self) -> list[totals.Drift]:
        """Count every trace's totals anew and compare them with its row; empty when all is well."""
        with engines.reading(self._engine) as connection:
            return list(totals.drifts(connection))


def _distinct(connection: Connection, column: Column[Any]) -> list[str]:
    # One step down the index for each name there is, instead of a look at every row.
    found: list[str] = []
    following = select(func.min(column))
    name = connection.execute(following.where(column != "")).scalar()
    while name is not None:
        found.append(str(name))
        name = connection.execute(following.where(column > name)).scalar()
    return found


def open_store(place: str | Path | None = None, *, alive: Callable[[str], bool] | None = None) -> Store:
    """Open a store, making or upgrading it if need be.

    ``place`` is a path, a ``sqlite:///`` or ``postgresql://`` URL, or None for the project's ``.playhead/playhead.db``.
    ``alive`` says of a recording process whether it still runs; without it every open trace counts as running.
    Raises StoreUnreachable, or StoreNewer if a newer playhead has written there.
    """
    engine = engines.connect(engines.locate(place))
    try:
        upgrade.upgrade(engine)
    except BaseException:
        engine.dispose()
        raise
    return Store(engine, alive=alive)
