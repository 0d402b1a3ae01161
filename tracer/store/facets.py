"""What the traces of a filter are made of: how many have which status, workflow, model and error.

One look at the newest 10,000 of them, whatever the store holds: a page waits for no number that nobody reads exactly.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, Text, case, func, select, type_coerce

from tracer.model import Status
from tracer.store.query import Filter
from tracer.store.search import Owners, cheap_conditions, status_of
from tracer.store.tables import traces

COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Facets:
    """How many of a filter's traces have each status (its own statuses aside), and how many of those it shows are of
    each workflow, model and error; the most frequent first. ``bounded`` says that only the newest 10,000 were counted.
    """

    statuses: Mapping[Status, int]
    workflows: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    bounded: bool = False

    @property
    def total(self) -> int:
        return sum(self.statuses.values())


def facets(connection: Connection, found: Filter, wanted: Sequence[ColumnElement[bool]], owners: Owners) -> Facets:
    """``wanted`` are the conditions of the filter without its statuses."""
    by_age = select(traces.c.started_ns).where(*cheap_conditions(found))
    by_age = by_age.order_by(traces.c.started_ns.desc(), traces.c.trace_id.desc())
    edge = connection.execute(by_age.offset(COUNTED - 1).limit(2)).scalars().all()
    newest = [traces.c.started_ns >= edge[0]] if edge else []
    owner = case((traces.c.outcome.is_(None), traces.c.owner)).label("owner")
    models = type_coerce(traces.c.models, Text).label("models")
    kinds = (traces.c.outcome, owner, traces.c.workflow, models, traces.c.error_type)
    query = select(*kinds, func.count().label("total")).where(*wanted, *newest).group_by(*kinds)
    statuses: Counter[Status] = Counter()
    workflows: Counter[str] = Counter()
    names: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for row in connection.execute(query):
        status = status_of(row.outcome, alive=row.outcome is None and owners.lives(row.owner))
        statuses[status] += row.total
        if found.statuses and status not in found.statuses:
            continue
        workflows[row.workflow] += row.total
        names.update(dict.fromkeys(json.loads(row.models), row.total))
        if row.error_type and status != "completed":
            errors[row.error_type] += row.total
    return Facets(statuses, _ordered(workflows), _ordered(names), _ordered(errors), bounded=len(edge) > 1)


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
