"""Traces taken out: their rows and everything that says something of their steps.

Their inputs and outputs stay until a prune collects them: others may have said the same. A trace that is still running
is left alone, since the rest of it would come after it. Replays keep the id of a trace that is gone.

It takes many small transactions. The steps of a long trace go after it, some at a time; who is killed in between leaves
a mark, and the next deletion goes on there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Collection, Iterator

from sqlalchemy import ColumnElement, Connection, Engine, Table, delete, select

from tracer.store import shared
from tracer.store.engine import reading
from tracer.store.pace import Pace
from tracer.store.search import Owners, status_of
from tracer.store.tables import escalations, model_calls, notes, step_texts, steps, traces
from tracer.store.texts import plain

#: Steps that go at once to begin with, traces at most, and steps of a trace that goes bit by bit.
_STEPS, _TRACES, _LONG = 500, 200, 2_000
#: Names a trace that is gone and whose steps are not all gone.
_LEFT = "store/left/"
#: Names a trace that no prune takes.
PINNED = "pin/"
_OF_STEPS = (steps, model_calls, notes, step_texts)


@dataclass(frozen=True, slots=True)
class Deleted:
    """The ids of the traces that are gone, of those that still run or are pinned and stay, and of those that were not
    there."""

    gone: tuple[str, ...]
    running: tuple[str, ...]
    unknown: tuple[str, ...]
    pinned: tuple[str, ...] = ()


def take_away(connection: Connection, trace_ids: Collection[str]) -> None:
    """Delete every row of these traces, now."""
    for table in (traces, escalations, *_OF_STEPS):
        connection.execute(delete(table).where(table.c.trace_id.in_(trace_ids)))


def delete_traces(
    engine: Engine, trace_ids: Collection[str], alive: Callable[[str], bool] | None, *, spare_pinned: bool = False
) -> Deleted:
    """Delete these traces with their steps, calls and notes, all but those that still run or, if asked for, are
    pinned."""
    _finish(engine)
    wanted = sorted({plain(trace_id) for trace_id in trace_ids})
    found = Deleted((), (), (), ())
    pace = Pace(engine, _STEPS)
    for some in _by_length(engine, wanted, pace):
        with pace.turn() as connection:
            pins = shared.read(connection, PINNED) if spare_pinned else {}
            held, gone, long = _sorted_out(connection, some, Owners(connection, alive), pins)
            take_away(connection, gone)
            for table in (traces, escalations):
                connection.execute(delete(table).where(table.c.trace_id.in_(long)))
            for trace_id in long:
                shared.put(connection, _LEFT + trace_id, True, version=0)
            for trace_id in (*gone, *long):
                shared.forget(connection, PINNED + trace_id)
        found = Deleted(
            (*found.gone, *gone, *long),
            (*found.running, *held["running"]),
            found.unknown,
            (*found.pinned, *held["pinned"]),
        )
        if long:
            _finish(engine)
    known = {*found.gone, *found.running, *found.pinned}
    return Deleted(
        tuple(sorted(found.gone)),
        tuple(sorted(found.running)),
        tuple(trace_id for trace_id in wanted if trace_id not in known),
        tuple(sorted(found.pinned)),
    )


def _by_length(engine: Engine, wanted: list[str], pace: Pace) -> Iterator[list[str]]:
    """Traces of about as many steps as go at once."""
    for start in range(0, len(wanted), _TRACES):
        part = wanted[start : start + _TRACES]
        with reading(engine) as connection:
            query = select(traces.c.trace_id, traces.c.seq).where(traces.c.trace_id.in_(part))
            lengths = [(row.trace_id, row.seq) for row in connection.execute(query)]
        some: list[str] = []
        total = 0
        for trace_id, length in sorted(lengths):
            some.append(trace_id)
            total += length
            if total >= pace.size:
                yield some
                some, total = [], 0
        if some:
            yield some


def _sorted_out(
    connection: Connection, some: list[str], owners: Owners, pins: Collection[str]
) -> tuple[dict[str, list[str]], list[str], list[str]]:
    """Which of these traces stay, by why; which go as a whole, and which bit by bit."""
    held: dict[str, list[str]] = {"running": [], "pinned": []}
    gone: list[str] = []
    long: list[str] = []
    query = select(traces.c.trace_id, traces.c.outcome, traces.c.owner, traces.c.seq)
    for row in connection.execute(
        query.where(traces.c.trace_id.in_(some)).order_by(traces.c.trace_id).with_for_update()
    ):
        alive = row.outcome is None and owners.lives(row.owner)
        if status_of(row.outcome, alive=alive) == "running":
            held["running"].append(row.trace_id)
        elif PINNED + row.trace_id in pins:
            held["pinned"].append(row.trace_id)
        else:
            (gone if row.seq <= _LONG else long).append(row.trace_id)
    return held, gone, long


def _finish(engine: Engine) -> None:
    """Delete what is left of long traces that are gone."""
    with reading(engine) as connection:
        left = [name.removeprefix(_LEFT) for name in shared.read(connection, _LEFT)]
    pace = Pace(engine, _STEPS)
    for trace_id in left:
        for table in _OF_STEPS:
            while True:
                with pace.turn() as connection:
                    if not _some_of(connection, table, trace_id, pace.size):
                        break
        with pace.turn() as connection:
            shared.forget(connection, _LEFT + trace_id)


def _some_of(connection: Connection, table: Table, trace_id: str, number: int) -> bool:
    """Delete the rows of some steps of a trace. False: there was none."""
    mine: ColumnElement[bool] = table.c.trace_id == trace_id
    last = select(table.c.step_id).where(mine).order_by(table.c.step_id).limit(number).subquery()
    some = connection.execute(select(last)).scalars().all()
    if some:
        connection.execute(delete(table).where(mine, table.c.step_id <= some[-1]))
    return bool(some)
