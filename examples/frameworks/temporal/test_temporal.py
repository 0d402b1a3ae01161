"""Temporal's activities belong to the step that started the workflow, whichever worker runs them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import AsyncIterator
from uuid import uuid4

import pipeline
import pytest
import worker
from temporalio.client import Client, WorkflowFailureError, WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from replay import Replay, live, replay, stand_in, substitute
from tracer import Target, recorder, step, workflow
from tracer.adapters.temporal import PlayheadInterceptor
from tracer.model import Trace
from tracer.reading import open_reading

#: Temporal itself, in memory, on a port of its own.
SERVER = {
    "dev_server_existing_path": str(Path(sys.executable).with_name("temporal")),
    "dev_server_log_level": "error",
    "dev_server_startup_timeout": timedelta(seconds=60),
}
TICKET = "My card was charged twice: billing is wrong"
#: What is recorded below the step that starts the Temporal workflow: parents in brackets.
TREE = [
    ("support", None),
    ("durably", "support"),
    ("classify", "durably"),
    ("chat", "classify"),
    ("draft", "durably"),
    ("chat", "draft"),
    ("chat", "draft"),
    ("polish", "durably"),
    ("chat", "polish"),
    ("send", "durably"),
    ("deliver", "send"),
]


@contextlib.asynccontextmanager
async def server() -> AsyncIterator[None]:
    """Temporal itself, in memory, on a port of its own."""
    async with await WorkflowEnvironment.start_local(**SERVER) as env:
        os.environ["TEMPORAL_ADDRESS"] = env.client.service_client.config.target_host
        yield


@contextlib.asynccontextmanager
async def worker_elsewhere() -> AsyncIterator[int]:
    """A worker in a process of its own, which ends before this does."""
    process = subprocess.Popen(  # noqa: ASYNC220 - it starts at once
        [sys.executable, worker.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        yield process.pid
        await asyncio.to_thread(process.communicate, timeout=30)
    finally:
        process.kill()
        process.wait()


async def answered() -> str:
    async with server(), worker_elsewhere():
        return await pipeline.support(TICKET)


def tree(trace: Trace) -> list[tuple[str, str | None]]:
    names = {each.step_id: each.name for each in trace.steps}
    return [(each.name, None if each.parent_id is None else names[each.parent_id]) for each in trace.steps]


def all_traces() -> list[Trace]:
    """Oldest first."""
    assert recorder.flush()
    with open_reading() as store:
        return [store.trace(each.trace_id) for each in reversed(store.traces())]


@pytest.fixture(autouse=True)
def address(monkeypatch):
    monkeypatch.setenv("TEMPORAL_ADDRESS", "nowhere")


class TestActivitiesOnAWorkerElsewhere:
    def test_are_below_the_step_that_started_the_workflow(self, provider, record, calls):
        trace = record(answered)
        assert tree(trace) == TREE
        assert {each.status for each in trace.steps} == {"completed"}
        assert Counter(row[2:] for row in calls(trace)) == provider.counted
        assert provider.counted.total() == 4

    def test_are_replayed_without_a_server_a_worker_or_a_model(self, provider, record, replay_offline):
        replay_offline(record(answered))

    def test_each_try_of_temporals_is_a_step(self, provider, record, replay_offline):
        provider.fail(429)
        trace = record(answered)
        tries = [each for each in trace.steps if each.name == "classify"]
        assert [each.status for each in tries] == ["failed", "completed"]
        assert tries[0].failure.type == "RateLimitError"
        assert trace.summary.status == "completed"
        replay_offline(trace)

    def test_belong_to_their_caller_though_the_worker_began_in_another_step(self, provider, record):
        @workflow
        async def hosting() -> str:
            return await beside()

        @step
        async def beside() -> str:
            with ThreadPoolExecutor() as threads:
                async with worker.made(await pipeline.connected(), threads):
                    return await asyncio.create_task(pipeline.support(TICKET))

        async def run() -> None:
            async with server():
                await hosting()

        trace = record(run)
        below = [(name, parent) for name, parent in tree(trace) if name not in {"hosting", "beside"}]
        assert below == [("support", "beside"), *TREE[1:]]

    def test_that_fail_for_good_fail_in_the_replay_as_they_did(self, provider, record, replay_offline):
        provider.fail(429, 429, 429)
        trace = record(answered, raises=WorkflowFailureError)
        assert [each.status for each in trace.steps if each.name == "classify"] == ["failed"] * 3
        replay_offline(trace)


class TestAReplayThatReachesIntoActivities:
    def test_runs_the_workflow_in_this_process_and_asks_for_what_changed_alone(self, provider, record):
        trace = record(answered)
        provider.reset()
        mine = Target("mine", call=lambda _: "Yours.")
        result = replay(trace.trace_id, substitute("polish", model=mine), stand_in("deliver", "kept"))
        assert (result.stopped, result.error, result.output) == (None, None, "kept")
        assert result.live == 1
        assert provider.requests == []

    def test_stops_before_anything_is_started_in_temporal_if_it_was_not_told_the_workflow(
        self, provider, record, monkeypatch
    ):
        trace = record(answered)
        arrived, started, connected = len(provider.requests), [], pipeline.connected

        async def untold(**_) -> Client:
            return await Client.connect(os.environ["TEMPORAL_ADDRESS"], interceptors=[PlayheadInterceptor()])

        async def again() -> Replay:
            async with server():
                monkeypatch.setattr(pipeline, "connected", untold)
                result = replay(trace.trace_id, live("durably"))
                monkeypatch.setattr(pipeline, "connected", connected)
                started.extend([each async for each in (await connected()).list_workflows()])
                return result

        result = asyncio.run(again())
        assert "hands Support to Temporal" in str(result.stopped)
        assert (started, len(provider.requests)) == ([], arrived)


class TestTemporalsOwnReplayer:
    def test_runs_the_workflow_code_again_and_records_nothing(self, provider, record):
        histories: list[WorkflowHistory] = []

        async def run() -> None:
            async with server(), worker_elsewhere():
                await pipeline.support(TICKET)
                client = await pipeline.connected()
                found = client.list_workflows("WorkflowType IN ('Support', 'Delivery')")
                histories.extend([history async for history in found.map_histories()])

        trace = record(run)
        replayer = Replayer(workflows=[pipeline.Support, pipeline.Delivery], interceptors=[PlayheadInterceptor()])
        for history in histories:
            asyncio.run(replayer.replay_workflow(history))
        assert len(histories) == 2
        assert [tree(each) for each in all_traces()] == [tree(trace)]


class TestAnActivityWithoutACaller:
    def test_is_a_trace_of_its_own_and_is_replayed_as_a_plain_function(self, provider, replay_offline):
        async def run() -> None:
            async with server(), worker_elsewhere():
                client = await pipeline.connected()
                await client.execute_workflow(
                    pipeline.Support.run, TICKET, id=f"support-{uuid4()}", task_queue=pipeline.QUEUE
                )

        asyncio.run(run())
        traces = all_traces()
        assert [each.root.name for each in traces] == ["classify", "draft", "polish", "send"]
        replay_offline(traces[1])
