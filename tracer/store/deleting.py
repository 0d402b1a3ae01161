"""Traces taken out by hand: their rows and everything that says something of their steps.

Their inputs and outputs stay until a prune collects them: others may have said the same. A trace that is still running
is left alone, since the rest of it would come after it. Replays keep the id of a trace that is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Collection

from sqlalchemy import Connection, delete, select

from tracer.store.search import Owners, status_of
from tracer.store.tables import model_calls, notes, step_texts, steps, traces
from tracer.store.texts import plain


@dataclass(frozen=True, slots=True)
class Deleted:
    """The ids of the traces that are gone, of those that still run and stay, and of those that were not there."""

    gone: tuple[str, ...]
    running: tuple[str, ...]
    unknown: tuple[str, ...]


def delete_traces(connection: Connection, trace_ids: Collection[str], owners: Owners) -> Deleted:
    wanted = {plain(trace_id) for trace_id in trace_ids}
    query = select(traces.c.trace_id, traces.c.outcome, traces.c.owner).where(traces.c.trace_id.in_(wanted))
    running: set[str] = set()
    gone: set[str] = set()
    for row in connection.execute(query.with_for_update()):
        alive = row.outcome is None and owners.lives(row.owner)
        (running if status_of(row.outcome, alive=alive) == "running" else gone).add(row.trace_id)
    for table in (traces, steps, model_calls, notes, step_texts):
        connection.execute(delete(table).where(table.c.trace_id.in_(gone)))
    return Deleted(*(tuple(sorted(ids)) for ids in (gone, running, wanted - gone - running)))
