"""Temporal's workflow code sees in a replay's process what it sees in Temporal."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import zoo
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from tracer.adapters.temporal_here import Here
from tracer.player import ReplayStopped

#: Temporal itself, in memory, on a port of its own.
SERVER = {
    "dev_server_existing_path": str(Path(sys.executable).with_name("temporal")),
    "dev_server_log_level": "error",
    "dev_server_startup_timeout": timedelta(seconds=60),
}
ANIMALS = ["a lion", "an owl"]


async def in_temporal() -> dict[str, object]:
    with ThreadPoolExecutor() as threads:
        async with (
            await WorkflowEnvironment.start_local(**SERVER) as env,
            Worker(
                env.client,
                task_queue="zoo",
                workflows=zoo.WORKFLOWS,
                activities=zoo.ACTIVITIES,
                activity_executor=threads,
            ),
        ):
            return await env.client.execute_workflow(zoo.Zoo.run, ANIMALS, id="zoo", task_queue="zoo")


def here(name, *arguments):
    return Here(zoo.WORKFLOWS, zoo.ACTIVITIES).run(name, arguments, "here")


class TestAWorkflowThatRunsHere:
    def test_sees_what_it_sees_in_temporal(self):
        assert here("The zoo", ANIMALS) == asyncio.run(in_temporal())

    def test_raises_what_its_code_raises(self):
        with pytest.raises(ApplicationError, match="no"):
            here("Cub", "bad")

    def test_stops_the_replay_where_only_a_signal_could_go_on(self):
        with pytest.raises(ReplayStopped, match="Patient waits for a signal or an update"):
            here("Patient")

    def test_stops_the_replay_where_it_asks_for_what_only_temporal_has(self):
        with pytest.raises(ReplayStopped, match="Endless asks Temporal for something no replay has: continue as new"):
            here("Endless")

    def test_stops_the_replay_at_a_child_or_an_activity_that_is_not_known(self):
        alone = Here([zoo.Patient, zoo.Zoo], [])
        with pytest.raises(ReplayStopped, match="workflow Cub is none of"):
            alone.run("Cub", ["Leo"], "here")
        with pytest.raises(ReplayStopped, match="workflow Cub is none of"):
            alone.run("The zoo", [ANIMALS], "here")
        without_names = Here([zoo.Zoo, zoo.Cub], [])
        with pytest.raises(ReplayStopped, match="activity named-otherwise is none of"):
            without_names.run("The zoo", [ANIMALS], "here")

    def test_leaves_no_thread_behind(self):
        before = threading.active_count()
        here("The zoo", ANIMALS)
        assert threading.active_count() == before
