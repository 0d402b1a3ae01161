"""A trace as Chrome's trace events, which Perfetto, Speedscope and chrome://tracing show as a timeline. Pure.

The format is Google's "Trace Event Format": a complete event (``ph`` "X") for each step, microseconds, and lanes
(``tid``) in which events lie wholly inside one another. Steps that ran side by side get lanes of their own.
"""

from __future__ import annotations

from typing import Any

from tracer.export.rows import rows_of
from tracer.model import Step, Trace

#: Said of each step when it is clicked.
_TOLD = (
    *("path", "status", "origin", "model", "provider", "input_tokens", "output_tokens", "cost_nusd"),
    *("unpriced_because", "error_type", "error_message", "step_id"),
)


def document(trace: Trace) -> dict[str, Any]:
    """The trace as one JSON object. A step that has not ended reaches to the last moment that is known."""
    last_ns = max((each for step in trace.steps for each in (step.started_ns, step.ended_ns or 0)), default=0)
    lanes = _lanes(trace, last_ns)
    about = {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": trace.summary.workflow}}
    events = [
        {
            "ph": "X",
            "name": step.path.rsplit("/", 1)[-1],
            "cat": step.kind,
            "pid": 1,
            "tid": lanes[step.step_id],
            "ts": step.started_ns / 1e3,
            "dur": (_end(step, last_ns) - step.started_ns) / 1e3,
            "args": {name: row[name] for name in _TOLD if row[name] is not None},
        }
        for step, row in zip(trace.steps, rows_of(trace, None), strict=True)
    ]
    return {
        "traceEvents": [about, *events],
        "displayTimeUnit": "ms",
        "otherData": {"trace_id": trace.trace_id, "status": trace.summary.status},
    }


def _end(step: Step, last_ns: int) -> int:
    return max(step.started_ns, last_ns if step.ended_ns is None else step.ended_ns)


def _lanes(trace: Trace, last_ns: int) -> dict[str, int]:
    """Step -> lane: its parent's, where nothing else is open below that; else the first in which nothing is open."""
    lanes: dict[str, int] = {}
    # what is open in each lane, the innermost last: until when, and which step
    opened: list[list[tuple[int, str | None]]] = []
    for step in sorted(trace.steps, key=lambda one: (one.started_ns, -_end(one, last_ns), one.seq)):
        for stack in opened:
            while stack and stack[-1][0] <= step.started_ns:
                stack.pop()
        end, own = _end(step, last_ns), lanes.get(step.parent_id or "")
        if own is None or not opened[own] or opened[own][-1][0] < end or opened[own][-1][1] != step.parent_id:
            own = next((lane for lane, stack in enumerate(opened) if not stack), len(opened))
        if own == len(opened):
            opened.append([])
        opened[own].append((end, step.step_id))
        lanes[step.step_id] = own
    return lanes
