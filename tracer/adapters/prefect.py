"""Prefect: its own traffic kept out of the record, and its flows and tasks replayed as the functions they are.

    from tracer.adapters import prefect
    prefect.install()

    @flow
    @workflow          # playhead's, below Prefect's: the trace begins inside the flow run
    def support(ticket): ...

    @task(retries=2)
    @step              # each try of Prefect's is a step
    def classify(ticket): ...

Prefect carries context variables into its task runs, on threads too, so parents are right without this. What it mends:
the requests to Prefect's own API are no steps of the pipeline, and **a replay needs no Prefect server**. There, a flow
calls its function; a task calls its own, as often as ``retries`` and ``retry_condition_fn`` allow, without the delays;
``submit`` and ``map`` run it on a thread and give futures. No flow run is made, nothing is written to Prefect's
database or its caches: what a task got from a cache of Prefect's was never called, and is new in a replay.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from concurrent.futures import Future
from functools import wraps
from typing import Any, Callable, Mapping
from uuid import uuid4

from prefect import Flow, Task
from prefect.client import base
from prefect.exceptions import UpstreamTaskError
from prefect.futures import PrefectConcurrentFuture
from prefect.logging import disable_run_logger
from prefect.server.api.server import SubprocessASGIServer
from prefect.states import Completed, Failed, Pending
from prefect.task_runners import TaskRunner
from prefect.utilities.callables import get_call_parameters
from prefect.utilities.collections import visit_collection
from prefect.utilities.engine import resolve_to_final_result

from tracer import recorder
from tracer.carrier import nobody
from tracer.context import CURRENT
from tracer.player import ReplayStopped

Method = Callable[..., Any]

_lock = threading.Lock()
_installed = False


def install() -> None:
    """From now on, once for the process."""
    global _installed  # noqa: PLW0603 - the state of this process
    with _lock:
        if _installed:
            return
        _installed = True
    _hook(base.PrefectHttpxSyncClient, send=_unseen)
    _hook(base.PrefectHttpxAsyncClient, send=_unseen_async)
    _hook(SubprocessASGIServer, start=_unseen)
    _hook(Flow, __call__=_calling_a_flow)
    _hook(Task, __call__=_calling_a_task, submit=_submitting, map=_mapping)


def _hook(owner: Any, **wrappers: Callable[[Method], Method]) -> None:
    for name, wrapper in wrappers.items():
        method = getattr(owner, name)
        setattr(owner, name, wraps(method)(wrapper(method)))


# -- recording: Prefect's own traffic is nobody's --------------------------------------------------------------------


def _unseen(method: Method) -> Method:
    def call(*args: Any, **kwargs: Any) -> Any:
        with _nobodys():
            return method(*args, **kwargs)

    return call


def _unseen_async(method: Method) -> Method:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with _nobodys():
            try:
                return await method(*args, **kwargs)
            except ReplayStopped as stop:  # on a loop of Prefect's, whose thread only an Exception gets out of
                raise RuntimeError(str(stop)) from stop

    return call


def _nobodys() -> contextlib.AbstractContextManager[None]:
    """In a replay there is no engine, so what is asked of the API the pipeline asks itself: that is a request like any
    other, and ends the replay unless it is allowed."""
    return contextlib.nullcontext() if _is_replay() else nobody()


# -- a replay: the functions themselves ------------------------------------------------------------------------------


def _is_replay() -> bool:
    step = CURRENT.get()
    return recorder.awaited() is not None if step is None else step.is_replay


def _calling_a_flow(call: Method) -> Method:
    called_below = _calling_a_task(call)

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_replay():
            return call(self, *args, **kwargs)
        if CURRENT.get() is not None:  # a flow in a flow is tried again as a task is, within the one trace
            return called_below(self, *args, **kwargs)
        return _quietly_async(self.fn, *args, **kwargs) if self.isasync else _quietly(self.fn, *args, **kwargs)

    return called


def _quietly(function: Method, *args: Any, **kwargs: Any) -> Any:
    """The loggers of flow and task runs belong to runs, and here is none."""
    with disable_run_logger():
        return function(*args, **kwargs)


async def _quietly_async(function: Method, *args: Any, **kwargs: Any) -> Any:
    with disable_run_logger():
        return await function(*args, **kwargs)


def _calling_a_task(call: Method) -> Method:
    """The same for a flow in a flow."""

    def called(self: Any, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        if not _is_replay():
            return call(self, *args, return_state=return_state, wait_for=wait_for, **kwargs)
        parameters = get_call_parameters(self.fn, args, kwargs)
        if return_state:
            return _Here().submit(self, parameters, wait_for).state
        tried = _tried_async if self.isasync else _tried
        return tried(self, _ready(parameters, wait_for))

    return called


def _submitting(submit: Method) -> Method:
    def submitted(self: Any, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        if not _is_replay():
            return submit(self, *args, return_state=return_state, wait_for=wait_for, **kwargs)
        future = _Here().submit(self, get_call_parameters(self.fn, args, kwargs), wait_for)
        return future.state if return_state else future

    return submitted


def _mapping(map_each: Method) -> Method:
    def mapped(self: Any, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any) -> Any:
        if not _is_replay():
            return map_each(self, *args, return_state=return_state, wait_for=wait_for, **kwargs)
        parameters = get_call_parameters(self.fn, args, kwargs, apply_defaults=False)
        with _Here() as here:
            futures = here.map(self, parameters, wait_for)
        return [future.state for future in futures] if return_state else futures

    return mapped


def _ready(parameters: Mapping[str, Any], wait_for: Any) -> dict[str, Any]:
    """The parameters, once all that is waited for has ended. Raises UpstreamTaskError where that failed."""
    _resolved(wait_for, "wait_for")
    return {name: _resolved(value, name) for name, value in parameters.items()}


def _resolved(value: Any, name: str) -> Any:
    told = {"parameter_name": name}
    return visit_collection(value, resolve_to_final_result, return_data=True, remove_annotations=True, context=told)


def _tried(task: Any, parameters: Mapping[str, Any]) -> Any:
    for left in range(task.retries or 0, -1, -1):
        try:
            return _called(task, parameters)
        except Exception as error:
            if not left or not _may_try_again(task, error):
                raise
    return None


async def _tried_async(task: Any, parameters: Mapping[str, Any]) -> Any:
    for left in range(task.retries or 0, -1, -1):
        try:
            return await _called(task, parameters)
        except Exception as error:
            if not left or not await asyncio.to_thread(_may_try_again, task, error):
                raise
    return None


def _called(task: Any, parameters: Mapping[str, Any]) -> Any:
    if isinstance(task, Flow) and task.should_validate_parameters:
        parameters = task.validate_parameters(dict(parameters))
    bound = inspect.signature(task.fn).bind_partial()
    bound.arguments.update(parameters)
    return task.fn(*bound.args, **bound.kwargs)


def _may_try_again(task: Any, error: Exception) -> bool:
    condition = getattr(task, "retry_condition_fn", None)  # a flow has none
    if condition is None:
        return True
    verdict = condition(task, None, Failed(data=error, message=str(error)))
    return bool(asyncio.run(verdict) if inspect.iscoroutine(verdict) else verdict)


class _Done(PrefectConcurrentFuture[Any]):  # type: ignore[type-arg,unused-ignore]
    """The future of a task that runs here, and whose state Prefect's API knows nothing of."""

    @property
    def state(self) -> Any:
        self.wait()
        return self.wrapped_future.result()


class _Here(TaskRunner[Any]):  # type: ignore[type-arg,unused-ignore]
    """Runs each task on a thread of its own."""

    def duplicate(self) -> _Here:
        return _Here()

    def submit(self, task: Any, parameters: Any, wait_for: Any = None, dependencies: Any = None) -> Any:  # noqa: ARG002
        future: Future[Any] = Future()

        def run() -> None:
            try:
                given = _ready(parameters, wait_for)
                result = asyncio.run(_tried_async(task, given)) if task.isasync else _tried(task, given)
                future.set_result(Completed(data=result))
            except UpstreamTaskError as error:
                future.set_result(Pending(name="NotReady", message=str(error)))
            except Exception as error:  # noqa: BLE001 - whatever the task raises is its state
                future.set_result(Failed(data=error, message=str(error)))
            except BaseException as stop:  # noqa: BLE001 - the end of the replay, to whoever waits
                future.set_exception(stop)

        threading.Thread(target=run, name=f"replay of {task.name}").start()
        return _Done(uuid4(), future)
