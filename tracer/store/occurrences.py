"""Where else a payload stands: looked for among the newest traces only, so that asking stays cheap in any store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, or_, select

from tracer.store.tables import steps, traces

#: The newest traces that are looked through.
AMONG = 300


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A step that has the payload as its input or its output."""

    trace_id: str
    workflow: str
    step_id: str
    path: str
    side: Literal["input", "output"]
    started_ns: int


def of(connection: Connection, digest: bytes, *, limit: int) -> list[Occurrence]:
    """At most ``limit`` of them, newest first."""
    newest = (
        select(traces.c.trace_id, traces.c.workflow)
        .order_by(traces.c.started_ns.desc(), traces.c.trace_id.desc())
        .limit(AMONG)
        .subquery()
    )
    query = (
        select(newest.c.workflow, steps.c.trace_id, steps.c.step_id, steps.c.path, steps.c.input, steps.c.started_ns)
        .select_from(newest.join(steps, steps.c.trace_id == newest.c.trace_id))
        .where(or_(steps.c.input == digest, steps.c.output == digest), steps.c.path != "")
        .order_by(steps.c.started_ns.desc())
        .limit(limit)
    )
    return [
        Occurrence(
            row.trace_id,
            row.workflow,
            row.step_id,
            row.path,
            "input" if row.input is not None and bytes(row.input) == digest else "output",
            row.started_ns,
        )
        for row in connection.execute(query)
    ]
