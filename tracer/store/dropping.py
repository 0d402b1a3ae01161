"""Traces that tail sampling does not keep: left out of a batch that holds all of them, taken out again otherwise.

A mark stays for a day where a trace was: what still comes of it (from a thread that ended later) goes the same way.
The bodies of a trace that was taken out again are for a prune to collect.
"""

from __future__ import annotations

import time
from typing import Collection, Iterable

from sqlalchemy import Connection, delete, select

from tracer.store.deleting import take_away
from tracer.store.rows import Rows
from tracer.store.statements import upsert, which
from tracer.store.tables import dropped, notes, traces
from tracer.tail import Keep

_MARKED_NS = 24 * 3600 * 10**9


def leave_out(connection: Connection, rows: Rows, keep: Keep) -> None:
    """Take out of a batch what belongs to dropped traces, and whole traces that are not to be kept."""
    rows.forget(which(connection, dropped.c.trace_id, list(rows.trace_ids)))
    if keep.share >= 1.0:
        return
    known = which(connection, traces.c.trace_id, list(rows.roots))
    gone = {trace_id for trace_id in rows.roots if trace_id not in known and not _is_kept(rows, trace_id, keep)}
    if gone:
        rows.forget(gone)
        _mark(connection, gone)


def _is_kept(rows: Rows, trace_id: str, keep: Keep) -> bool:
    root = rows.roots[trace_id]
    end = rows.ended.get((trace_id, root["root_id"]))
    if end is None:
        return True
    asked = any(key[0] == trace_id and step.kind == "human" for key, step in rows.begun.items())
    scored = any(key[0] == trace_id and note["kind"] == "score" for key, note in rows.notes.items())
    costs = (call["cost_nusd"] or 0 for key, call in rows.calls.items() if key[0] == trace_id)
    return keep.keeps(
        trace_id,
        is_ordinary=end.outcome == "ok" and root["replay_of"] is None and not asked and not scored,
        duration_ns=end.ended_ns - rows.begun[trace_id, root["root_id"]].started_ns,
        cost_nusd=sum(costs),
    )


def take_out(connection: Connection, trace_ids: Collection[str], keep: Keep) -> None:
    """Delete those of these traces that have ended and are not to be kept. They are summed up, and ours."""
    if keep.share >= 1.0 or not trace_ids:
        return
    scores = select(notes.c.trace_id).where(notes.c.trace_id.in_(trace_ids), notes.c.kind == "score").distinct()
    scored = set(connection.execute(scores).scalars())
    ended = select(
        *(traces.c.trace_id, traces.c.outcome, traces.c.replay_of, traces.c.escalations),
        *(traces.c.started_ns, traces.c.ended_ns, traces.c.cost_nusd),
    ).where(traces.c.trace_id.in_(trace_ids), traces.c.ended_ns.is_not(None))
    gone = [
        row.trace_id
        for row in connection.execute(ended)
        if not keep.keeps(
            row.trace_id,
            is_ordinary=row.outcome == "ok"
            and row.replay_of is None
            and not row.escalations
            and row.trace_id not in scored,
            duration_ns=row.ended_ns - row.started_ns,
            cost_nusd=row.cost_nusd,
        )
    ]
    if gone:
        take_away(connection, gone)
        _mark(connection, gone)


def _mark(connection: Connection, trace_ids: Iterable[str]) -> None:
    now_ns = time.time_ns()
    connection.execute(delete(dropped).where(dropped.c.at_ns < now_ns - _MARKED_NS))
    upsert(connection, dropped, [{"trace_id": trace_id, "at_ns": now_ns} for trace_id in sorted(trace_ids)], change=())
