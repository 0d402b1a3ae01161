"""Temporal: the running step, carried from a client through the Temporal workflow to the activities on any worker.

    client = await Client.connect(address, lazy=True, interceptors=[PlayheadInterceptor(workflows=[Support])])
    worker = Worker(client, ...)      # takes the interceptors of its client, which can't be a lazy one

    @activity.defn
    @workflow                         # playhead's: in a caller's trace a part of it, without one a trace of its own
    async def classify(ticket): ...

A workflow of playhead that starts Temporal workflows or activities with such a client is the parent of the
``@workflow``s that their activities are, on other machines as well, however often Temporal tries them. A header of
Temporal's carries it as W3C trace context: ids, no content. Temporal's workflow code itself is not recorded: Temporal
runs it again whenever it likes, and in there the header is only passed on.

**A replay starts nothing in Temporal**: activities on a worker could not be asked about, and their effects would happen
again. The step that starts the workflow is served whole; where the replay reaches into it, ``workflows`` says what runs
here instead (tracer.adapters.temporal_here), with its activities one by one served or asked for. ``activities`` are
needed there only if they are called by name, or are methods. Anything else ends the replay. ``lazy`` keeps the client
from looking for its server before it is needed.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

from temporalio import client, converter, worker, workflow

from tracer.adapters.temporal_here import Handle, Here
from tracer.carrier import nobody
from tracer.context import CURRENT
from tracer.guard import guard
from tracer.player import ReplayStopped
from tracer.propagation import continued, headers

_HEADER = "playhead"
#: What Temporal's headers hold: payloads, by name.
_Payloads = Mapping[str, Any]


class PlayheadInterceptor(client.Interceptor, worker.Interceptor):
    """For a client, and so for its workers; for a worker alone, where the client is somebody else's."""

    def __init__(self, workflows: Sequence[type] = (), activities: Sequence[Callable[..., Any]] = ()) -> None:
        self._here = Here(workflows, activities)

    def intercept_client(self, next: Any) -> client.OutboundInterceptor:
        return _Client(next, self._here)

    def workflow_interceptor_class(self, input: Any) -> type[worker.WorkflowInboundInterceptor]:  # noqa: ARG002
        return _Workflow

    def intercept_activity(self, next: Any) -> worker.ActivityInboundInterceptor:
        return _Activity(next)


def _carrying(started: str, given: _Payloads) -> _Payloads:
    """The headers of something that a client is about to start. Raises ReplayStopped in a replay."""
    step = CURRENT.get()
    if step is not None and step.is_replay:
        raise ReplayStopped(
            f"{step.path} hands {started} to Temporal, where a replay can't ask about its steps, so nothing was "
            "started: name it in PlayheadInterceptor(workflows=[...]), or let the step that does it be served"
        )
    with guard("carry the running step to Temporal"):
        if told := headers():
            return {**given, _HEADER: converter.PayloadConverter.default.to_payload(told)}
    return given


class _Client(client.OutboundInterceptor):
    def __init__(self, next: Any, here: Here) -> None:
        super().__init__(next)
        self._here = here

    async def start_workflow(self, input: Any) -> Any:
        step = CURRENT.get()
        if step is not None and step.is_replay and input.workflow in self._here.workflows and not input.start_signal:
            return Handle(self._here, input.workflow, input.args, input.id)
        input.headers = _carrying(input.workflow, input.headers)
        return await super().start_workflow(input)

    async def start_activity(self, input: Any) -> Any:
        input.headers = _carrying(input.activity_type, input.headers)
        return await super().start_activity(input)

    async def start_update_with_start_workflow(self, input: Any) -> Any:
        start = input.start_workflow_input
        start.headers = _carrying(start.workflow, start.headers)
        return await super().start_update_with_start_workflow(input)

    async def signal_workflow(self, input: Any) -> None:
        _carrying(f"the signal {input.signal}", {})
        await super().signal_workflow(input)

    async def start_workflow_update(self, input: Any) -> Any:
        _carrying(f"the update {input.update}", {})
        return await super().start_workflow_update(input)


class _Workflow(worker.WorkflowInboundInterceptor):
    def init(self, outbound: Any) -> None:
        super().init(_Passing(outbound))


class _Passing(worker.WorkflowOutboundInterceptor):
    """Runs inside Temporal's sandbox, over and over: it only passes on what the workflow was started with."""

    def _passed_on(self, input: Any) -> Any:
        if (told := workflow.info().headers.get(_HEADER)) is not None:
            input.headers = {**(input.headers or {}), _HEADER: told}
        return input

    def start_activity(self, input: Any) -> Any:
        return super().start_activity(self._passed_on(input))

    def start_local_activity(self, input: Any) -> Any:
        return super().start_local_activity(self._passed_on(input))

    async def start_child_workflow(self, input: Any) -> Any:
        return await super().start_child_workflow(self._passed_on(input))

    def continue_as_new(self, input: Any) -> Any:
        super().continue_as_new(self._passed_on(input))


class _Activity(worker.ActivityInboundInterceptor):
    async def execute_activity(self, input: Any) -> Any:
        told = None
        with guard("take up the step that Temporal carried"):
            if (payload := input.headers.get(_HEADER)) is not None:
                told = converter.PayloadConverter.default.from_payload(payload)
        if told is None:
            return await super().execute_activity(input)
        # The step that this worker happened to be started in is not the one that asked for this.
        with nobody(), continued(told):
            return await super().execute_activity(input)
