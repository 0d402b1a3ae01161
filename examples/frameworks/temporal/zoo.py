"""Workflow code that does what Temporal offers it, and says what it saw."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError

SOON: dict[str, Any] = {"start_to_close_timeout": timedelta(seconds=20)}
THRICE = RetryPolicy(
    initial_interval=timedelta(milliseconds=1), maximum_attempts=3, non_retryable_error_types=["TypeError"]
)


@activity.defn
async def double(given: Any) -> Any:
    return [given, given]


@activity.defn(name="named-otherwise")
def attempts(until: int) -> int:
    if activity.info().attempt < until:
        raise LookupError(f"try {activity.info().attempt}")
    return activity.info().attempt


@activity.defn
def broken(kind: str) -> None:
    if kind == "final":
        raise ApplicationError("as it says", "detail", type="Final", non_retryable=True)
    raise {"type": TypeError, "value": ValueError}[kind](kind)


class Shelf:
    def __init__(self, book: str) -> None:
        self.book = book

    @activity.defn
    def take(self) -> str:
        return self.book


@workflow.defn
class Cub:
    @workflow.run
    async def run(self, name: str) -> str:
        if name == "bad":
            raise ApplicationError("no", type="Bad")
        return f"{name} of {workflow.info().workflow_type}"


@workflow.defn(name="The zoo")
class Zoo:
    @workflow.init
    def __init__(self, animals: list[str]) -> None:
        self.animals, self.fed = animals, 0

    async def feed(self) -> None:
        await asyncio.sleep(0.01)
        self.fed += 1

    async def failing(self, kind: str) -> list[Any]:
        try:
            await workflow.execute_activity(broken, kind, retry_policy=THRICE, **SOON)
        except ActivityError as error:
            cause = error.cause
            assert isinstance(cause, ApplicationError)
            return [error.activity_type, cause.type, cause.message, list(cause.details), cause.non_retryable]
        return []

    @workflow.run
    async def run(self, animals: list[str]) -> dict[str, Any]:
        feeding = [asyncio.create_task(self.feed()) for _ in animals]
        await workflow.wait_condition(lambda: self.fed == len(animals))
        await asyncio.gather(*feeding)
        try:
            await workflow.wait_condition(lambda: False, timeout=0.01)
        except TimeoutError:
            waited = "in vain"
        try:
            await workflow.execute_child_workflow(Cub.run, "bad")
        except ChildWorkflowError as error:
            child = [error.workflow_type, str(error.cause)]
        cub = await workflow.start_child_workflow(Cub.run, "Leo", id=f"{workflow.info().workflow_id}-cub")
        return {
            "doubled": await asyncio.gather(*(workflow.execute_activity(double, each, **SOON) for each in animals)),
            "a tuple": await workflow.execute_activity(double, (1, 2), **SOON),
            "tries": await workflow.execute_activity("named-otherwise", 3, retry_policy=THRICE, **SOON),
            "local": await workflow.execute_local_activity(attempts, 2, retry_policy=THRICE, **SOON),
            "a method": await workflow.execute_activity_method(Shelf.take, **SOON),
            "failed": [await self.failing(kind) for kind in ("final", "type", "value")],
            "child": [child, await cub, cub.id.endswith("-cub")],
            "patched": workflow.patched("a change"),
            "waited": waited,
            "kind": workflow.info().workflow_type,
        }


@workflow.defn
class Patient:
    def __init__(self) -> None:
        self.heard = False

    @workflow.signal
    def hear(self) -> None:
        self.heard = True

    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(double, 1, **SOON)
        await workflow.wait_condition(lambda: self.heard)


@workflow.defn
class Endless:
    @workflow.run
    async def run(self) -> None:
        workflow.continue_as_new()


WORKFLOWS: list[type] = [Zoo, Cub, Patient, Endless]
ACTIVITIES = [double, attempts, broken, Shelf("a book").take]
