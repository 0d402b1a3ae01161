"""What a trace's row says about its steps: a cache for the list, brought up to date once per batch.

Only what this run used is counted in tokens and money: a served model call cost nothing now. A model call around
another one (a function marked as llm that calls a provider) would count the same tokens twice: only the inner counts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from sqlalchemy import Connection, Row, bindparam, case, func, select, update

from tracer.model import Failure
from tracer.store.bodies import data_of
from tracer.store.rows import failure_in, first_line
from tracer.store.tables import model_calls, payloads, steps, traces

#: A trace without steps.
NOTHING: Mapping[str, Any] = {
    "ended_ns": None,
    "outcome": None,
    "tags": None,
    "failed_step": None,
    "failed_step_id": None,
    "error_type": None,
    "error_message": None,
    "steps": 0,
    "model_calls": 0,
    "models": [],
    "input_tokens": 0,
    "output_tokens": 0,
    "cost_nusd": 0,
    "unpriced": 0,
    "escalations": 0,
}
#: Kinds whose failure reaches the caller as an exception of the client library, and so under another name.
_AT_THE_WIRE = ("llm", "embedding", "http")
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Drift:
    """A cached total that is not what the steps add up to."""

    trace_id: str
    column: str
    cached: Any
    counted: Any


def sum_up(connection: Connection, trace_ids: Sequence[str]) -> None:
    """Bring the rows of these traces up to date with their steps. The caller holds the rows."""
    update_traces(connection, totals(connection, trace_ids))


def update_traces(connection: Connection, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Set the same columns in the rows of several traces."""
    if rows:
        columns: dict[str, Any] = {name: bindparam(name) for name in next(iter(rows.values()))}
        statement = update(traces).where(traces.c.trace_id == bindparam("of")).values(columns)
        connection.execute(statement, [{"of": trace_id, **row} for trace_id, row in rows.items()])


def drifts(connection: Connection) -> Iterator[Drift]:
    """Every cached total in the store that is not what its steps add up to; there should be none."""
    last = ""
    page = select(traces).where(traces.c.trace_id > bindparam("last")).order_by(traces.c.trace_id).limit(_CHUNK)
    while rows := connection.execute(page, {"last": last}).all():
        last = rows[-1].trace_id
        counted = totals(connection, [row.trace_id for row in rows])
        for row in rows:
            for column, value in counted.get(row.trace_id, {}).items():
                cached = getattr(row, column)
                if cached != value:
                    yield Drift(row.trace_id, column, cached, value)


def totals(connection: Connection, trace_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The summed columns of each trace, counted anew. A trace of which no step has begun yet is left out."""
    found: dict[str, dict[str, Any]] = {}
    for row in _step_counts(connection, trace_ids):
        found[row.trace_id] = {
            **NOTHING,
            "started_ns": row.started_ns,
            "steps": row.steps,
            "escalations": row.escalations,
        }
    for trace_id, calls in _by_model(connection, trace_ids).items():
        found[trace_id] |= _call_totals(calls)
    for root in _roots(connection, trace_ids):
        found[root.trace_id] |= {
            "started_ns": root.started_ns,
            "ended_ns": root.ended_ns,
            "outcome": root.outcome,
            "tags": {**(root.tags or {}), **(root.end_tags or {})} or None,
        }
        if root.outcome == "failed":
            found[root.trace_id] |= _where_it_failed(connection, root)
    return found


def _step_counts(connection: Connection, trace_ids: Sequence[str]) -> Sequence[Row[Any]]:
    return connection.execute(
        select(
            steps.c.trace_id,
            func.min(steps.c.started_ns).label("started_ns"),
            func.count().label("steps"),
            func.count(case((steps.c.kind == "human", 1))).label("escalations"),
        )
        .where(steps.c.trace_id.in_(trace_ids), steps.c.path != "")
        .group_by(steps.c.trace_id)
    ).all()


def _by_model(connection: Connection, trace_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """Per trace and model, the first one called first: how many calls, what they used, what they cost."""
    calls = steps.join(model_calls, _same_step())
    around = select(steps.c.parent_id).select_from(calls).where(steps.c.trace_id.in_(trace_ids))
    counts = (steps.c.origin != "recorded") & steps.c.step_id.not_in(around.where(steps.c.parent_id.is_not(None)))
    unpriced = counts & steps.c.outcome.is_not(None) & model_calls.c.cost_nusd.is_(None)
    model = func.coalesce(model_calls.c.model, model_calls.c.model_asked).label("model")
    query = (
        select(
            steps.c.trace_id,
            model,
            func.count().label("calls"),
            _sum(counts, model_calls.c.input_tokens).label("input_tokens"),
            _sum(counts, model_calls.c.output_tokens).label("output_tokens"),
            _sum(counts, model_calls.c.cost_nusd).label("cost_nusd"),
            func.count(case((unpriced, 1))).label("unpriced"),
        )
        .select_from(calls)
        .where(steps.c.trace_id.in_(trace_ids), steps.c.path != "")
        .group_by(steps.c.trace_id, model)
        .order_by(func.min(steps.c.started_ns), model)
    )
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.trace_id].append(row)
    return found


def _sum(condition: Any, column: Any) -> Any:
    return func.coalesce(func.sum(case((condition, column))), 0)


def _same_step() -> Any:
    return (model_calls.c.trace_id == steps.c.trace_id) & (model_calls.c.step_id == steps.c.step_id)


def _call_totals(calls: Sequence[Row[Any]]) -> dict[str, Any]:
    return {
        "model_calls": sum(row.calls for row in calls),
        "models": [row.model for row in calls if row.model is not None],
        # Postgres sums 64-bit integers to a Decimal
        **{
            name: int(sum(getattr(row, name) for row in calls))
            for name in ("input_tokens", "output_tokens", "cost_nusd")
        },
        "unpriced": sum(row.unpriced for row in calls),
    }


def _roots(connection: Connection, trace_ids: Sequence[str]) -> Sequence[Row[Any]]:
    root = (steps.c.parent_id.is_(None)) & (steps.c.path != "")
    return connection.execute(select(steps).where(steps.c.trace_id.in_(trace_ids), root)).all()


def _where_it_failed(connection: Connection, root: Row[Any]) -> dict[str, Any]:
    """Follow the error from the root down to where it arose: from each failed step to the child whose error it is."""
    failed = connection.execute(
        select(steps).where(steps.c.trace_id == root.trace_id, steps.c.outcome == "failed", steps.c.path != "")
    ).all()
    children: dict[str, list[Row[Any]]] = defaultdict(list)
    for step in sorted(failed, key=lambda step: (step.ended_ns, step.seq), reverse=True):
        if step.parent_id is not None:
            children[step.parent_id].append(step)
    at = root
    while (below := _origin_below(connection, at, children.pop(at.step_id, []))) is not None:
        at = below
    return {
        "failed_step": at.name,
        "failed_step_id": at.step_id,
        "error_type": at.error_type,
        "error_message": at.error_message,
    }


def _origin_below(connection: Connection, step: Row[Any], children: Sequence[Row[Any]]) -> Row[Any] | None:
    """The failed child that ``step`` failed of; None if the error is its own. ``children`` come latest first."""
    if not children:
        return None
    for child in children:
        if (child.error_type, child.error_message) == (step.error_type, step.error_message):
            return child
    reasons = set(_reasons(_failure(connection, step)))
    for child in children:
        if (child.error_type, child.error_message) in reasons:
            return child
    last = connection.execute(
        select(steps.c.step_id)
        .where(steps.c.trace_id == step.trace_id, steps.c.parent_id == step.step_id, steps.c.ended_ns.is_not(None))
        .order_by(steps.c.ended_ns.desc(), steps.c.seq.desc())
        .limit(1)
    ).scalar()
    return children[0] if children[0].kind in _AT_THE_WIRE and children[0].step_id == last else None


def _failure(connection: Connection, step: Row[Any]) -> Failure | None:
    found = connection.execute(select(payloads).where(payloads.c.digest == step.failure)).one_or_none()
    return None if found is None else failure_in(data_of(found))


def _reasons(failure: Failure | None) -> Iterator[tuple[str, str]]:
    """Class and first line of everything that a failure came from: its causes and the members of its groups."""
    waiting = [failure]
    while waiting:
        failure = waiting.pop()
        if isinstance(failure, Failure):  # a cause that could not be restored says nothing
            yield failure.type, first_line(failure.message)
            waiting += [failure.cause, *failure.group]
