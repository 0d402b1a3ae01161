"""Walking a run in the order in which it happened, one step at a time; and from failure to failure. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tracer import format as fmt
from tracer.model import Step, Trace


@dataclass(frozen=True, slots=True)
class Stepping:
    """Where one is: step ``number`` of ``total``, begun ``at`` after the run. Addresses are empty at the ends."""

    number: int
    total: int
    at: str
    previous: str = ""
    next: str = ""
    #: The nearest failures, round the end and on from the start; empty where nothing else failed.
    failed_before: str = ""
    failed_after: str = ""


def stepping(trace: Trace, step: Step, *, base: str) -> Stepping:
    """``trace.steps`` stand in the order in which they began, which is the order of the walk."""
    steps = trace.steps
    at = next(place for place, one in enumerate(steps) if one.step_id == step.step_id)
    failed = [place for place, one in enumerate(steps) if one.failure is not None and place != at]
    after = next((place for place in failed if place > at), failed[0] if failed else None)
    before = next((place for place in reversed(failed) if place < at), failed[-1] if failed else None)

    def address(place: int | None) -> str:
        return f"{base}step={steps[place].step_id}" if place is not None and 0 <= place < len(steps) else ""

    return Stepping(
        number=at + 1,
        total=len(steps),
        at=fmt.duration(step.started_ns - steps[0].started_ns) if at else "0",
        previous=address(at - 1),
        next=address(at + 1),
        failed_before=address(before),
        failed_after=address(after),
    )
