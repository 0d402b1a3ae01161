"""The table of steps: where the time and the failures are. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Iterable, Mapping

from tracer.seen import StepSeen
from tracer.stats.rows import StepRow
from tracer.store import Filter
from web.view.contexts_of_figures import Cell, Grid, Head
from web.view.figures import cell, part, percent, times, took
from web.view.listing import trace_href
from web.view.narrowing import list_href
from web.view.overview import step_cost
from web.view.text import one_line

_OCCURRENCE = re.compile(r"\[\d+\]")
#: More rows than this are left out, with a word.
MOST_ROWS = 300


@dataclass(frozen=True, slots=True)
class Example:
    """The slowest step of a path."""

    trace_id: str
    path: str
    took_ns: int


def slowest_of(steps: Iterable[StepSeen]) -> Mapping[str, Example]:
    """By path, occurrences aside."""
    found: dict[str, Example] = {}
    plain: dict[str, str] = {}
    for step in steps:
        if step.ended_ns is None:
            continue
        name = plain.get(step.path) or plain.setdefault(step.path, _OCCURRENCE.sub("", step.path))
        took_ns = step.ended_ns - step.started_ns
        if name not in found or took_ns > found[name].took_ns:
            found[name] = Example(step.trace_id, step.path, took_ns)
    return found


def steps_grid(rows: Iterable[StepRow], slowest: Mapping[str, Example], wanted: Filter, total_nusd: int) -> Grid:
    some = list(rows)
    # the root of a run is in all of its time: what others take is measured by that
    total_ns = sum(row.total_ns for row in some if "/" not in row.name)
    decides = any(row.changed is not None for row in some)
    heads = (
        Head("Step", number=False),
        Head("Kind", number=False),
        *map(Head, ("Times", "Errors", "p50", "p95", "p99")),
        Head("Time in all", "of the time of all runs"),
        Head("Cost", "what the model calls in it cost, at any depth"),
        *([Head("Without it", "how often something else happened by it")] if decides else []),
        Head("Slowest"),
    )
    cells = tuple(
        _row(row, slowest.get(row.name), wanted, (total_nusd, total_ns), decides=decides) for row in some[:MOST_ROWS]
    )
    left = len(some) - MOST_ROWS
    return Grid(
        "Steps", heads, cells, note=f"{left:,} more steps are left out: narrow it to a workflow." if left > 0 else ""
    )


def _row(
    row: StepRow, slowest: Example | None, wanted: Filter, totals: tuple[int, int], *, decides: bool
) -> tuple[Cell, ...]:
    total_nusd, total_ns = totals
    workflow, _, inner = row.name.partition("/")
    name = row.name.rpartition("/")[2]
    of_step = replace(wanted, workflow=workflow, step=name if inner else None)
    failed = list_href(replace(of_step, statuses=("failed",))) if row.errors.value else ""
    return (
        Cell(one_line(name, 60), row.name if inner else "", list_href(of_step), depth=min(5, row.name.count("/"))),
        Cell(row.kind),
        Cell(f"{row.runs:,}", href=list_href(of_step)),
        cell(row.errors, percent, href=failed, bad=True),
        *times(row.latency),
        Cell(took(row.total_ns), share=part(row.total_ns, total_ns) if inner else ""),
        Cell("", "nothing in it calls a model") if row.cost_nusd is None else step_cost(row, total_nusd),
        *([Cell("") if row.changed is None else cell(row.changed, percent)] if decides else []),
        Cell("")
        if slowest is None
        else Cell(took(slowest.took_ns), "go to it", trace_href(slowest.trace_id, step=slowest.path)),
    )
