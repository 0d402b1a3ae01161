"""Temporal's workflow code in this process, for a replay: no server, no worker, no history.

The workflow's own code runs on an event loop of its own, in front of a runtime that calls activities, and child
workflows, as the functions they are; arguments and results go through Temporal's converter as they would on the
wire, errors arrive wrapped as Temporal wraps them, and an activity that fails is tried again as its retry policy says,
without the waits. What a replay can't do here ends it, by name: signals, updates and queries, Nexus operations,
continuing as new. ``workflow.now()``, ``random()`` and ``uuid4()`` give new values.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Callable, NoReturn, Sequence

from temporalio import converter, exceptions, testing, workflow
from temporalio.activity import _Definition as Activity
from temporalio.api.failure.v1 import Failure
from temporalio.client import WorkflowFailureError
from temporalio.workflow import _Definition as Workflow

from tracer.player import ReplayStopped

_CONVERTER = converter.PayloadConverter.default
_FAILURES = converter.DefaultFailureConverter()
#: Where Temporal looks for the runtime of the workflow code that asks.
_RUNTIME = "__temporal_workflow_runtime"
#: How often a condition is looked at, in seconds.
_LOOK_S = 0.002


class Here:
    """The workflows and activities that can run in this process."""

    def __init__(self, workflows: Sequence[type], activities: Sequence[Callable[..., Any]]) -> None:
        self.workflows = {each.name: each for each in map(Workflow.must_from_class, workflows)}
        self.activities = {each.name: each for each in map(Activity.must_from_callable, activities)}

    def run(self, name: str, arguments: Sequence[Any], workflow_id: str) -> Any:
        """Run a workflow to its end, on this thread. Raises what its code does; ReplayStopped where it can't."""
        definition = self.workflows.get(name)
        if definition is None:
            raise ReplayStopped(f"Temporal's workflow {name} is none of PlayheadInterceptor(workflows=[...])")
        given = _sent(arguments, definition.arg_types)
        takes_them = getattr(definition.cls.__init__, "__temporal_workflow_init", False)
        with asyncio.Runner() as runner:
            setattr(runner.get_loop(), _RUNTIME, _Runtime(self, definition, workflow_id))

            async def whole() -> Any:
                code = definition.cls(*given) if takes_them else definition.cls()
                return await definition.run_fn(code, *given)

            (result,) = _sent([runner.run(whole())], definition.ret_type and [definition.ret_type])
        return result


class Handle:
    """Of a workflow that runs here: what can be asked of it is its result."""

    def __init__(self, here: Here, name: str, arguments: Sequence[Any], workflow_id: str) -> None:
        self.id = workflow_id
        self.run_id = self.result_run_id = self.first_execution_run_id = None
        self._ended = asyncio.create_task(asyncio.to_thread(here.run, name, arguments, workflow_id))

    async def result(self, **_: Any) -> Any:
        try:
            return await self._ended
        except exceptions.FailureError as error:
            raise WorkflowFailureError(cause=_received(error)) from error

    async def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise ReplayStopped(f"a replay can only wait for the result of {self.id}, which runs in this process")

    signal = query = execute_update = start_update = cancel = terminate = describe = _refuse


class _Child(workflow.ChildWorkflowHandle[Any, Any]):
    """A child workflow, on a thread of its own."""

    workflow_id = ""

    @property
    def id(self) -> str:
        return self.workflow_id

    @property
    def first_execution_run_id(self) -> str | None:
        return None

    async def signal(self, *_: Any, **__: Any) -> NoReturn:
        raise ReplayStopped(f"a replay can't signal {self.id}, which runs in this process")


class _Runtime:
    """What Temporal's functions for workflow code (``workflow.execute_activity`` and so on) turn to."""

    def __init__(self, here: Here, definition: Any, workflow_id: str) -> None:
        self.logger_details: dict[str, Any] = {}
        self._here = here
        self._definition = definition
        self._id = workflow_id
        #: Activities, children and timers that run: without any, only a signal could make a condition true.
        self._running = 0

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("workflow_"):
            raise AttributeError(name)
        what = name.removeprefix("workflow_").replace("_", " ")
        raise ReplayStopped(f"{self._definition.name} asks Temporal for something no replay has: {what}")

    # -- what it starts

    def workflow_start_activity(self, activity: Any, *args: Any, **options: Any) -> asyncio.Task[Any]:
        found = self._found(activity)
        return asyncio.create_task(self._counted(self._activity(found, args, options)))

    workflow_start_local_activity = workflow_start_activity

    def _found(self, wanted: Any) -> Any:
        definition = None if isinstance(wanted, str) else Activity.must_from_callable(wanted)
        name = wanted if definition is None else definition.name
        # A method that is named by its class is called on the object that the worker has.
        definition = self._here.activities.get(name) or definition
        if definition is None:
            raise ReplayStopped(f"Temporal's activity {name} is none of PlayheadInterceptor(activities=[...])")
        return definition

    async def _activity(self, found: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        hint = options.get("result_type") or found.ret_type
        policy = options.get("retry_policy")
        given = _sent(args, found.arg_types)
        attempt = 0
        while True:
            attempt += 1
            environment = testing.ActivityEnvironment()
            environment.info = replace(environment.info, activity_type=found.name, attempt=attempt)
            try:
                result = await asyncio.to_thread(_called, environment, found.fn, given)
            except Exception as error:  # noqa: BLE001 - whatever the activity raises
                if not _may_try_again(policy, attempt, error):
                    raise _wrapped_activity(found.name) from _received(error)
            else:
                return _sent([result], hint and [hint])[0]

    async def workflow_start_child_workflow(self, workflow: Any, *args: Any, id: str, **options: Any) -> _Child:  # noqa: ARG002
        name = workflow if isinstance(workflow, str) else _name_of(workflow)
        child = _Child(self._counted(self._child(name, args, id)), loop=asyncio.get_running_loop())
        child.workflow_id = id
        return child

    async def _child(self, name: str, args: Sequence[Any], workflow_id: str) -> Any:
        try:
            return await asyncio.to_thread(self._here.run, name, args, workflow_id)
        except exceptions.FailureError as error:
            raise _wrapped_child(name, workflow_id) from _received(error)

    async def _counted(self, work: Any) -> Any:
        self._running += 1
        try:
            return await work
        finally:
            self._running -= 1

    # -- what it waits for

    async def workflow_sleep(self, duration: float, **_: Any) -> None:
        await self._counted(asyncio.sleep(duration))

    async def workflow_wait_condition(self, fn: Callable[[], bool], *, timeout: float | None = None, **_: Any) -> None:  # noqa: ASYNC109
        async with asyncio.timeout(timeout):
            while not fn():
                if timeout is None and not self._running and (self._definition.signals or self._definition.updates):
                    raise ReplayStopped(
                        f"{self._definition.name} waits for a signal or an update, and no replay sends any"
                    )
                await asyncio.sleep(_LOOK_S)

    # -- what it knows

    def workflow_info(self) -> Any:
        return SimpleNamespace(
            workflow_id=self._id, workflow_type=self._definition.name, run_id="replay", attempt=1, task_queue="replay",
            namespace="replay", headers={}, parent=None, _logger_details=dict,
        )  # fmt: skip

    def workflow_time_ns(self) -> int:
        return time.time_ns()

    def workflow_random(self) -> random.Random:
        return random.Random()  # noqa: S311 - not a secret

    def workflow_patch(self, id: str, *, deprecated: bool, **_: Any) -> bool:  # noqa: ARG002
        return True

    def workflow_is_replaying(self) -> bool:
        return False

    def workflow_is_replaying_history_events(self) -> bool:
        return False

    def workflow_is_read_only(self) -> bool:
        return False

    def workflow_payload_converter(self) -> Any:
        return _CONVERTER

    def workflow_memo(self) -> dict[str, Any]:
        return {}

    def workflow_all_handlers_finished(self) -> bool:
        return True

    def workflow_upsert_search_attributes(self, *_: Any, **__: Any) -> None:
        """For Temporal's own index."""

    def workflow_set_current_details(self, details: str) -> None:
        """For Temporal's own page."""


def _called(environment: testing.ActivityEnvironment, function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """Off the loop of the workflow code, as on a worker."""
    result = environment.run(function, *args)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def _name_of(run: Any) -> str:
    return str((Workflow.must_from_class if isinstance(run, type) else Workflow.must_from_run_fn)(run).name)


def _sent(values: Sequence[Any], hints: Sequence[type] | None) -> list[Any]:
    """These values as the other side gets them."""
    hints = list(hints)[: len(values)] if hints and len(hints) >= len(values) else None
    return list(_CONVERTER.from_payloads(_CONVERTER.to_payloads(values), hints))


def _received(error: BaseException) -> BaseException:
    failure = Failure()
    _FAILURES.to_failure(error, _CONVERTER, failure)
    received: BaseException = _FAILURES.from_failure(failure, _CONVERTER)
    return received


def _may_try_again(policy: Any, attempt: int, error: Exception) -> bool:
    most = 0 if policy is None else policy.maximum_attempts
    named = () if policy is None else policy.non_retryable_error_types or ()
    kind = error.type if isinstance(error, exceptions.ApplicationError) else type(error).__name__
    is_final = isinstance(error, exceptions.ApplicationError) and error.non_retryable
    return not is_final and kind not in named and (not most or attempt < most)


def _wrapped_activity(name: str) -> exceptions.ActivityError:
    return exceptions.ActivityError(
        "Activity task failed", scheduled_event_id=0, started_event_id=0, identity="replay", activity_type=name,
        activity_id="0", retry_state=exceptions.RetryState.MAXIMUM_ATTEMPTS_REACHED,
    )  # fmt: skip


def _wrapped_child(name: str, workflow_id: str) -> exceptions.ChildWorkflowError:
    return exceptions.ChildWorkflowError(
        "Child Workflow execution failed", namespace="replay", workflow_id=workflow_id, run_id="replay",
        workflow_type=name, initiated_event_id=0, started_event_id=0,
        retry_state=exceptions.RetryState.RETRY_POLICY_NOT_SET,
    )  # fmt: skip
