"""What a trace's row says about its steps: a cache for the list, brought up to date once per batch.

Only what this run used is counted in tokens and money: a served model call cost nothing now. A model call around
another one (a function marked as llm that calls a provider) would count the same tokens twice: only the inner counts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from sqlalchemy import BindParameter, Connection, Row, Select, Text, bindparam, case, func, select, type_coerce, update

from tracer.model import Failure
from tracer.store.blame import where_it_failed
from tracer.store.bodies import fetch
from tracer.store.rows import failure_in
from tracer.store.statements import change_rows
from tracer.store.sums import NOTHING, RETRY
from tracer.store.tables import model_calls, steps, traces

_CHUNK = 500
#: A tag of a step that is a later attempt of a call. Inside a text the quotes would be escaped.
_A_RETRY = f"%{RETRY}%"


@dataclass(frozen=True, slots=True)
class Drift:
    """A cached total that is not what the steps add up to."""

    trace_id: str
    column: str
    cached: Any
    counted: Any


def sum_up(connection: Connection, trace_ids: Sequence[str]) -> None:
    """Bring the rows of these traces up to date with their steps. The caller holds the rows."""
    if trace_ids:
        update_traces(connection, totals(connection, trace_ids))
        connection.execute(_COUNTED, {"trace_ids": trace_ids})


def sum_up_costs(connection: Connection, trace_ids: Sequence[str]) -> None:
    """Bring what these traces cost up to date with their calls, and nothing else. The caller holds the rows."""
    sums = {trace_id: _call_totals(calls) for trace_id, calls in _by_model(connection, trace_ids).items()}
    costs = ("cost_nusd", "unpriced")
    update_traces(connection, {trace_id: {name: found[name] for name in costs} for trace_id, found in sums.items()})


def settle(connection: Connection, owner: str) -> None:
    """Bring up to date what was left for later because the trace was long."""
    behind = select(traces.c.trace_id).where(traces.c.counted < traces.c.seq, traces.c.owner == owner)
    sum_up(connection, connection.execute(behind.order_by(traces.c.trace_id).with_for_update()).scalars().all())


def update_traces(connection: Connection, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Set the same columns in the rows of several traces."""
    change_rows(connection, traces, [{"trace_id": trace_id, **row} for trace_id, row in rows.items()])


def drifts(connection: Connection) -> Iterator[Drift]:
    """Every cached total in the store that is not what its steps add up to; there should be none. A long trace whose
    steps still come is passed over: it is summed up from time to time."""
    last = ""
    page = select(traces).where(traces.c.trace_id > bindparam("last")).order_by(traces.c.trace_id).limit(_CHUNK)
    while rows := connection.execute(page, {"last": last}).all():
        last = rows[-1].trace_id
        counted = totals(connection, [row.trace_id for row in rows if row.counted >= row.seq])
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
    return connection.execute(_STEP_COUNTS, {"trace_ids": trace_ids}).all()


def _by_model(connection: Connection, trace_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """Per trace and model, the first one called first: how many calls, what they used, what they cost."""
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(_BY_MODEL, {"trace_ids": trace_ids}):
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
    return connection.execute(_ROOTS, {"trace_ids": trace_ids}).all()


def _where_it_failed(connection: Connection, root: Row[Any]) -> dict[str, Any]:
    failed = connection.execute(
        select(steps).where(steps.c.trace_id == root.trace_id, steps.c.outcome == "failed", steps.c.path != "")
    ).all()

    def failure_of(digest: bytes) -> Failure | None:
        found = fetch(connection, [digest])
        return failure_in(found[digest]) if digest in found else None

    def last_child_of(step_id: str) -> str | None:
        same = (steps.c.trace_id == root.trace_id) & (steps.c.parent_id == step_id) & steps.c.ended_ns.is_not(None)
        last = select(steps.c.step_id).where(same).order_by(steps.c.ended_ns.desc(), steps.c.seq.desc()).limit(1)
        return connection.execute(last).scalar()

    return where_it_failed(root, failed, failure_of, last_child_of)


def _calls_by_model() -> Select[Any]:
    calls = steps.join(model_calls, _same_step())
    around = select(steps.c.parent_id).select_from(calls).where(_IS_ONE)
    counts = (steps.c.origin != "recorded") & steps.c.step_id.not_in(around.where(steps.c.parent_id.is_not(None)))
    unpriced = counts & steps.c.outcome.is_not(None) & model_calls.c.cost_nusd.is_(None)
    model = func.coalesce(model_calls.c.model, model_calls.c.model_asked).label("model")
    return (
        select(
            steps.c.trace_id,
            model,
            func.count(case((func.coalesce(type_coerce(steps.c.tags, Text), "").not_like(_A_RETRY), 1))).label("calls"),
            _sum(counts, model_calls.c.input_tokens).label("input_tokens"),
            _sum(counts, model_calls.c.output_tokens).label("output_tokens"),
            _sum(counts, model_calls.c.cost_nusd).label("cost_nusd"),
            func.count(case((unpriced, 1))).label("unpriced"),
        )
        .select_from(calls)
        .where(_IS_ONE, steps.c.path != "")
        .group_by(steps.c.trace_id, model)
        .order_by(func.min(steps.c.started_ns), model)
    )


# Made once: to make a statement takes longer than the database does to answer it.
_TRACE_IDS: BindParameter[Any] = bindparam("trace_ids", expanding=True)
_IS_ONE = steps.c.trace_id.in_(_TRACE_IDS)
_COUNTED = update(traces).where(traces.c.trace_id.in_(_TRACE_IDS)).values(counted=traces.c.seq)
_STEP_COUNTS = (
    select(
        steps.c.trace_id,
        func.min(steps.c.started_ns).label("started_ns"),
        func.count().label("steps"),
        func.count(case((steps.c.kind == "human", 1))).label("escalations"),
    )
    .where(_IS_ONE, steps.c.path != "")
    .group_by(steps.c.trace_id)
)
_BY_MODEL = _calls_by_model()
#: The earliest is last, and so has the last word.
_ROOTS = (
    select(steps)
    .where(_IS_ONE, steps.c.parent_id.is_(None), steps.c.path != "")
    .order_by(steps.c.started_ns.desc(), steps.c.seq.desc())
)
