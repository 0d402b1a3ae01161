"""A trace laid out once, for everything that is shown of it: its tree, its sums, what it waited for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

from tracer.model import Step, Trace
from web.view.critical import Stretch, critical_path
from web.view.folding import Families
from web.view.ordering import families_of, in_tree_order
from web.view.rollup import Totals, totals_of


@dataclass(frozen=True, slots=True)
class Laid:
    """``start`` and ``end`` are the first and the last nanosecond; the rest is by step id, see where each is made."""

    trace: Trace
    start: int
    end: int
    ordered: Sequence[tuple[Step, int]]
    families: Families
    totals: Mapping[str, Totals]
    critical: Mapping[str, tuple[Stretch, ...]]


def laid_out(trace: Trace, *, now_ns: int) -> Laid:
    """One pass each over the steps, however many there are."""
    families = families_of(trace.steps)
    ordered = in_tree_order(trace.steps)
    start, end = span_of(trace, now_ns=now_ns)
    root = trace.root
    critical = critical_path(root, families, end_ns=end) if root is not None else {}
    return Laid(trace, start, end, ordered, families, totals_of(ordered), critical)


def span_of(trace: Trace, *, now_ns: int) -> tuple[int, int]:
    """First and last nanosecond: a running trace reaches until now, an interrupted one to its last sign."""
    if not trace.steps:
        return trace.summary.started_ns, trace.summary.started_ns + 1
    start = min(step.started_ns for step in trace.steps)
    signs = [step.ended_ns or step.started_ns for step in trace.steps]
    end = max([*signs, now_ns]) if trace.summary.status == "running" else max(signs)
    return start, max(end, start + 1)
