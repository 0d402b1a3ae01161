"""Steps that say something of themselves in a tag: what was decided, which breaker changed. No payload is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from sqlalchemy import ColumnElement, Connection, Text, func, or_, select, type_coerce

from tracer.store.tables import steps, traces


@dataclass(frozen=True, slots=True)
class Tagged:
    """A step with all its tags, and how it and its trace ended; outcomes are None while they run."""

    trace_id: str
    path: str
    started_ns: int
    outcome: str | None
    trace_outcome: str | None
    escalations: int
    tags: Mapping[str, Any]


def read(connection: Connection, tag: str, wanted: list[ColumnElement[bool]]) -> list[Tagged]:
    columns = (steps.c.trace_id, steps.c.path, steps.c.started_ns, steps.c.outcome, steps.c.tags, steps.c.end_tags)
    of_trace = (traces.c.outcome.label("trace_outcome"), traces.c.escalations)
    joined = traces.join(steps, steps.c.trace_id == traces.c.trace_id)
    # sorts out nearly all without reading JSON; what merely looks so is sorted out below
    named = (
        func.coalesce(type_coerce(column, Text), "").contains(f'"{tag}"', autoescape=True)
        for column in (steps.c.tags, steps.c.end_tags)
    )
    query = select(*columns, *of_trace).select_from(joined).where(*wanted, or_(*named))
    rows = connection.execute(query.order_by(steps.c.started_ns, steps.c.trace_id, steps.c.seq))
    found = (
        Tagged(
            row.trace_id,
            row.path,
            row.started_ns,
            row.outcome,
            row.trace_outcome,
            row.escalations,
            {**(row.tags or {}), **(row.end_tags or {})},
        )
        for row in rows
    )
    return [each for each in found if tag in each.tags]
