"""The rows that rates, times and costs of many traces are counted from. Bodies of payloads are never read."""

from __future__ import annotations

import json
from typing import Any, Iterable, Iterator

from sqlalchemy import ColumnElement, Connection, Text, case, exists, func, select, type_coerce

from tracer.seen import CallSeen, RunSeen, ScoreSeen, Seen, StepSeen, as_stories
from tracer.store.rows import decoded
from tracer.store.search import Owners, status_of
from tracer.store.sums import RETRY
from tracer.store.tables import model_calls, notes, steps, traces

#: Steps whose tags say what was decided.
DECIDING = ("router", "guardrail", "human")
#: Steps that spend a run's time outside of it, beside its models.
OUTSIDE = ("tool", "retriever", "reranker", "http", "human")
_ARMS = "arms"
_AT_ONCE = 5_000
_earlier = steps.alias()
#: What a resumed run was served is in the run that it resumes, and so is a block that finished there: its body runs
#: again only so that what comes behind it is reached.
_IS_OWN = traces.c.resume_of.is_(None) | (
    (steps.c.origin != "recorded")
    & ~exists().where(
        _earlier.c.trace_id == traces.c.resume_of,
        _earlier.c.step_id == steps.c.source_step_id,
        _earlier.c.outcome == "ok",
    )
)


def seen(connection: Connection, wanted: list[ColumnElement[bool]], owners: Owners, *, every_step: bool) -> Seen:
    """What of the traces that ``wanted`` lets through is measured; without ``every_step`` only steps that decide, or
    that spend time outside. A run and what it was resumed by are one."""
    resumes = select(traces.c.resume_of, traces.c.trace_id).where(traces.c.resume_of.is_not(None))
    resumed_by = {row.resume_of: row.trace_id for row in connection.execute(resumes)}
    return as_stories(
        Seen(
            runs=tuple(runs_of(connection, wanted, owners)),
            steps=steps_of(connection, wanted, every_step=every_step),
            calls=tuple(calls_of(connection, wanted)),
            scores=tuple(_scores(connection, wanted)),
        ),
        resumed_by,
    )


def runs_of(connection: Connection, wanted: list[ColumnElement[bool]], owners: Owners) -> Iterator[RunSeen]:
    columns = (
        *(traces.c.trace_id, traces.c.workflow, traces.c.version, traces.c.outcome, traces.c.owner),
        *(traces.c.started_ns, traces.c.ended_ns, traces.c.model_calls, traces.c.cost_nusd, traces.c.unpriced),
        *(traces.c.escalations, type_coerce(traces.c.tags, Text).label("tags")),
    )
    for row in connection.execute(select(*columns).where(*wanted)):
        ended = row.outcome is not None
        yield RunSeen(
            trace_id=row.trace_id,
            workflow=row.workflow,
            version=row.version,
            status=status_of(row.outcome, alive=not ended and owners.lives(row.owner)),
            started_ns=row.started_ns,
            ended_ns=row.ended_ns,
            model_calls=row.model_calls,
            cost_nusd=row.cost_nusd,
            unpriced=row.unpriced,
            escalations=row.escalations,
            arms=_arms(row.tags),
        )


def _arms(tags: str | None) -> dict[str, str]:
    if tags is None or f'"{_ARMS}"' not in tags:
        return {}
    told = json.loads(tags).get(_ARMS)
    if not isinstance(told, dict):
        return {}
    return {role: str(each["arm"]) for role, each in told.items() if isinstance(each, dict) and "arm" in each}


def steps_of(connection: Connection, wanted: list[ColumnElement[bool]], *, every_step: bool) -> Iterable[StepSeen]:
    tags = func.coalesce(type_coerce(steps.c.end_tags, Text), type_coerce(steps.c.tags, Text))
    columns = (
        *(steps.c.trace_id, steps.c.path, steps.c.kind, steps.c.started_ns, steps.c.ended_ns, steps.c.outcome),
        case((steps.c.kind.in_(DECIDING), tags)),
    )
    kinds = [] if every_step else [steps.c.kind.in_({*DECIDING, *OUTSIDE})]
    query = select(*columns).select_from(_of_traces(steps)).where(*wanted, steps.c.path != "", _IS_OWN, *kinds)
    return map(StepSeen._make, connection.execute(query, execution_options={"yield_per": _AT_ONCE}))


def calls_of(connection: Connection, wanted: list[ColumnElement[bool]]) -> Iterator[CallSeen]:
    same = (model_calls.c.trace_id == steps.c.trace_id) & (model_calls.c.step_id == steps.c.step_id)
    tags = func.coalesce(type_coerce(steps.c.tags, Text), "")
    columns = (
        *(steps.c.trace_id, steps.c.step_id, steps.c.parent_id, steps.c.path, steps.c.origin),
        func.coalesce(model_calls.c.model, model_calls.c.model_asked),
        *(steps.c.started_ns, steps.c.ended_ns, steps.c.outcome, model_calls.c.cost_nusd),
        tags.like(f"%{RETRY}%"),
        *(model_calls.c.input_tokens, model_calls.c.output_tokens, model_calls.c.price, model_calls.c.unpriced_because),
    )
    # Materialized: asked to join all three, SQLite begins with every step that there is.
    chosen = select(traces.c.trace_id, traces.c.resume_of).where(*wanted).cte("chosen").prefix_with("MATERIALIZED")
    joined = chosen.join(model_calls, model_calls.c.trace_id == chosen.c.trace_id).join(steps, same)
    is_own = chosen.c.resume_of.is_(None) | (steps.c.origin != "recorded")
    rows = connection.execute(select(*columns).select_from(joined).where(steps.c.path != "", is_own)).all()
    around = {(row[0], row[2]) for row in rows}
    for trace_id, step_id, _, path, origin, model, began_ns, ended_ns, outcome, nusd, is_retry, *told in rows:
        counts = origin != "recorded" and (trace_id, step_id) not in around
        yield CallSeen(trace_id, path, model, began_ns, ended_ns, outcome, nusd, counts, bool(is_retry), *told)


def _scores(connection: Connection, wanted: list[ColumnElement[bool]]) -> Iterator[ScoreSeen]:
    same = (notes.c.trace_id == steps.c.trace_id) & (notes.c.step_id == steps.c.step_id)
    joined = traces.join(notes, notes.c.trace_id == traces.c.trace_id).join(steps, same)
    query = select(notes.c.trace_id, steps.c.path, notes.c.name, notes.c.value).select_from(joined)
    for trace_id, path, name, value in connection.execute(query.where(*wanted, notes.c.kind == "score")):
        yield ScoreSeen(trace_id, path, name, decoded(bytes(value)))


def _of_traces(table: Any) -> Any:
    return traces.join(table, table.c.trace_id == traces.c.trace_id)
