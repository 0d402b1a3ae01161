"""Recorded model calls priced anew: some hundred at a time, each page and its traces' totals in one transaction.

A page is complete in itself: whoever stops between two may begin again, and finds what is written as it should be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_, select, tuple_

from tracer.model import Cost
from tracer.parts import Priced
from tracer.pricing import SERVED
from tracer.store.rows import COUNTS, storable
from tracer.store.statements import change_rows
from tracer.store.tables import model_calls, steps, traces
from tracer.store.texts import plain
from tracer.store.totals import sum_up_costs

#: Calls in one transaction: a writer beside us waits for some hundredths of a second.
PAGE = 500
#: Traces that are looked through for a page.
TRACES = 200


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A model call that has ended. ``told`` is what ``price_call`` reads; ``counts`` is False for one that the totals
    leave out: it was served, or another call was made inside it."""

    trace_id: str
    step_id: str
    at_ns: int
    told: Mapping[str, Any]
    cost: Cost | None
    unpriced_because: str | None
    counts: bool


@dataclass(frozen=True, slots=True)
class Repriced:
    """A call, and what it costs now; None where it was left as it is."""

    call: StoredCall
    priced: Priced | None

    @property
    def is_changed(self) -> bool:
        return self.priced is not None and self.priced != (self.call.cost, self.call.unpriced_because)


Price = Callable[[StoredCall], Priced | None]


def page(  # noqa: PLR0913 - what is wanted, by what price, and where to go on
    connection: Connection,
    wanted: Sequence[ColumnElement[bool]],
    price: Price,
    *,
    model: str | None,
    after: tuple[str, str],
    write: bool,
) -> tuple[list[Repriced], tuple[str, str] | None]:
    """The calls behind ``after``, in the order of their keys, priced, and written down too if so wanted. ``wanted`` is
    about their traces; with a ``model``, its calls alone. With them, where to go on; None at the end.

    Two questions and not a join: no database then takes it into its head to sort all calls for each page.
    """
    some = select(traces.c.trace_id).where(traces.c.trace_id >= after[0], *wanted)
    some = some.order_by(traces.c.trace_id).limit(TRACES)
    # Whoever writes to a trace holds its row: from here on its calls stay as we read them.
    trace_ids = connection.execute(some.with_for_update() if write else some).scalars().all()
    if not trace_ids:
        return [], None
    query = _CALLS.where(model_calls.c.trace_id.in_(trace_ids), tuple_(*_KEY) > after)
    query = query if model is None else query.where(_of_model(model))
    rows = connection.execute(query.order_by(*_KEY).limit(PAGE)).all()
    around = _around(connection, {row.trace_id for row in rows})
    found = [Repriced(call, _storable(price(call))) for call in (_call(row, around) for row in rows)]
    if write:
        _write(connection, [each for each in found if each.is_changed])
    if len(rows) == PAGE:
        return found, (rows[-1].trace_id, rows[-1].step_id)
    # "g" comes behind every hex digit, and so behind every step of the last trace
    return found, (trace_ids[-1], "g") if len(trace_ids) == TRACES else None


def _of_model(name: str) -> ColumnElement[bool]:
    """The calls that a model answered, or was asked."""
    model = plain(name)
    return or_(model_calls.c.model == model, model_calls.c.model_asked == model)


_KEY = (model_calls.c.trace_id, model_calls.c.step_id)
_CALLS: Select[Any] = (
    select(model_calls, steps.c.origin, steps.c.ended_ns)
    .select_from(
        model_calls.join(
            steps, and_(steps.c.trace_id == model_calls.c.trace_id, steps.c.step_id == model_calls.c.step_id)
        )
    )
    .where(steps.c.path != "", steps.c.outcome.is_not(None))
)


def _around(connection: Connection, trace_ids: set[str]) -> set[tuple[str, str]]:
    """The steps of these traces inside which a model was called."""
    same = and_(steps.c.trace_id == model_calls.c.trace_id, steps.c.step_id == model_calls.c.step_id)
    query = select(steps.c.trace_id, steps.c.parent_id).select_from(steps.join(model_calls, same))
    rows = connection.execute(query.where(steps.c.trace_id.in_(trace_ids), steps.c.parent_id.is_not(None)))
    return {(row.trace_id, row.parent_id) for row in rows}


def _call(row: Row[Any], around: set[tuple[str, str]]) -> StoredCall:
    told = {
        "provider": row.provider,
        "model": row.model,
        "model_asked": row.model_asked,
        "usage": {**{name: getattr(row, name) for name in COUNTS}, "raw": row.raw_usage},
        "status_code": row.status_code,
        "price": row.declared_price,
        "served": row.price == SERVED,
    }
    return StoredCall(
        row.trace_id,
        row.step_id,
        row.ended_ns,
        told,
        None if row.cost_nusd is None else Cost(row.cost_nusd, row.price or ""),
        row.unpriced_because,
        row.origin != "recorded" and (row.trace_id, row.step_id) not in around,
    )


def _storable(priced: Priced | None) -> Priced | None:
    return None if priced is None else storable(priced)


def _write(connection: Connection, changed: Sequence[Repriced]) -> None:
    rows = []
    for each in changed:
        assert each.priced is not None
        cost, reason = each.priced
        figure = {
            "cost_nusd": None if cost is None else cost.nusd,
            "price": None if cost is None else cost.price,
            "unpriced_because": reason,
        }
        rows.append({"trace_id": each.call.trace_id, "step_id": each.call.step_id, **figure})
    change_rows(connection, model_calls, rows)
    sum_up_costs(connection, sorted({each.call.trace_id for each in changed}))
