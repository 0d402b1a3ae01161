"""A step that runs on a thread stands below the step that started the thread, whoever owns the thread."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import recording
from tracer import current, step, threads, workflow
from tracer.context import CURRENT

project = recording.project
THEIRS: contextvars.ContextVar[str] = contextvars.ContextVar("theirs", default="nothing")


@step
def work(item: int) -> int:
    return item * 2


def parents(trace) -> dict[str, str | None]:
    names = {one.step_id: one.path for one in trace.steps}
    return {one.path: names.get(one.parent_id) for one in trace.steps}


class TestAPool:
    def test_runs_its_tasks_below_the_step_that_submitted_them(self, project) -> None:
        @step
        def spread(items):
            with ThreadPoolExecutor(4) as pool:
                return list(pool.map(work, items))

        @workflow
        def job():
            return spread(range(8))

        assert job() == [0, 2, 4, 6, 8, 10, 12, 14]
        found = parents(project.trace())
        assert set(found.values()) == {None, "job", "job/spread"}
        assert len(found) == 10

    def test_that_outlives_the_step_serves_others_as_before(self, project) -> None:
        with ThreadPoolExecutor(1) as pool:

            @workflow
            def job():
                return pool.submit(work, 1).result()

            assert job() == 2
            assert pool.submit(CURRENT.get).result() is None
            assert pool.submit(work, 2).result() == 4
            assert job() == 2
        assert [len(trace.steps) for trace in project.traces()] == [2, 2]

    def test_of_an_event_loop_is_no_exception(self, project) -> None:
        @workflow
        async def job():
            loop = asyncio.get_running_loop()
            return await asyncio.gather(*(loop.run_in_executor(None, work, item) for item in range(5)))

        assert asyncio.run(job()) == [0, 2, 4, 6, 8]
        assert set(parents(project.trace()).values()) == {None, "job"}

    def test_gives_the_error_of_a_task_as_it_is(self, project) -> None:
        @workflow
        def job():
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(int, "one").result()

        with pytest.raises(ValueError, match="invalid literal"):
            job()


class TestAThread:
    def test_runs_below_the_step_that_started_it(self, project) -> None:
        class Worker(threading.Thread):
            def run(self) -> None:
                work(1)

        @workflow
        def job():
            own = Worker()
            plain = threading.Thread(target=work, args=(2,))
            for thread in (own, plain):
                thread.start()
                thread.join()
            return own.run.__func__ is Worker.run

        assert job(), "the thread has its own run again"
        assert set(parents(project.trace()).values()) == {None, "job"}

    def test_that_a_thread_starts_stands_below_it_too(self, project) -> None:
        @step
        def outer():
            thread = threading.Thread(target=work, args=(1,))
            thread.start()
            thread.join()

        @workflow
        def job():
            thread = threading.Thread(target=outer)
            thread.start()
            thread.join()

        job()
        assert parents(project.trace())["job/outer/work"] == "job/outer"


class TestOtherContext:
    def test_is_not_carried_for_it_was_not_without_us(self, project) -> None:
        @workflow
        def job():
            THEIRS.set("something")
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(THEIRS.get).result()

        assert job() == "nothing"


class TestUninstalling:
    def test_gives_python_its_own_methods_back(self, project) -> None:
        @workflow
        def job():
            return current().trace_id

        job()
        assert hasattr(threading.Thread.start, "__wrapped__")
        threads.uninstall()
        assert not hasattr(threading.Thread.start, "__wrapped__")
        assert not hasattr(ThreadPoolExecutor.submit, "__wrapped__")
