"""From what was seen of traces to the rows of a table. Pure; goes once through the steps, so that a million is seconds.

A run is a trace. Running ones count as traces and in what they have done so far, but in no share of those that ended.
"""

from __future__ import annotations

import json
import re
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Callable, Iterable, Mapping

from tracer.decisions import DECISION, Decision, decision_in
from tracer.seen import CallSeen, RunSeen, Seen
from tracer.stats.chain import chains
from tracer.stats.intervals import apart, ratio, share
from tracer.stats.rows import Compared, Latency, ModelRow, Money, Row, Runs, Stats, StepRow, Time

#: By what a table can be.
BY = ("workflow", "step", "model", "arm", "day", "version")
#: Which of two sides a run is on; None: on neither.
Side = Callable[[RunSeen], str | None]
_OCCURRENCE = re.compile(r"\[\d+\]")
_OUTSIDE = frozenset(("tool", "retriever", "reranker", "http", "human"))
_OPEN = frozenset(("running", "waiting"))
_ALL = ""
#: In the tags of a step that decided, as they are written.
MARK = f'"{DECISION}":'


@dataclass(slots=True)
class _Of:
    """What the steps and calls of one run say of it."""

    fell_back: bool = False
    retried: bool = False
    models: list[tuple[int, int]] = field(default_factory=list)
    outside: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class _OfStep:
    kind: str = ""
    runs: int = 0
    failed: int = 0
    durations_ns: array[int] = field(default_factory=lambda: array("q"))
    #: Whether its record says what it changed: it decided, or it is a guardrail that was seen to stop a run. One that
    #: never did may as well be one whose verdict the workflow acts upon.
    is_told: bool = False
    decided: int = 0
    changed: int = 0


def measure(seen: Seen, *, by: str = "workflow", what: str = "traces", passing: float = 0.5) -> Stats:
    """The figures of everything, and by workflow, step, model, arm, day or version. A score of ``passing`` or more is
    right."""
    facts, steps = _gone_through(seen, by_step=by == "step", side_of={run.trace_id: _ALL for run in seen.runs})
    whole = _runs("all", seen.runs, facts)
    rows = _rows(by, seen.runs, seen.calls, facts, steps[_ALL])
    return Stats(by, what, whole, rows, chains(seen.runs, seen.scores, passing=passing))


def compare(seen: Seen, side: Side, sides: tuple[str, str], *, by: str = "workflow", what: str = "traces") -> Stats:
    """The same on two sides, and how far they are apart; the second less the first."""
    side_of = {run.trace_id: found for run in seen.runs if (found := side(run)) is not None}
    facts, steps = _gone_through(seen, by_step=by == "step", side_of=side_of)
    tables: list[dict[str, Row]] = []
    for each in sides:
        runs = [run for run in seen.runs if side_of.get(run.trace_id) == each]
        calls = [call for call in seen.calls if side_of.get(call.trace_id) == each]
        rows = _rows(by, runs, calls, facts, steps[each])
        tables.append({"all": _runs("all", runs, facts)} | {row.name: row for row in rows})
    before, after = tables
    names = list(dict.fromkeys([*before, *after]))
    compared = tuple(_compared(name, before.get(name), after.get(name)) for name in names)
    chosen = [run for run in seen.runs if run.trace_id in side_of]
    return Stats(by, what, _runs("all", chosen, facts), (), (), sides, compared)


def _compared(name: str, before: Row | None, after: Row | None) -> Compared:
    if before is None or after is None:
        return Compared(name, before, after, {})
    one, other = before.figures(), after.figures()
    return Compared(name, before, after, {figure: apart(one[figure], other[figure]) for figure in one})


def _gone_through(
    seen: Seen, *, by_step: bool, side_of: Mapping[str, str]
) -> tuple[Mapping[str, _Of], Mapping[str, Mapping[str, _OfStep]]]:
    """What the steps and calls say of each run, by trace id, and of each step: side -> path -> what is of it."""
    facts: defaultdict[str, _Of] = defaultdict(_Of)
    steps: defaultdict[str, defaultdict[str, _OfStep]] = defaultdict(lambda: defaultdict(_OfStep))
    plain: dict[str, str] = {}
    for trace_id, path, kind, began_ns, ended_ns, outcome, tags in seen.steps:
        decision = decision_of(tags)
        if decision is not None:
            facts[trace_id].fell_back |= decision.fell_back
            facts[trace_id].retried |= decision.retries > 0
        if kind in _OUTSIDE and ended_ns is not None:
            facts[trace_id].outside.append((began_ns, ended_ns))
        if by_step and (side := side_of.get(trace_id)) is not None:
            name = plain.get(path) or plain.setdefault(path, _OCCURRENCE.sub("", path))
            of = steps[side][name]
            of.kind = kind
            of.runs += 1
            of.failed += outcome == "failed"
            if ended_ns is not None:
                of.durations_ns.append(ended_ns - began_ns)
            if decision is not None or kind == "guardrail":
                of.is_told |= decision is not None or outcome == "failed"
                of.decided += ended_ns is not None
                of.changed += outcome == "failed" or (decision is not None and _took_another(decision))
    for call in seen.calls:
        of_run = facts[call.trace_id]
        of_run.retried |= call.retries
        if call.ended_ns is not None:
            of_run.models.append((call.started_ns, call.ended_ns))
    return facts, steps


def decision_of(tags: str | None) -> Decision | None:
    return decision_in(json.loads(tags)) if tags is not None and MARK in tags else None


def _took_another(decision: Decision) -> bool:
    """Whether something else happened than without this step: the first candidate, whatever it gives."""
    return decision.fell_back or decision.chosen not in (None, *decision.candidates[:1])


def _rows(
    by: str, runs: Iterable[RunSeen], calls: Iterable[CallSeen], facts: Mapping[str, _Of], steps: Mapping[str, _OfStep]
) -> tuple[Row, ...]:
    if by == "step":
        return _by_step(calls, steps)
    if by == "model":
        return _by_model(calls)
    groups: defaultdict[str, list[RunSeen]] = defaultdict(list)
    for run in runs:
        for name in _KEYS[by](run):
            groups[name].append(run)
    return tuple(_runs(name, groups[name], facts) for name in sorted(groups))


def _day(run: RunSeen) -> str:
    return datetime.fromtimestamp(run.started_ns / 1e9, UTC).strftime("%Y-%m-%d")


_KEYS: Mapping[str, Callable[[RunSeen], Iterable[str]]] = {
    "workflow": lambda run: (run.workflow,),
    "version": lambda run: (run.version or "none",),
    "day": lambda run: (_day(run),),
    "arm": lambda run: tuple(f"{role}: {arm}" for role, arm in run.arms.items()),
}


def _runs(name: str, runs: Iterable[RunSeen], facts: Mapping[str, _Of]) -> Runs:
    all_of_them = list(runs)
    number = len(all_of_them)
    statuses = Counter(str(run.status) for run in all_of_them)
    ended = sum(count for status, count in statuses.items() if status not in _OPEN)
    of_each = [facts.get(run.trace_id, _NOTHING) for run in all_of_them]
    return Runs(
        name=name,
        traces=number,
        statuses=dict(statuses),
        completion=share(statuses["completed"], ended),
        errors=share(statuses["failed"], ended),
        fallback=share(sum(of.fell_back for of in of_each), number),
        escalation=share(sum(run.escalations > 0 for run in all_of_them), number),
        retry=share(sum(of.retried for of in of_each), number),
        latency=Latency.of(run.ended_ns - run.started_ns for run in all_of_them if run.ended_ns is not None),
        time=_time(zip(all_of_them, of_each, strict=True)),
        cost=Money.of(
            [run.cost_nusd for run in all_of_them if not run.unpriced],
            unpriced=sum(run.unpriced > 0 for run in all_of_them),
            floor_nusd=sum(run.cost_nusd for run in all_of_them if run.unpriced),
        ),
    )


_NOTHING = _Of()


def _time(each: Iterable[tuple[RunSeen, _Of]]) -> Time:
    models, outside, walls = [], [], []
    for run, of in each:
        if run.ended_ns is None:
            continue
        walls.append(run.ended_ns - run.started_ns)
        in_models = covered_ns(of.models, run.started_ns, run.ended_ns)
        models.append(in_models)
        both = covered_ns([*of.models, *of.outside], run.started_ns, run.ended_ns) if of.outside else in_models
        outside.append(both - in_models)
    own = [wall - one - other for wall, one, other in zip(walls, models, outside, strict=True)]
    return Time(sum(models), sum(outside), sum(own), ratio(models, walls), ratio(own, walls))


def covered_ns(intervals: list[tuple[int, int]], begin_ns: int, end_ns: int) -> int:
    """How much of the time from begin to end lies in at least one of the intervals."""
    total, until = 0, begin_ns
    for began, ended in sorted(intervals):
        start, stop = max(began, until), min(ended, end_ns)
        if stop > start:
            total += stop - start
            until = stop
    return total


def _by_step(calls: Iterable[CallSeen], steps: Mapping[str, _OfStep]) -> tuple[StepRow, ...]:
    costs: Counter[str] = Counter()
    unpriced: Counter[str] = Counter()
    called: set[str] = set()
    for call in calls:
        if not call.counts:
            continue
        path = _OCCURRENCE.sub("", call.path)
        for end in [*(at for at, letter in enumerate(path) if letter == "/"), len(path)]:
            called.add(path[:end])
            costs[path[:end]] += call.cost_nusd or 0
            unpriced[path[:end]] += call.cost_nusd is None and call.ended_ns is not None
    return tuple(
        StepRow(
            name=path,
            kind=of.kind,
            runs=of.runs,
            errors=share(of.failed, len(of.durations_ns)),
            latency=Latency.of(of.durations_ns),
            total_ns=sum(of.durations_ns),
            cost_nusd=costs[path] if path in called else None,
            unpriced=unpriced[path],
            changed=share(of.changed, of.decided) if of.is_told else None,
        )
        for path, of in sorted(steps.items())
    )


def _by_model(calls: Iterable[CallSeen]) -> tuple[ModelRow, ...]:
    groups: defaultdict[str, list[CallSeen]] = defaultdict(list)
    for call in calls:
        if call.counts:
            groups[call.model or "unknown"].append(call)
    rows = []
    for name, of in sorted(groups.items()):
        ended = [call for call in of if call.ended_ns is not None]
        rows.append(
            ModelRow(
                name=name,
                calls=len(of),
                errors=share(sum(call.outcome == "failed" for call in ended), len(ended)),
                retries=share(sum(call.retries for call in of), len(of)),
                latency=Latency.of((call.ended_ns or 0) - call.started_ns for call in ended),
                cost=Money.of(
                    [call.cost_nusd for call in ended if call.cost_nusd is not None],
                    unpriced=sum(call.cost_nusd is None for call in ended),
                ),
            )
        )
    return tuple(rows)
