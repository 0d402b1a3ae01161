"""Where a trace failed: the way from its root to the step that failed by itself, and what to look at first. Pure."""

from __future__ import annotations

from tracer.model import Failure, Step, Trace
from web.view.ordering import in_tree_order


def landing(trace: Trace) -> Step | None:
    """The step that a reader wants to see first: the failing leaf, the one that was running or that asks, or else the
    root."""
    path = red_path(trace)
    if path:
        return trace.step(path[-1])
    if trace.summary.status in ("running", "interrupted"):
        unfinished = [step for step, _ in in_tree_order(trace.steps) if step.ended_ns is None]
        if unfinished:
            return unfinished[-1]
    asked = next((step for step in trace.steps if step.kind == "human" and step.status == "waiting"), None)
    return asked or trace.root or (trace.steps[0] if trace.steps else None)


def red_path(trace: Trace) -> tuple[str, ...]:
    """Step ids from the root to the deepest step that failed and took the trace with it; empty if it did not fail."""
    root = trace.root
    if root is None or root.failure is None:
        return ()
    named = trace.step(trace.summary.failed_step_id) if trace.summary.failed_step_id else None
    return ancestry(trace, named) if named is not None else _descend(trace, root)


def same_failure(outer: Failure, inner: Failure) -> bool:
    """Whether ``outer`` is ``inner`` passing by, raised from it, or a group that holds it."""
    if (outer.type, outer.message) == (inner.type, inner.message):
        return True
    return any(same_failure(part, inner) for part in (*outer.group, *([outer.cause] if outer.cause else [])))


def source_of(trace: Trace, step: Step) -> Step | None:
    """The child whose failure this step only passed on; None where the step failed by itself."""
    if step.failure is None:
        return None
    for child in reversed(trace.children(step.step_id)):
        if child.failure is not None and same_failure(step.failure, child.failure):
            return source_of(trace, child) or child
    return None


def ancestry(trace: Trace, step: Step) -> tuple[str, ...]:
    """The ids from the root to a step, itself among them."""
    by_id = {one.step_id: one for one in trace.steps}
    path: list[str] = []
    at: Step | None = step
    while at is not None and at.step_id not in path:
        path.append(at.step_id)
        at = by_id.get(at.parent_id) if at.parent_id else None
    return tuple(reversed(path))


def _descend(trace: Trace, step: Step) -> tuple[str, ...]:
    leaf = source_of(trace, step)
    return ancestry(trace, leaf or step)
