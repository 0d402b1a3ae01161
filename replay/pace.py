"""How long a served step takes on the virtual clock, and so in which order steps that run at once come to their ends.

Held back until the moment at which they ended in the record, they end in the recorded order, in tasks and in threads;
held back for a time that a seed draws, in any order that they might end in, the same for the same seed: a workflow
whose result depends on it has a race. What nothing ran beside takes no time in the recorded order.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Callable, Literal

from tracer.model import Step, Trace

Order = Literal["at-once", "recorded", "shuffled"]
#: A served step, and how many seconds after the workflow's begin it is asked for; gives the seconds that it takes.
Takes = Callable[[Step, float], float]

#: Seconds that the slowest step takes where a seed draws them.
_SLOWEST_S = 10.0
#: A replay is slower than the record here and there: so much later than recorded does each step end, and so much there
#: is at least between the ends of two.
_LEAD_S = 1.0
_APART_S = 0.05


def taken_by(order: Order, seed: int, trace: Trace) -> Takes | None:
    """How long each served step of this trace takes; None where they take no time."""
    if order == "recorded":
        due_s = _schedule(trace)
        return lambda step, at_s: max(0.0, due_s.get(step.step_id, 0.0) - at_s)
    if order == "shuffled":
        return lambda step, _: random.Random(f"{seed} {step.path}").uniform(0, _SLOWEST_S)  # noqa: S311 - no secret
    return None


def _schedule(trace: Trace) -> dict[str, float]:
    """When each step that others ran beside is to end, in seconds after the workflow's begin."""
    root = trace.root
    beside = _beside(trace)
    due_s: dict[str, float] = {}
    last_s = 0.0
    for step in sorted(beside, key=lambda step: step.ended_ns or 0):
        assert root is not None
        last_s = max(last_s + _APART_S, ((step.ended_ns or 0) - root.started_ns) / 1e9 + _LEAD_S)
        due_s[step.step_id] = last_s
    return due_s


def _beside(trace: Trace) -> list[Step]:
    """The ended steps that another step of the same parent ran beside, and those inside them."""
    below: dict[str | None, list[Step]] = defaultdict(list)
    for step in trace.steps:
        below[step.parent_id].append(step)
    found: list[Step] = []
    waiting = [(step, False) for step in below[None]]
    while waiting:
        parent, inside = waiting.pop()
        siblings = below.get(parent.step_id, [])  # in the order in which they began
        latest_ns = 0
        for at, step in enumerate(siblings):
            following = siblings[at + 1] if at + 1 < len(siblings) else None
            is_beside = (
                inside
                or step.started_ns < latest_ns
                or (following is not None and step.ended_ns is not None and following.started_ns < step.ended_ns)
            )
            latest_ns = max(latest_ns, step.ended_ns or 0)
            if is_beside and step.ended_ns is not None:
                found.append(step)
            waiting.append((step, is_beside))
    return found
