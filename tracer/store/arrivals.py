"""What came and what ended lately, for who counts runs as they end. What a question costs depends on what it names, and
not on how much the store holds.

A position is (started_ns, trace_id): traces lie in that order, whenever they came.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, NamedTuple, Sequence

from sqlalchemy import ColumnElement, Connection, Text, and_, func, or_, select, type_coerce

from tracer.model import Status
from tracer.seen import CallSeen, RunSeen, StepSeen
from tracer.store.engine import reading
from tracer.store.measures import calls_of, runs_of, steps_of
from tracer.store.search import Owners, status_of
from tracer.store.store import Store
from tracer.store.tables import traces
from tracer.store.texts import plain

Position = tuple[int, str]
_AT_ONCE = 500
#: In the tags of a span that stands at the top for one that has not come, as they are written.
_STAND_IN = '"otlp.parent":'
#: How long before a period a run may have begun that ended in it: nothing is indexed by its end.
REACH_NS = 24 * 3600 * 10**9


class Arrival(NamedTuple):
    """A trace as it stands now. ``is_part``: it came as spans, and that in which its topmost one lies has not come."""

    trace_id: str
    status: Status
    ended_ns: int | None
    steps: int
    is_replay: bool
    is_part: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What runs, steps and calls say; a run and what it was resumed by are two."""

    runs: list[RunSeen]
    steps: list[StepSeen]
    calls: list[CallSeen]


def newest(store: Store, *, until_ns: int, number: int) -> Position:
    """Where the ``number``-th newest trace lies that began by then; before all, where there are not as many."""
    query = select(traces.c.started_ns, traces.c.trace_id).where(traces.c.started_ns <= until_ns)
    ordered = query.order_by(traces.c.started_ns.desc(), traces.c.trace_id.desc()).offset(number - 1).limit(1)
    with _reading(store) as (connection, _):
        row = connection.execute(ordered).one_or_none()
    return (0, "") if row is None else (row.started_ns, row.trace_id)


def positions(store: Store, since: Position, *, until_ns: int, limit: int) -> list[Position]:
    """The traces from a position on that began by then, the oldest first."""
    at_ns, trace_id = since
    same_time = and_(traces.c.started_ns == at_ns, traces.c.trace_id >= trace_id)
    # the first condition says nothing new, but an index can begin there
    later = (traces.c.started_ns >= at_ns, or_(traces.c.started_ns > at_ns, same_time))
    query = select(traces.c.started_ns, traces.c.trace_id).where(*later, traces.c.started_ns <= until_ns)
    with _reading(store) as (connection, _):
        rows = connection.execute(query.order_by(traces.c.started_ns, traces.c.trace_id).limit(limit)).all()
    return [(row.started_ns, row.trace_id) for row in rows]


def arrivals(store: Store, trace_ids: Sequence[str]) -> Iterator[Arrival]:
    """Those of these traces that are there."""
    columns = (traces.c.outcome, traces.c.owner, traces.c.ended_ns, traces.c.steps, traces.c.replay_of)
    is_part = func.coalesce(type_coerce(traces.c.tags, Text), "").contains(_STAND_IN).label("is_part")
    for start in range(0, len(trace_ids), _AT_ONCE):
        wanted = traces.c.trace_id.in_(trace_ids[start : start + _AT_ONCE])
        with _reading(store) as (connection, owners):
            for row in connection.execute(select(traces.c.trace_id, *columns, is_part).where(wanted)).all():
                alive = row.outcome is None and owners.lives(row.owner)
                status = status_of(row.outcome, alive=alive)
                is_replay = row.replay_of is not None
                yield Arrival(row.trace_id, status, row.ended_ns, row.steps, is_replay, bool(row.is_part))


def told_by(store: Store, trace_ids: Sequence[str]) -> Told:
    """All that these traces say, best some hundred."""
    wanted: list[ColumnElement[bool]] = [traces.c.trace_id.in_(trace_ids)]
    with _reading(store) as (connection, owners):
        return Told(
            list(runs_of(connection, wanted, owners)),
            list(steps_of(connection, wanted, every_step=True)),
            list(calls_of(connection, wanted)),
        )


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since_ns`` on, until before ``until_ns``; of one workflow, or all. What ended in it counts, if its run
    began at most a day before."""

    since_ns: int
    until_ns: int
    workflow: str | None = None

    def runs(self, store: Store) -> list[RunSeen]:
        """The runs that ended, without replays; those that were killed by when they began."""
        with _reading(store) as (connection, owners):
            found = list(runs_of(connection, [*self._lately(), traces.c.replay_of.is_(None)], owners))
        return [run for run in found if self._holds(run.started_ns if run.status == "interrupted" else run.ended_ns)]

    def steps(self, store: Store, *, every_step: bool) -> list[StepSeen]:
        """The steps that ended, without those of replays; not every one: those that decide, or spend time outside."""
        with _reading(store) as (connection, _):
            found = steps_of(connection, [*self._lately(), traces.c.replay_of.is_(None)], every_step=every_step)
            return [step for step in found if self._holds(step.ended_ns)]

    def calls(self, store: Store, *, replays: bool) -> list[CallSeen]:
        """The model calls that ended, those of runs that go on among them."""
        own = [] if replays else [traces.c.replay_of.is_(None)]
        with _reading(store) as (connection, _):
            return [call for call in calls_of(connection, [*self._lately(), *own]) if self._holds(call.ended_ns)]

    def _holds(self, ended_ns: int | None) -> bool:
        return ended_ns is not None and self.since_ns <= ended_ns < self.until_ns

    def _lately(self) -> list[ColumnElement[bool]]:
        began = (traces.c.started_ns >= self.since_ns - REACH_NS, traces.c.started_ns < self.until_ns)
        wanted = [*began, or_(traces.c.ended_ns.is_(None), traces.c.ended_ns >= self.since_ns)]
        return wanted if self.workflow is None else [*wanted, traces.c.workflow == plain(self.workflow)]


@contextmanager
def _reading(store: Store) -> Iterator[tuple[Connection, Owners]]:
    with reading(store._engine) as connection:  # noqa: SLF001 - a part of the store, beside it for its length
        yield connection, Owners(connection, store._alive)  # noqa: SLF001
