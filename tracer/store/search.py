"""A Filter in SQL, over the rows of the traces list; payloads are never looked into."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Callable, Iterable, Mapping

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Text,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from tracer.model import Outcome, Status
from tracer.store.query import Filter
from tracer.store.tables import model_calls, processes, step_texts, steps, to_json, traces
from tracer.store.texts import plain

_OUTCOMES: Mapping[Status, Outcome] = {
    "completed": "ok",
    "failed": "failed",
    "cancelled": "cancelled",
    "stopped": "stopped",
    "waiting": "waiting",
}


def status_of(outcome: str | None, *, alive: bool) -> Status:
    """What a reader sees: how it ended, or, where nothing says that it did, whether it still can."""
    for status, ended in _OUTCOMES.items():
        if outcome == ended:
            return status
    return "running" if alive else "interrupted"


class Owners:
    """Which recording processes still live. Each is asked about once, so that one page shows one state."""

    def __init__(self, connection: Connection, alive: Callable[[str], bool] | None) -> None:
        self._alive = alive
        self._connection = connection
        self._known: dict[str, bool] = {}

    def lives(self, owner: str) -> bool:
        """False for a process that said goodbye; else what ``alive`` says; else, with nobody to ask, true."""
        if owner not in self._known:
            closed = select(processes.c.closed_ns).where(processes.c.owner == owner)
            gone = self._connection.execute(closed).scalar() is not None
            self._known[owner] = not gone and (self._alive is None or self._alive(owner))
        return self._known[owner]

    def of_open_traces(self) -> list[str]:
        """The owners of all traces without an end; there are as many as processes that run or were killed."""
        return list(
            self._connection.execute(select(traces.c.owner).where(traces.c.outcome.is_(None)).distinct()).scalars()
        )


def conditions(
    found: Filter, owners: Owners, unindexed: Mapping[str, Iterable[str]] = MappingProxyType({})
) -> list[ColumnElement[bool]]:
    """What must hold for a row of ``traces``. ``unindexed`` names traces that say a word of which the index of texts
    does not know."""
    wanted = cheap_conditions(found)
    if found.statuses:
        wanted.append(_status(found.statuses, owners))
    if found.model:
        model = plain(found.model)
        wanted.append(_has(model_calls, or_(model_calls.c.model == model, model_calls.c.model_asked == model)))
    if found.step:
        wanted.append(_has(steps, steps.c.name == plain(found.step)))
    if found.above_nusd is not None:
        wanted.append(traces.c.cost_nusd > found.above_nusd)
    if found.longer_ns is not None:
        wanted.append(traces.c.ended_ns - traces.c.started_ns > found.longer_ns)
    if found.error:
        wanted.append(_raised(plain(found.error)))
    wanted += [_tagged(name, value) for name, value in found.tags]
    wanted += [_says(plain(word), unindexed.get(word, ())) for word in found.words]
    return wanted


def cheap_conditions(found: Filter) -> list[ColumnElement[bool]]:
    """The conditions that an index answers."""
    wanted: list[ColumnElement[bool]] = []
    if found.workflow:
        wanted.append(traces.c.workflow == plain(found.workflow))
    if (since_ns := found.since_when_ns()) is not None:
        wanted.append(traces.c.started_ns >= since_ns)
    if found.until_ns is not None:
        wanted.append(traces.c.started_ns < found.until_ns)
    if found.replays is not None:
        wanted.append(traces.c.replay_of.is_not(None) if found.replays else traces.c.replay_of.is_(None))
    return wanted


def _status(statuses: tuple[Status, ...], owners: Owners) -> ColumnElement[bool]:
    ended = [_OUTCOMES[status] for status in statuses if status in _OUTCOMES]
    # written out and not bound: only so can a database see that the index of failed traces is meant
    either = [traces.c.outcome == literal(outcome, literal_execute=True) for outcome in ended]
    open_ones = {"running", "interrupted"} & set(statuses)
    if open_ones:
        of_whom = [
            owner for owner in owners.of_open_traces() if status_of(None, alive=owners.lives(owner)) in open_ones
        ]
        either.append(and_(traces.c.outcome.is_(None), traces.c.owner.in_(of_whom)))
    return or_(false(), *either)


def _has(table: Any, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    # correlated with the traces alone: the query around it may be one of steps or calls too
    return exists().where(table.c.trace_id == traces.c.trace_id, condition).correlate(traces)


def _raised(name: str) -> ColumnElement[bool]:
    """The class of the error, named with or without what stands before it."""
    ends = (traces.c.error_type.endswith(f"{mark}{name}", autoescape=True) for mark in ".:")
    return or_(traces.c.error_type == name, *ends)


def _tagged(name: str, value: str | None) -> ColumnElement[bool]:
    """The tag stands in the JSON as it was written there: a number or a constant without quotes, or a text."""
    written, key = func.lower(type_coerce(traces.c.tags, Text)), f"{to_json(name)}: ".lower()
    if value is None:
        return written.contains(key, autoescape=True)
    low = value.lower()
    forms = (f"{key}{to_json(value)}".lower(), f"{key}{low},", f"{key}{low}}}")
    return or_(*(written.contains(plain(form), autoescape=True) for form in forms))


def _says(word: str, unindexed: Iterable[str]) -> ColumnElement[bool]:
    """The word occurs in what was said in some step, or in a name or the error that the list shows."""
    low = word.casefold()
    # written out and not bound: they may be more than a statement takes parameters
    written_out: BindParameter[Any] = bindparam(
        "unindexed", sorted(unindexed), expanding=True, literal_execute=True, unique=True
    )
    return or_(
        _has(step_texts, step_texts.c.text.contains(low, autoescape=True)),
        _has(steps, func.lower(steps.c.name).contains(low, autoescape=True)),
        func.lower(traces.c.workflow).contains(low, autoescape=True),
        traces.c.trace_id.startswith(low, autoescape=True),
        traces.c.trace_id.in_(written_out),
    )
