"""Which step the end was waiting for at each moment: cut the time there, and the whole run ends sooner. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import Mapping, Sequence

from tracer.model import Step

#: From and to, in nanoseconds.
Stretch = tuple[int, int]


def critical_path(
    root: Step, families: Mapping[str, Sequence[Step]], *, end_ns: int
) -> Mapping[str, tuple[Stretch, ...]]:
    """By step id: the stretches that the run waited for this step itself, latest first.

    The stretches of all steps together cover the root's time once, without a gap. ``end_ns`` is the end of what has
    none yet.
    """
    found: dict[str, list[Stretch]] = defaultdict(list)
    waiting = [(root, root.started_ns, _end(root, end_ns))]
    while waiting:
        step, since, until = waiting.pop()
        at = until
        for ended, child in _latest_first(families.get(step.step_id, ()), until, end_ns):
            began = max(child.started_ns, since)
            # What ended after the one that was waited for ran beside it.
            if ended > at or began >= ended:
                continue
            if ended < at:
                found[step.step_id].append((ended, at))
            waiting.append((child, began, ended))
            at = began
        if since < at:
            found[step.step_id].append((since, at))
    return {step_id: tuple(stretches) for step_id, stretches in found.items()}


def _latest_first(children: Sequence[Step], until: int, end_ns: int) -> list[tuple[int, Step]]:
    ends = [(min(_end(child, end_ns), until), child) for child in children]
    return sorted(ends, key=lambda one: (-one[0], one[1].started_ns))


def _end(step: Step, end_ns: int) -> int:
    return end_ns if step.ended_ns is None else step.ended_ns
