"""Which recorded steps a resumed run makes again: those whose failure ended it, or that its end cut off. Pure.

A resume serves what finished and goes on from there. A failure that the workflow dealt with (a retry, a fallback)
belongs to what finished: making it again could send the run another way. A failure that it did not deal with is what
the resume is for. A failed step is of the second kind where everything around it failed as well, and its error is the
one that ended the workflow, or nothing was begun after it in the same place.

A run that ended waiting for a human failed at nothing; but what ran beside the question may have been cancelled for it.
"""

from __future__ import annotations

from typing import Iterator, Sequence

from replay.errors import PlanError
from replay.record import Record
from tracer.attempts import first_of
from tracer.model import Escalation, Failure, Step, Trace, TraceSummary


def check_resumable(trace: Trace, resumes: Sequence[TraceSummary], asked: Sequence[Escalation] = ()) -> None:
    """Raises PlanError where there is nothing to go on with, something that it ``asked`` is still open, or another run
    went on with it already."""
    summary = trace.summary
    gone_on = next((one for one in resumes if one.status in {"completed", "running", "waiting"}), None)
    if gone_on is not None:
        raise PlanError(
            f"trace {trace.trace_id[:16]} was resumed already: {gone_on.trace_id[:16]} is {gone_on.status}. Once more "
            "with --again, which may do things twice"
        )
    if summary.status == "completed":
        raise PlanError(f"trace {trace.trace_id[:16]} completed: there is nothing to resume; replay it instead")
    if asked:
        one = asked[0]
        raise PlanError(
            f"trace {trace.trace_id[:16]} waits for an answer ({one.path}): playhead escalations answer "
            f"{trace.trace_id[:16]} ANSWER resumes it"
        )
    if summary.status == "running":
        raise PlanError(f"trace {trace.trace_id[:16]} still runs: a second run beside it would do things twice")


def made_again(record: Record) -> frozenset[str]:
    """The ids of the failed or cancelled steps that run again."""
    root = record.trace.root
    if root is None or root.outcome == "ok":
        return frozenset()
    if root.outcome == "waiting":
        return _whole_calls(_cancelled_for_it(record), record)
    ended_it = {} if root.failure is None else dict.fromkeys(_said(root.failure))
    found: set[str] = set()
    waiting = [step for step in record.below(root.step_id) if _is_unhandled(step, record, ended_it)]
    while waiting:
        step = waiting.pop()
        found.add(step.step_id)
        waiting += [each for each in record.below(step.step_id) if _is_unhandled(each, record, ended_it)]
    return _whole_calls(found, record)


def _cancelled_for_it(record: Record) -> set[str]:
    """The steps that were cancelled once the run had asked: without the question, they would have ended."""
    asked_ns = [step.ended_ns or 0 for step in record.trace.steps if step.kind == "human" and step.outcome == "waiting"]
    first_ns = min(asked_ns, default=0)
    steps = record.trace.steps
    return {step.step_id for step in steps if step.outcome == "cancelled" and (step.ended_ns or 0) >= first_ns}


def _whole_calls(found: set[str], record: Record) -> frozenset[str]:
    """An SDK's last attempt is not made again without those before it: the call begins anew."""
    calls = {first_of(step) or step.step_id for step in record.trace.steps if step.step_id in found}
    return frozenset(found | {step.step_id for step in record.trace.steps if first_of(step) in calls} | calls)


def _is_unhandled(step: Step, record: Record, ended_it: dict[tuple[str, str], None]) -> bool:
    if step.outcome != "failed" or step.failure is None:
        return False
    if (step.failure.type, step.failure.message) in ended_it:
        return True
    ended_ns = step.ended_ns or step.started_ns
    assert step.parent_id is not None
    return all(other.started_ns < ended_ns for other in record.below(step.parent_id) if other is not step)


def _said(failure: Failure) -> Iterator[tuple[str, str]]:
    """The error that ended a workflow, what caused it, and what a group of errors holds."""
    waiting = [failure]
    while waiting:
        one = waiting.pop()
        yield one.type, one.message
        waiting += [*([one.cause] if one.cause is not None else []), *one.group]
