"""Runs by when they began: hours, days or weeks, whichever gives a plot some thirty points. Pure.

What is counted is counted as ``tracer.stats.measure`` counts it, but without the interval of each mean: it costs a
hundred times what all else does.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean
from typing import Iterable

from tracer.decisions import decision_in
from tracer.format import DAY_NS, HOUR_NS, MINUTE_NS
from tracer.seen import RunSeen, Seen
from tracer.stats.intervals import Share, share
from tracer.stats.measure import MARK, covered_ns
from tracer.stats.rows import Latency
from tracer.store.measures import OUTSIDE

MOST_BINS = 32
#: Width, and what one such span is called.
_WIDTHS = (
    (5 * MINUTE_NS, "5 minutes"),
    (15 * MINUTE_NS, "quarter of an hour"),
    (HOUR_NS, "hour"),
    (6 * HOUR_NS, "6 hours"),
    (DAY_NS, "day"),
    (7 * DAY_NS, "week"),
    (28 * DAY_NS, "4 weeks"),
    (364 * DAY_NS, "52 weeks"),
)
_OPEN = frozenset(("running", "waiting"))
#: Weeks begin on a Monday; 1970 did on a Thursday.
_MONDAY_NS = 4 * DAY_NS


@dataclass(frozen=True, slots=True)
class Bin:
    """The runs that began from ``since_ns`` until ``until_ns``. ``mean_nusd`` is over those whose price is known whole;
    with ``unpriced`` runs ``cost_nusd`` is a floor."""

    since_ns: int
    until_ns: int
    runs: int
    completion: Share
    errors: Share
    fallback: Share
    escalation: Share
    retry: Share
    latency: Latency
    model_share: float | None
    own_share: float | None
    cost_nusd: int
    mean_nusd: float | None
    unpriced: int


@dataclass(slots=True)
class _Facts:
    fell_back: set[str] = field(default_factory=set)
    retried: set[str] = field(default_factory=set)
    models: defaultdict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    outside: defaultdict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))


def bins_of(seen: Seen) -> tuple[tuple[Bin, ...], str]:
    """The bins from the first run to the last, empty ones among them, and what a bin is called."""
    if not seen.runs:
        return (), "day"
    began = [run.started_ns for run in seen.runs]
    width, called = width_of(min(began), max(began))
    offset = _MONDAY_NS if width % (7 * DAY_NS) == 0 else 0
    groups: defaultdict[int, list[RunSeen]] = defaultdict(list)
    for run in seen.runs:
        groups[(run.started_ns - offset) // width].append(run)
    facts = _facts(seen)
    numbers = range(min(groups), max(groups) + 1)
    return tuple(_bin(number * width + offset, width, groups.get(number, ()), facts) for number in numbers), called


def width_of(first_ns: int, last_ns: int) -> tuple[int, str]:
    """The narrowest width of which few enough cover the time."""
    return next((each for each in _WIDTHS if (last_ns - first_ns) // each[0] + 2 <= MOST_BINS), _WIDTHS[-1])


def label_of(since_ns: int, width_ns: int, *, long: bool = False) -> str:
    """When a bin begins, in UTC: ``14:00``, ``12 Nov``; long ones with the day, or the year."""
    moment = datetime.fromtimestamp(since_ns / 1e9, UTC)
    if width_ns < DAY_NS:
        return f"{moment:%a %d %b %H:%M} UTC" if long else f"{moment:%d %b %H:%M}"
    return f"{moment:%a %d %b %Y}" if long else f"{moment:%d %b}"


def _facts(seen: Seen) -> _Facts:
    facts = _Facts()
    for step in seen.steps:
        if step.tags is not None and MARK in step.tags:
            decision = decision_in(json.loads(step.tags))
            if decision is not None and decision.fell_back:
                facts.fell_back.add(step.trace_id)
            if decision is not None and decision.retries:
                facts.retried.add(step.trace_id)
        if step.kind in OUTSIDE and step.ended_ns is not None:
            facts.outside[step.trace_id].append((step.started_ns, step.ended_ns))
    for call in seen.calls:
        if call.retries:
            facts.retried.add(call.trace_id)
        if call.ended_ns is not None:
            facts.models[call.trace_id].append((call.started_ns, call.ended_ns))
    return facts


def _bin(since_ns: int, width_ns: int, runs: Iterable[RunSeen], facts: _Facts) -> Bin:
    some = list(runs)
    statuses = Counter(run.status for run in some)
    ended = sum(count for status, count in statuses.items() if status not in _OPEN)
    wall, in_models, own = _times(some, facts)
    known = [run.cost_nusd for run in some if not run.unpriced]
    return Bin(
        since_ns=since_ns,
        until_ns=since_ns + width_ns,
        runs=len(some),
        completion=share(statuses["completed"], ended),
        errors=share(statuses["failed"], ended),
        fallback=share(sum(run.trace_id in facts.fell_back for run in some), len(some)),
        escalation=share(sum(run.escalations > 0 for run in some), len(some)),
        retry=share(sum(run.trace_id in facts.retried for run in some), len(some)),
        latency=Latency.of(run.ended_ns - run.started_ns for run in some if run.ended_ns is not None),
        model_share=in_models / wall if wall else None,
        own_share=own / wall if wall else None,
        cost_nusd=sum(run.cost_nusd for run in some),
        mean_nusd=fmean(known) if known else None,
        unpriced=len(some) - len(known),
    )


def _times(runs: Iterable[RunSeen], facts: _Facts) -> tuple[int, int, int]:
    wall = in_models = own = 0
    for run in runs:
        if run.ended_ns is None:
            continue
        models, outside = facts.models.get(run.trace_id, []), facts.outside.get(run.trace_id, [])
        wall += run.ended_ns - run.started_ns
        in_models += covered_ns(models, run.started_ns, run.ended_ns)
        own += run.ended_ns - run.started_ns - covered_ns([*models, *outside], run.started_ns, run.ended_ns)
    return wall, in_models, own
