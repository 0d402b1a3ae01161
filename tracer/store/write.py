"""A batch of events into the tables: one transaction, and the same events again change nothing.

Several processes may write at once, even to one trace. Rows are always taken in the order of their keys and the trace
rows before the steps, so that two writers wait for each other but never deadlock; who holds a trace's row sums it up.
"""

from __future__ import annotations

from functools import cache
from typing import Iterable, Mapping

from ormsgpack import packb
from sqlalchemy import Connection, Executable, bindparam, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from tracer.events import Event
from tracer.store import bodies, escalations
from tracer.store.dropping import leave_out, take_out
from tracer.store.packs import new_id
from tracer.store.rows import Begun, Ended, Key, Rows, decoded, failure_in
from tracer.store.statements import Row, put, upsert, which
from tracer.store.sums import NOTHING, Told, summed
from tracer.store.tables import journal_positions, model_calls, notes, steps, traces, unsearched
from tracer.store.texts import preview
from tracer.store.totals import sum_up, update_traces
from tracer.tail import Keep

#: A trace of more steps is not counted with every batch, but when it has grown by a tenth; a batch would otherwise
#: cost the more, the longer the trace is.
_LONG = 1_000
#: What a step is whose beginning has not come yet.
_NOT_BEGUN = Begun(None, "", "step", "", 0, 0, "live", 0, **dict.fromkeys(Begun._fields[8:]))
#: The keys of a batch's steps, by trace, in the order in which they came.
Keys = Mapping[str, list[Key]]


def apply(
    connection: Connection, events: Iterable[Event], *, owner: str, position: tuple[int, int] | None, keep: Keep
) -> None:
    """Write ``events`` and the journal position behind them. Events may come late, twice, or in any order."""
    rows = Rows(owner)
    for event in events:
        rows.add(event)
    if rows.trace_ids:
        leave_out(connection, rows, keep)
    if rows.trace_ids:
        bodies.keep(connection, rows.payloads)
        keys = _by_trace(rows)
        made = _new_traces(connection, rows, keys)
        known = {} if len(made) == len(rows.trace_ids) else _claim(connection, rows, keys, made)
        _write_steps(connection, rows, keys, known)
        _write_calls(connection, rows)
        upsert(connection, notes, list(rows.notes.values()), change=("at_ns", "value"))
        if keys:
            put(connection, unsearched, [(new_id(), _queued(keys))])
        due = _due(rows, keys, made, known)
        sum_up(connection, due)
        escalations.open_new(connection, {key[0] for key, end in rows.ended.items() if end.outcome == "waiting"})
        take_out(connection, due, keep)
    if position is not None:
        _advance(connection, owner, position)


def _by_trace(rows: Rows) -> dict[str, list[Key]]:
    found: dict[str, list[Key]] = {}
    for key in {**rows.begun, **rows.ended}:
        found.setdefault(key[0], []).append(key)
    return found


def _queued(keys: Keys) -> bytes:
    of_traces = [
        (bytes.fromhex(trace_id), bytes.fromhex("".join([key[1] for key in mine]))) for trace_id, mine in keys.items()
    ]
    return packb(of_traces)


def _new_traces(connection: Connection, rows: Rows, keys: Keys) -> dict[str, bool]:
    """Make the rows of those traces that have none, summed up where that takes no look at the store. Which ones were
    made, and whether they are summed up."""
    for trace_id, digest in rows.preview_from.items():
        data = rows.payloads.get(digest) or bodies.fetch(connection, [digest]).get(digest, b"")
        rows.roots[trace_id]["preview"] = preview(decoded(data))
    wanted = {trace_id: _trace_row(trace_id, rows, keys.get(trace_id, [])) for trace_id in sorted(rows.trace_ids)}
    if connection.dialect.name == "sqlite":
        # nobody else writes meanwhile
        known = which(connection, traces.c.trace_id, list(wanted))
        made = [trace_id for trace_id in wanted if trace_id not in known]
        upsert(connection, traces, [wanted[trace_id] for trace_id in made], change=())
    else:
        insert = postgresql.insert(traces).on_conflict_do_nothing(index_elements=["trace_id"])
        made = list(connection.execute(insert.returning(traces.c.trace_id), list(wanted.values())).scalars())
    return {trace_id: wanted[trace_id]["counted"] == wanted[trace_id]["seq"] for trace_id in made}


def _trace_row(trace_id: str, rows: Rows, keys: list[Key]) -> Row:
    row = {
        **_BLANK,
        "trace_id": trace_id,
        "owner": rows.owner,
        "started_ns": rows.trace_ids[trace_id],
        "end_plan": rows.end_plans.get(trace_id),
        **rows.roots.get(trace_id, {}),
        "seq": len(keys),
    }
    if trace_id not in rows.roots:
        return row
    total = summed(_told(rows, keys), lambda digest: failure_in(rows.payloads[digest]))
    return row if total is None else row | total | {"counted": len(keys)}


_BLANK: Row = {**dict.fromkeys(traces.columns.keys()), "workflow": "", "preview": "", **NOTHING, "counted": 0}


def _told(rows: Rows, keys: list[Key]) -> list[Told]:
    return [
        Told(key[1], seq, rows.begun[key], rows.ended.get(key), _call(rows, key))
        for seq, key in enumerate(keys)
        if key in rows.begun
    ]


def _call(rows: Rows, key: Key) -> Row | None:
    asked, call = rows.asked.get(key), rows.calls.get(key)
    if asked is not None and call is not None and call["model_asked"] is None:
        return call | {"model_asked": asked["model_asked"]}
    return call or asked


def _claim(connection: Connection, rows: Rows, keys: Keys, made: Mapping[str, bool]) -> dict[str, Row]:
    """Hold the rows of the traces that were there, until the commit, and tell them what is new of their roots. What
    they were before: how many steps had come, how many were counted, and which is the root."""
    others = [trace_id for trace_id in rows.trace_ids if trace_id not in made]
    known: dict[str, Row] = {
        row["trace_id"]: dict(row) for row in connection.execute(_CLAIMED, {"trace_ids": others}).mappings()
    }
    update_traces(connection, {trace_id: rows.roots[trace_id] for trace_id in others if trace_id in rows.roots})
    plans = {trace_id: {"end_plan": rows.end_plans[trace_id]} for trace_id in others if trace_id in rows.end_plans}
    update_traces(connection, plans)
    update_traces(connection, {each: {"seq": known[each]["seq"] + len(keys[each])} for each in others if each in keys})
    return known


#: Made once: to make a statement takes longer than the database does to answer it.
_CLAIMED = (
    select(traces.c.trace_id, traces.c.seq, traces.c.counted, traces.c.root_id)
    .where(traces.c.trace_id.in_(bindparam("trace_ids", expanding=True)))
    .order_by(traces.c.trace_id)
    .with_for_update()
)


def _due(rows: Rows, keys: Keys, made: Mapping[str, bool], known: Mapping[str, Row]) -> list[str]:
    """The traces that have to be counted now."""
    due = [trace_id for trace_id, is_summed in made.items() if not is_summed]
    for trace_id, row in known.items():
        seq = row["seq"] + len(keys.get(trace_id, []))
        root_came = trace_id in rows.roots or (trace_id, row["root_id"]) in rows.ended
        if seq <= _LONG or root_came or seq * 10 >= row["counted"] * 11:
            due.append(trace_id)
    return due


def _write_steps(connection: Connection, rows: Rows, keys: Keys, known: Mapping[str, Row]) -> None:
    both, begun, ended = [], [], []
    for trace_id in sorted(keys):
        first = known[trace_id]["seq"] if trace_id in known else 0
        for seq, key in enumerate(keys[trace_id], first):
            beginning, end = rows.begun.get(key), rows.ended.get(key)
            if beginning is None:
                at_ns = rows.ended[key].ended_ns
                ended.append((*key, seq, *_NOT_BEGUN._replace(started_ns=at_ns), *rows.ended[key]))
            elif end is None:
                begun.append((*key, seq, *beginning))
            else:
                both.append((*key, seq, *beginning, *end))
    # seq is never changed: it keeps the order in which steps first came, for those that began in the same nanosecond
    put(connection, steps, sorted(both), change=(*Begun._fields, *Ended._fields))
    put(connection, steps, sorted(begun), columns=(*_KEY, *Begun._fields), change=Begun._fields)
    put(connection, steps, sorted(ended), change=Ended._fields)


_KEY = ("trace_id", "step_id", "seq")
_TOLD = tuple(column.name for column in model_calls.columns if not column.primary_key and column.name != "model_asked")


def _write_calls(connection: Connection, rows: Rows) -> None:
    upsert(connection, model_calls, _keyed(rows.asked), change=())
    upsert(connection, model_calls, _keyed(rows.calls), change=_TOLD, fill=("model_asked",))


def _keyed(rows: Mapping[Key, Row]) -> list[Row]:
    return [{"trace_id": trace_id, "step_id": step_id, **row} for (trace_id, step_id), row in rows.items()]


def _advance(connection: Connection, owner: str, position: tuple[int, int]) -> None:
    """Move the owner's position on; never back, for an old batch may be applied again."""
    segment, offset = position
    values = {"owner": owner, "segment": segment, "offset_bytes": offset}
    connection.execute(_advancement(connection.dialect.name), values)


@cache
def _advancement(dialect: str) -> Executable:
    stored = journal_positions.c
    insert = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(journal_positions)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["owner"],
        set_={"segment": new.segment, "offset_bytes": new.offset_bytes},
        where=tuple_(new.segment, new.offset_bytes) > tuple_(stored.segment, stored.offset_bytes),
    )
