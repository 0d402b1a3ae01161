"""The questions of waiting runs, as a list that people work off: one row for each, changed by compare and set.

A row is made where the end of a waiting run comes in; a replay asks nobody, and has none, and one that was imported
waits where it was recorded. It is pending until the run has gone on with its answer: whoever died in between is made up
for.
"""

from __future__ import annotations

import time
from typing import Any, Collection, Literal, Sequence

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, func, select, update

from tracer.model import Escalation, PayloadRef
from tracer.store import engine as engines
from tracer.store.bodies import address_of
from tracer.store.statements import upsert
from tracer.store.tables import escalations, payloads, steps, traces
from tracer.waiting import DUE

#: How the owner of an imported trace begins.
IMPORTED = "imported-"
#: How a question may end.
Closed = Literal["answered", "defaulted", "expired", "withdrawn"]
#: What is to be answered, or is answered and the run has not gone on.
PENDING = escalations.c.resumed_as.is_(None) & (escalations.c.state != "withdrawn")
_OPEN = PENDING & (escalations.c.state == "open")


def open_new(connection: Connection, trace_ids: Collection[str]) -> None:
    """Put the questions of those of these traces on the list that have ended waiting."""
    if not trace_ids:
        return
    asked = (
        select(steps.c.trace_id, steps.c.step_id, steps.c.started_ns, steps.c.end_tags)
        .join(traces, traces.c.trace_id == steps.c.trace_id)
        .where(steps.c.trace_id.in_(trace_ids), steps.c.kind == "human", steps.c.outcome == "waiting")
        .where(traces.c.outcome == "waiting", traces.c.replay_of.is_(None), traces.c.owner.not_like(f"{IMPORTED}%"))
    )
    rows = [
        {
            "trace_id": row.trace_id,
            "step_id": row.step_id,
            "asked_ns": row.started_ns,
            "due_ns": (row.end_tags or {}).get(DUE),
            "state": "open",
        }
        for row in connection.execute(asked)
    ]
    upsert(connection, escalations, rows, change=())


class Escalations:
    """The list of one store. Every change is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def pending(self, *, limit: int = 200) -> list[Escalation]:
        """What is to be answered, or is answered and the run has not gone on: the longest waiting first."""
        return self._read(_select().where(PENDING).order_by(escalations.c.asked_ns).limit(limit))

    def newest(self, *, limit: int = 200) -> list[Escalation]:
        """All that was ever asked, whatever became of it: the newest first."""
        return self._read(_select().order_by(escalations.c.asked_ns.desc()).limit(limit))

    def due(self, now_ns: int) -> list[Escalation]:
        """The open ones whose time is over."""
        return self._read(_select().where(_OPEN, escalations.c.due_ns <= now_ns).order_by(escalations.c.due_ns))

    def of(self, trace_id: str) -> list[Escalation]:
        """What one run has asked, in order."""
        return self._read(_select().where(escalations.c.trace_id == trace_id).order_by(escalations.c.asked_ns))

    def count_open(self, *, most: int = 100) -> int:
        """How many are to be answered; counted up to ``most``."""
        with engines.reading(self._engine) as connection:
            some = select(escalations.c.trace_id).where(_OPEN).limit(most).subquery()
            return int(connection.execute(select(func.count()).select_from(some)).scalar_one())

    def story(self, trace_id: str) -> list[str]:
        """The run itself, the run that it goes on with, the one that that one goes on with, and so on."""
        found: list[str] = []
        before: str | None = trace_id
        with engines.reading(self._engine) as connection:
            while before is not None and before not in found:
                found.append(before)
                query = select(traces.c.resume_of).where(traces.c.trace_id == before)
                before = connection.execute(query).scalar()
        return found

    def assign(self, one: Escalation, name: str | None) -> bool:
        """Say who is to answer; False where it is open no more."""
        return self._change(one, {"assignee": name}) is not None

    def close(self, one: Escalation, state: Closed, *, by: str, value: Any = None) -> int | None:
        """End a question, and give how many of its run are still open; None where somebody else was first. Of several
        that end the last ones of a run at once, only one gets the 0."""
        answer = {"value": value} if state in {"answered", "defaulted"} else None
        row = {"state": state, "answer": answer, "closed_by": by, "closed_ns": time.time_ns()}
        return self._change(one, row)

    def gone_on(self, trace_id: str, resumed_as: str) -> None:
        """Say that the run has gone on with its answers, and as which."""
        mine = (escalations.c.trace_id == trace_id) & escalations.c.resumed_as.is_(None)
        with engines.writing(self._engine) as connection:
            connection.execute(update(escalations).where(mine).values(resumed_as=resumed_as))

    def _change(self, one: Escalation, row: dict[str, Any]) -> int | None:
        mine = escalations.c.trace_id == one.trace_id
        with engines.writing(self._engine) as connection:
            # Who ends one question of a run waits for who ends another: so one of them sees that it was the last.
            connection.execute(select(traces.c.trace_id).where(traces.c.trace_id == one.trace_id).with_for_update())
            wanted = update(escalations).where(mine, escalations.c.step_id == one.step_id, _OPEN).values(row)
            if connection.execute(wanted).rowcount != 1:
                return None
            left = select(func.count()).select_from(escalations).where(mine, _OPEN)
            return int(connection.execute(left).scalar_one())

    def _read(self, query: Select[Any]) -> list[Escalation]:
        with engines.reading(self._engine) as connection:
            return [_escalation(row) for row in connection.execute(query)]


def _select() -> Select[Any]:
    asked: ColumnElement[bool] = (steps.c.trace_id == escalations.c.trace_id) & (
        steps.c.step_id == escalations.c.step_id
    )
    return select(
        *(escalations, traces.c.workflow, steps.c.path, steps.c.identity),
        *(steps.c.input, steps.c.input_lossy, payloads.c.size.label("input_size")),
    ).select_from(
        escalations.join(steps, asked)
        .join(traces, traces.c.trace_id == escalations.c.trace_id)
        .outerjoin(payloads, payloads.c.digest == steps.c.input)
    )


def _escalation(row: Row[Any]) -> Escalation:
    lossy: Sequence[str] = row.input_lossy or ()
    return Escalation(
        trace_id=row.trace_id,
        step_id=row.step_id,
        workflow=row.workflow,
        path=row.path,
        identity=row.identity,
        asked_ns=row.asked_ns,
        due_ns=row.due_ns,
        input=None if row.input is None else PayloadRef(address_of(row.input), row.input_size or 0, tuple(lossy)),
        state=row.state,
        assignee=row.assignee,
        answer=None if row.answer is None else row.answer["value"],
        closed_by=row.closed_by,
        closed_ns=row.closed_ns,
        resumed_as=row.resumed_as,
    )
