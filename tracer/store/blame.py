"""Which step a failed trace failed of: where the error arose, and not the steps it passed through; pure."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Callable, Iterator, Protocol, Sequence

from tracer.model import Failure
from tracer.store.rows import first_line

#: Kinds whose failure reaches the caller as an exception of the client library, and so under another name.
_AT_THE_WIRE = ("llm", "embedding", "http")


class FailedStep(Protocol):
    """The columns of a failed step that say where its error came from."""

    @property
    def step_id(self) -> str: ...
    @property
    def parent_id(self) -> str | None: ...
    @property
    def seq(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def ended_ns(self) -> int: ...
    @property
    def failure(self) -> bytes | None: ...
    @property
    def error_type(self) -> str | None: ...
    @property
    def error_message(self) -> str | None: ...


FailureOf = Callable[[bytes], Failure | None]
#: The id of the child of a step that ended last, or None.
LastChildOf = Callable[[str], str | None]


def where_it_failed(
    root: Any, failed: Sequence[Any], failure_of: FailureOf, last_child_of: LastChildOf
) -> dict[str, Any]:
    """Follow the error from the root down: from each failed step to the child whose error it is. ``failed`` are all
    failed steps of the trace, each one a FailedStep, like the root."""
    children: dict[str, list[FailedStep]] = defaultdict(list)
    for step in sorted(failed, key=lambda step: (step.ended_ns, step.seq), reverse=True):
        if step.parent_id is not None:
            children[step.parent_id].append(step)
    at: FailedStep = root
    while (below := _origin_below(at, children.pop(at.step_id, []), failure_of, last_child_of)) is not None:
        at = below
    return {
        "failed_step": at.name,
        "failed_step_id": at.step_id,
        "error_type": at.error_type,
        "error_message": at.error_message,
    }


def _origin_below(
    step: FailedStep, children: Sequence[FailedStep], failure_of: FailureOf, last_child_of: LastChildOf
) -> FailedStep | None:
    """The failed child that ``step`` failed of; None if the error is its own. ``children`` come latest first."""
    if not children:
        return None
    for child in children:
        if (child.error_type, child.error_message) == (step.error_type, step.error_message):
            return child
    reasons = set(_reasons(None if step.failure is None else failure_of(step.failure)))
    for child in children:
        if (child.error_type, child.error_message) in reasons:
            return child
    is_last = children[0].kind in _AT_THE_WIRE and children[0].step_id == last_child_of(step.step_id)
    return children[0] if is_last else None


def _reasons(failure: Failure | None) -> Iterator[tuple[str, str]]:
    """Class and first line of everything that a failure came from: its causes and the members of its groups."""
    waiting = [failure]
    while waiting:
        failure = waiting.pop()
        if isinstance(failure, Failure):  # a cause that could not be restored says nothing
            yield failure.type, first_line(failure.message)
            waiting += [failure.cause, *failure.group]
