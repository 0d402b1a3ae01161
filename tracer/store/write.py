"""A batch of events into the tables: one transaction, and the same events again change nothing.

Several processes may write at once, even to one trace. Rows are always taken in the order of their keys and the trace
rows first, so that two writers wait for each other but never deadlock; whoever holds a trace's row sums it up.
"""

from __future__ import annotations

from functools import cache
from typing import Iterable, Mapping

from sqlalchemy import Connection, Insert, Table, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from tracer.events import Event
from tracer.store.bodies import body_of, data_of
from tracer.store.rows import NOT_BEGUN, Key, Row, Rows, decoded
from tracer.store.tables import journal_positions, model_calls, notes, payloads, step_texts, steps, traces
from tracer.store.texts import preview
from tracer.store.totals import NOTHING, sum_up, update_traces


def apply(connection: Connection, events: Iterable[Event], *, owner: str, position: tuple[int, int] | None) -> None:
    """Write ``events`` and the journal position behind them. Events may come late, twice, or in any order."""
    rows = Rows(owner)
    for event in events:
        rows.add(event)
    if rows.trace_ids:
        _write_payloads(connection, rows)
        known = _claim_traces(connection, rows)
        _write_roots(connection, rows)
        _write_steps(connection, rows, known)
        _write_calls(connection, rows)
        upsert(connection, notes, list(rows.notes.values()), change=("at_ns", "value"))
        upsert(connection, step_texts, list(rows.texts.values()), change=("text",))
        sum_up(connection, list(rows.trace_ids))
    if position is not None:
        _advance(connection, owner, position)


def _write_payloads(connection: Connection, rows: Rows) -> None:
    stored = [{"digest": digest, **body_of(data)} for digest, data in rows.payloads.items()]
    upsert(connection, payloads, stored, change=())


def _claim_traces(connection: Connection, rows: Rows) -> dict[str, int]:
    """Make sure that the trace rows exist and are ours until the commit; how many steps each one has so far."""
    empty = {"workflow": "", "owner": rows.owner, "preview": "", **NOTHING}
    made = [{"trace_id": trace_id, **empty, "started_ns": at_ns} for trace_id, at_ns in rows.trace_ids.items()]
    upsert(connection, traces, made, change=())
    claimed = (
        select(traces.c.trace_id, traces.c.steps)
        .where(traces.c.trace_id.in_(rows.trace_ids))
        .order_by(traces.c.trace_id)
        .with_for_update()
    )
    return {row.trace_id: row.steps for row in connection.execute(claimed)}


def _write_roots(connection: Connection, rows: Rows) -> None:
    for trace_id, digest in rows.preview_from.items():
        rows.roots[trace_id]["preview"] = preview(decoded(_payload(connection, rows, digest)))
    update_traces(connection, rows.roots)
    update_traces(connection, {trace_id: {"end_plan": plan} for trace_id, plan in rows.end_plans.items()})


def _payload(connection: Connection, rows: Rows, digest: str) -> bytes:
    if digest in rows.payloads:
        return rows.payloads[digest]
    row = connection.execute(select(payloads).where(payloads.c.digest == digest)).one_or_none()
    return b"" if row is None else data_of(row)


def _write_steps(connection: Connection, rows: Rows, known: Mapping[str, int]) -> None:
    next_seq = dict(known)
    both, begun, ended = [], [], []
    for key in {**rows.begun, **rows.ended}:
        trace_id, step_id = key
        identity = {"trace_id": trace_id, "step_id": step_id, "seq": next_seq[trace_id]}
        next_seq[trace_id] += 1
        if key not in rows.begun:
            ended.append({**identity, **NOT_BEGUN, **rows.ended[key], "started_ns": rows.ended[key]["ended_ns"]})
        elif key not in rows.ended:
            begun.append({**identity, **rows.begun[key]})
        else:
            both.append({**identity, **rows.begun[key], **rows.ended[key]})
    # seq is never changed: it keeps the order in which steps first came, for those that began in the same nanosecond
    upsert(connection, steps, both, change=(*NOT_BEGUN, "started_ns", *_END))
    upsert(connection, steps, begun, change=(*NOT_BEGUN, "started_ns"))
    upsert(connection, steps, ended, change=_END)


_END = ("ended_ns", "outcome", "output", "output_lossy", "failure", "error_type", "error_message", "end_tags")
_TOLD = tuple(column.name for column in model_calls.columns if not column.primary_key and column.name != "model_asked")


def _write_calls(connection: Connection, rows: Rows) -> None:
    upsert(connection, model_calls, _keyed(rows.asked), change=())
    upsert(connection, model_calls, _keyed(rows.calls), change=_TOLD, fill=("model_asked",))


def _keyed(rows: Mapping[Key, Row]) -> list[Row]:
    return [{"trace_id": trace_id, "step_id": step_id, **row} for (trace_id, step_id), row in rows.items()]


def _advance(connection: Connection, owner: str, position: tuple[int, int]) -> None:
    """Move the owner's position on; never back, for an old batch may be applied again."""
    stored = journal_positions.c
    insert = _insert(connection.dialect.name, journal_positions)
    new = insert.excluded
    statement = insert.on_conflict_do_update(
        index_elements=["owner"],
        set_={"segment": new.segment, "offset_bytes": new.offset_bytes},
        where=tuple_(new.segment, new.offset_bytes) > tuple_(stored.segment, stored.offset_bytes),
    )
    segment, offset = position
    connection.execute(statement, {"owner": owner, "segment": segment, "offset_bytes": offset})


def upsert(
    connection: Connection, table: Table, rows: list[Row], *, change: tuple[str, ...], fill: tuple[str, ...] = ()
) -> None:
    """Insert rows; where one is there, set its ``change`` columns, and the ``fill`` columns if we know better."""
    if rows:
        keys = [column.name for column in table.primary_key]
        rows.sort(key=lambda row: [row[key] for key in keys])
        connection.execute(_upsert_statement(connection.dialect.name, table, change, fill), rows)


@cache
def _upsert_statement(dialect: str, table: Table, change: tuple[str, ...], fill: tuple[str, ...]) -> Insert:
    insert = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    new = insert.excluded
    if not change:
        return insert.on_conflict_do_nothing(index_elements=keys)
    told = {name: new[name] for name in change}
    known = {name: func.coalesce(new[name], table.c[name]) for name in fill}
    return insert.on_conflict_do_update(index_elements=keys, set_={**told, **known})


def _insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
