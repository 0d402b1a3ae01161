"""What a reader gets: a trace as it was recorded, its steps and their parts. A process that only records has no need
of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Mapping

from tracer.model import Failure, Kind, Origin, Outcome, Status, Usage


@dataclass(frozen=True, slots=True)
class PayloadRef:
    """A recorded value, by address. ``lossy`` holds the paths of what can't be restored; empty means exact."""

    digest: str
    size: int
    lossy: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        return not self.lossy


@dataclass(frozen=True, slots=True)
class Cost:
    """Money, with the identity of the price it was computed from."""

    nusd: int
    price: str


@dataclass(frozen=True, slots=True)
class ModelCall:
    """What a step of kind llm or embedding adds: who was asked, who answered, what it used and what it cost."""

    provider: str | None = None
    model_asked: str | None = None
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost: Cost | None = None
    #: Why ``cost`` is None, in words for a reader ("no price known for this model"); None when it is known.
    unpriced_because: str | None = None
    first_token_ns: int | None = None
    finish_reason: str | None = None
    response_id: str | None = None
    status_code: int | None = None
    streamed: bool = False
    #: The provider's own word for what went wrong: ``rate_limit_error``. The step's failure is the client's exception.
    error_type: str | None = None
    #: How long the provider asked to wait before the next attempt.
    retry_after_s: float | None = None
    #: The provider's id for the exchange, which its support asks for.
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Something said about a step: while it ran a recorded value of chance or time, or a score; later, by a reader, a
    score or a note (``name`` is then who wrote it)."""

    kind: Literal["value", "score", "note"]
    name: str
    occurrence: int
    at_ns: int
    value: Any

    @property
    def is_added(self) -> bool:
        """Whether a reader added it: its moment is then its occurrence, while a run counts from 0."""
        return self.occurrence == self.at_ns


@dataclass(frozen=True, slots=True)
class Step:
    """One recorded unit of a trace. ``path`` reads like ``support/draft[1]/chat``: names from the root, with the
    occurrence under the same parent and name where it is not the first."""

    trace_id: str
    step_id: str
    parent_id: str | None
    seq: int
    name: str
    kind: Kind
    path: str
    occurrence: int
    started_ns: int
    ended_ns: int | None = None
    outcome: Outcome | None = None
    status: Status = "running"
    origin: Origin = "live"
    effect: bool = False
    input: PayloadRef | None = None
    output: PayloadRef | None = None
    #: Digest that a replay matches by: canonical bytes of the inputs before redaction, under the store's key.
    identity: str | None = None
    fingerprint: str | None = None
    failure: Failure | None = None
    call: ModelCall | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    #: In a replay: the recorded step that this one was matched with.
    source_step_id: str | None = None

    @property
    def duration_ns(self) -> int | None:
        return None if self.ended_ns is None else self.ended_ns - self.started_ns


@dataclass(frozen=True, slots=True)
class Entry:
    """How to find a workflow's function again: import ``module`` (with ``root`` on the path), then walk ``qualname``.

    ``file`` is the script for ``module == "__main__"``, and ``package`` what its relative imports are relative to.
    """

    module: str
    qualname: str
    file: str | None = None
    root: str | None = None
    package: str | None = None


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One row of the traces list: everything a reader scans for, no payload loaded."""

    trace_id: str
    workflow: str
    status: Status
    started_ns: int
    ended_ns: int | None = None
    version: str | None = None
    #: First human text of the input, one line, at most 200 characters.
    preview: str = ""
    #: The deepest failed step's name, class and first line of the message.
    failed_step: str | None = None
    failed_step_id: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    steps: int = 0
    model_calls: int = 0
    models: tuple[str, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nusd: int = 0
    #: Model calls whose cost is unknown; when above zero, ``cost_nusd`` is a floor, not the sum.
    unpriced: int = 0
    escalations: int = 0
    tags: Mapping[str, Any] = field(default_factory=dict)
    replay_of: str | None = None
    #: The run that this one went on with, which had failed, been killed, or waits.
    resume_of: str | None = None

    @property
    def duration_ns(self) -> int | None:
        return None if self.ended_ns is None else self.ended_ns - self.started_ns


@dataclass(frozen=True, slots=True)
class Escalation:
    """A question that a run ended with: the step that asked it, and what became of it."""

    trace_id: str
    step_id: str
    workflow: str
    path: str
    #: Digest of the question, as of every step's input: a run that goes on knows by it what was answered.
    identity: str | None
    asked_ns: int
    #: From when on the default is taken, or the question has expired; None: it waits for as long as it takes.
    due_ns: int | None
    #: The step's input: a mapping with the question, its options, schema, context and default.
    input: PayloadRef | None
    state: Literal["open", "answered", "defaulted", "expired", "withdrawn"] = "open"
    assignee: str | None = None
    #: None where ``state`` says that there is none.
    answer: Any = None
    closed_by: str | None = None
    closed_ns: int | None = None
    #: The run that went on with the answer; None where none has come to its end yet.
    resumed_as: str | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """One recorded execution of a workflow: its summary, how to run it again, and its steps in the order they began."""

    summary: TraceSummary
    entry: Entry | None
    steps: tuple[Step, ...]
    #: In a replay: the plan in the words of the command line, and what came of it (see replay.Report).
    plan: Mapping[str, Any] | None = None
    owner: str | None = None

    @property
    def trace_id(self) -> str:
        return self.summary.trace_id

    @property
    def root(self) -> Step | None:
        return next((step for step in self.steps if step.parent_id is None), None)

    def children(self, step_id: str | None) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.parent_id == step_id)

    def step(self, step_id: str) -> Step | None:
        return next((step for step in self.steps if step.step_id == step_id), None)

    def _repr_html_(self) -> str:
        """Its tree, for a notebook (tracer.notebook)."""
        return self._repr_mimebundle_()["text/html"]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 - by name
        from tracer.notebook import bundle  # noqa: PLC0415 - what draws is loaded by who looks

        return bundle(self)
