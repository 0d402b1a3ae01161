"""A run that ends because a human has to answer. It is not over: it goes on with the answer, in another process."""

from __future__ import annotations

#: The recorded value (``tracer.recorded``) by which a step of kind human gets its answer, a mapping: ``how`` it came
#: (``answered``, ``defaulted`` or ``expired``), ``by`` whom, and the ``value``, which expired ones have not.
ANSWER = "answer"
#: The tag of a waiting step that says until when an answer is waited for, in nanoseconds since the epoch.
DUE = "due_ns"


class Waiting(BaseException):
    """The workflow ends here until ``question`` is answered; its trace is ``trace_id``, the step that asks ``step_id``.

    Not an Exception, so that the workflow's own handlers can't swallow it. ``finally`` blocks run.
    """

    def __init__(self, question: str, trace_id: str, step_id: str) -> None:
        self.question = question
        self.trace_id = trace_id
        self.step_id = step_id
        super().__init__(question, trace_id, step_id)

    def __str__(self) -> str:
        return f"trace {self.trace_id[:16]} waits for an answer to: {self.question}"


def waiting_in(error: BaseException | None) -> Waiting | None:
    """The question that a run ended with; None where it ended with something else, or with something else as well.

    A group of tasks wraps what ended it.
    """
    if isinstance(error, Waiting):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    parts = [waiting_in(part) for part in error.exceptions]
    return parts[0] if all(parts) else None
