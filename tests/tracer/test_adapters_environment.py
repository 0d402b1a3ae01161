"""Programs that inherit the environment find the running step in it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from replay import live, replay
from tests import recording
from tests.recording import Project
from tracer import effect, headers, workflow
from tracer.adapters.environment import handed_down

project = recording.project

JOB = """
import os
import tracer

@tracer.workflow
def work():
    return "done"

with tracer.continued(os.environ):
    work()
"""


def carried() -> dict[str, str]:
    return {name.lower(): value for name, value in os.environ.items() if name in {"TRACEPARENT", "TRACESTATE"}}


class TestWhatIsHandedDown:
    def test_makes_the_work_of_another_program_part_of_the_step_that_started_it(self, project: Project) -> None:
        script = project.script(JOB)

        @workflow
        def job() -> None:
            start()

        @effect
        def start() -> None:
            with handed_down():
                subprocess.run([sys.executable, str(script)], env=project.environment() | upper(carried()), check=True)

        trace = project.record(job)
        work, start_of_it = recording.step_named(trace, "work"), recording.step_named(trace, "start")
        assert work.parent_id == start_of_it.step_id
        assert project.value(work) == "done"

    def test_is_gone_afterwards_and_what_was_there_is_back(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TRACEPARENT", "before")
        monkeypatch.delenv("TRACESTATE", raising=False)
        seen = []

        @workflow
        def job() -> None:
            with handed_down():
                seen.extend([carried(), headers()])

        project.record(job)
        assert seen[0] == seen[1] != {}
        assert carried() == {"traceparent": "before"}

    def test_is_nothing_outside_a_workflow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TRACEPARENT", "of whoever started us")
        with handed_down():
            assert carried() == {}

    def test_is_each_steps_own_when_two_hand_down_at_once(self, project: Project) -> None:
        wrong = []

        @workflow
        def job() -> None:
            for _ in range(50):
                with handed_down():
                    if carried() != headers():
                        wrong.append(carried())

        threads = [threading.Thread(target=job) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_is_refused_by_a_replay_before_anything_is_started(self, project: Project) -> None:
        started = []

        @workflow
        def job() -> None:
            start()

        @effect
        def start() -> None:
            with handed_down():
                started.append("now")

        trace = project.record(job)
        result = replay(trace.trace_id, live("start"), fn=job)
        assert "nothing was started" in str(result.stopped)
        assert started == ["now"]


def upper(told: dict[str, str]) -> dict[str, str]:
    return {name.upper(): value for name, value in told.items()}
