from __future__ import annotations

import asyncio

import pytest

from tests import recording
from tests.recording import Project, path_of
from tracer import current, span, step, workflow
from tracer.context import CURRENT

#: Every test here records into a project of its own.
project = recording.project


class TestSpan:
    def test_a_block_is_a_step_with_input_output_and_tags(self, project: Project) -> None:
        @workflow
        def flow() -> None:
            with span("rerank", kind="reranker", input=[3, 1], tags={"k": 2}) as block:
                block.output = [1, 3]
                assert current() is block
            assert current() is not block

        found = project.record(flow).steps[1]
        assert (found.kind, found.path, found.tags) == ("reranker", "flow/rerank", {"k": 2})
        assert (project.value(found, "input"), project.value(found)) == ([3, 1], [1, 3])

    def test_without_an_output_none_is_made_up(self, project: Project) -> None:
        @workflow
        def flow() -> None:
            with span("quiet"):
                pass

        found = project.record(flow).steps[1]
        assert (found.input, found.output, found.status) == (None, None, "completed")

    def test_an_exception_goes_through_and_what_was_told_stays(self, project: Project) -> None:
        @workflow
        def flow() -> None:
            with span("broken") as block:
                block.output = "so far"
                raise LookupError("no")

        trace = project.record(flow)
        assert isinstance(project.raised, LookupError)
        assert trace.steps[1].status == "failed"
        assert project.value(trace.steps[1]) == "so far"

    def test_one_object_can_be_used_again_and_inside_itself(self, project: Project) -> None:
        block = span("again", tags={"a": 1})

        @workflow
        def flow() -> None:
            with block, block:
                pass
            with block:
                pass

        assert path_of(project.record(flow)) == ["flow", "flow/again", "flow/again/again", "flow/again[1]"]
        with block as outside:
            outside.output = 1
        assert CURRENT.get() is None

    def test_in_async_code_it_belongs_to_its_task(self, project: Project) -> None:
        @step
        async def leaf(name: str) -> None:
            await asyncio.sleep(0)

        async def branch(name: str) -> None:
            with span(name):
                await asyncio.sleep(0)
                await leaf(name)

        @workflow
        async def flow() -> None:
            await asyncio.gather(branch("a"), branch("b"))

        trace = project.record(lambda: asyncio.run(flow()))
        assert sorted(path_of(trace)) == ["flow", "flow/a", "flow/a/leaf", "flow/b", "flow/b/leaf"]


class TestOutsideAWorkflow:
    def test_everything_can_be_said_and_nothing_is_kept(self, project: Project) -> None:
        with span("s") as block:
            block.output = "x" * 10
            block.set(tags={"a": 1}, model="m", usage=None)
        current().score("quality", 1.0)
        current().output = "kept?"
        assert current().output is None
        assert (current().trace_id, current().step_id, current().is_replay) == (None, None, False)
        assert project.traces() == []

    def test_what_a_step_says_wrongly_is_our_problem_under_strict_only(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLAYHEAD_STRICT", "0")
        project.degraded = {"describe a step"}

        @workflow
        def flow() -> int:
            current().set(usage=5)  # type: ignore[arg-type]
            return 1

        assert project.value(project.record(flow).root) == 1
