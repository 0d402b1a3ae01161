from __future__ import annotations

import asyncio
import gc
from typing import Any, AsyncIterator, Iterator

import pytest

from tests import recording
from tests.recording import Project, path_of, step_named
from tracer import current, span, step, workflow
from tracer.codec import Yielded
from tracer.context import CURRENT

#: Every test here records into a project of its own.
project = recording.project


@step
def leaf(x: Any) -> Any:
    return x


@step
def echo(n: int) -> Any:
    """Gives what it was sent, takes one error in, and returns a word."""
    got: list[Any] = []
    for number in range(n):
        try:
            got.append((yield number))
        except KeyError as error:
            got.append(str(error))
    return got


@step
async def async_echo(n: int) -> Any:
    got: list[Any] = []
    for number in range(n):
        await asyncio.sleep(0)
        try:
            got.append((yield number))
        except KeyError as error:
            got.append(str(error))
    yield got


class TestGenerators:
    def test_what_was_given_and_returned_is_recorded(self, project: Project) -> None:
        @workflow
        def flow() -> Any:
            return (yield from echo(2))

        trace = project.record(lambda: list(flow()))
        assert project.value(step_named(trace, "echo")) == Yielded((0, 1), [None, None])
        assert trace.summary.status == "completed"

    def test_send_throw_and_the_return_value_go_through(self, project: Project) -> None:
        @workflow
        def flow() -> list[Any]:
            running = echo(3)
            given = [next(running), running.send("a"), running.throw(KeyError("b"))]
            with pytest.raises(StopIteration) as stop:
                running.send("c")
            return [given, stop.value.value]

        assert project.value(project.record(flow).root) == [[0, 1, 2], ["a", "'b'", "c"]]

    def test_the_step_runs_only_while_its_own_frame_does(self, project: Project) -> None:
        @step
        def giving() -> Iterator[int]:
            for number in range(2):
                leaf(number)
                yield number

        @workflow
        def flow() -> None:
            for number in giving():
                leaf(number)

        assert sorted(path_of(project.record(flow))) == [
            "flow",
            "flow/giving",
            "flow/giving/leaf",
            "flow/giving/leaf[1]",
            "flow/leaf",
            "flow/leaf[1]",
        ]

    def test_two_generators_in_turns_do_not_mix(self, project: Project) -> None:
        @step
        def giving(name: str) -> Iterator[str]:
            for _ in range(3):
                yield leaf(name)

        @workflow
        def flow() -> None:
            for _ in zip(giving("a"), giving("b"), strict=True):
                pass

        trace = project.record(flow)
        for parent in trace.children(trace.steps[0].step_id):
            name = project.value(parent, "input")["name"]
            assert [project.value(child) for child in trace.children(parent.step_id)] == [name] * 3

    def test_closed_early_it_is_cancelled_with_what_it_gave(self, project: Project) -> None:
        cleaned: list[str] = []

        @step
        def giving() -> Iterator[int]:
            try:
                yield 1
                yield 2
            finally:
                cleaned.append(current().path)  # type: ignore[union-attr]

        @workflow
        def flow() -> None:
            running = giving()
            next(running)
            running.close()

        given = step_named(project.record(flow), "giving")
        assert cleaned == ["flow/giving"]
        assert given.status == "cancelled"
        assert project.value(given) == Yielded((1,), None)

    def test_an_error_while_it_is_closed_ends_it_and_goes_on(self, project: Project) -> None:
        @step
        def giving() -> Iterator[int]:
            try:
                yield 1
            finally:
                raise OSError("in cleaning up")

        @workflow
        def flow() -> None:
            running = giving()
            next(running)
            running.close()

        trace = project.record(flow)
        assert isinstance(project.raised, OSError)
        assert [each.status for each in trace.steps] == ["failed", "failed"]

    def test_an_error_in_the_middle_keeps_what_was_given(self, project: Project) -> None:
        error = ValueError("third")

        @step
        def giving() -> Iterator[int]:
            yield from (1, 2)
            raise error

        trace = project.record(workflow(name="flow")(lambda: list(giving())))
        assert project.raised is error
        given = project.value(step_named(trace, "giving"))
        assert given.items == (1, 2)
        assert str(given.returned) == "third"

    def test_an_item_that_is_changed_later_is_kept_as_it_was_given(self, project: Project) -> None:
        @step
        def states() -> Iterator[dict[str, int]]:
            state = {"n": 0}
            for number in range(3):
                state["n"] = number
                yield state

        trace = project.record(workflow(name="flow")(lambda: [dict(each) for each in states()]))
        assert project.value(step_named(trace, "states")).items == ({"n": 0}, {"n": 1}, {"n": 2})

    def test_one_that_is_never_asked_leaves_nothing(self, project: Project) -> None:
        assert path_of(project.record(workflow(name="flow")(lambda: echo(2) and None))) == ["flow"]

    def test_outside_a_workflow_it_is_the_plain_generator(self) -> None:
        running = echo(2)
        assert [next(running), running.send(5)] == [0, 1]
        running.close()
        assert CURRENT.get() is None


class TestAsyncGenerators:
    def test_asend_athrow_and_the_end_go_through(self, project: Project) -> None:
        async def consume() -> list[Any]:
            running = async_echo(3)
            given = [await anext(running), await running.asend("a"), await running.athrow(KeyError("b"))]
            given.append(await running.asend("c"))
            with pytest.raises(StopAsyncIteration):
                await anext(running)
            return given

        flow = workflow(name="flow")(consume)
        trace = project.record(lambda: asyncio.run(flow()))
        expected = [0, 1, 2, ["a", "'b'", "c"]]
        assert project.value(trace.root) == expected
        assert project.value(step_named(trace, "async_echo")) == Yielded(tuple(expected), None)
        assert asyncio.run(consume()) == expected

    def test_closed_early_it_is_cancelled(self, project: Project) -> None:
        @workflow
        async def flow() -> None:
            running = async_echo(3)
            await anext(running)
            await running.aclose()

        trace = project.record(lambda: asyncio.run(flow()))
        assert [each.status for each in trace.steps] == ["completed", "cancelled"]

    def test_an_error_while_it_is_closed_ends_it(self, project: Project) -> None:
        @step
        async def giving() -> AsyncIterator[int]:
            try:
                yield 1
            finally:
                raise OSError("in cleaning up")

        @workflow
        async def flow() -> None:
            running = giving()
            await anext(running)
            await running.aclose()  # type: ignore[attr-defined]

        trace = project.record(lambda: asyncio.run(flow()))
        assert [each.status for each in trace.steps] == ["failed", "failed"]

    def test_consumed_across_tasks_its_steps_stay_below_it(self, project: Project) -> None:
        @step
        async def giving() -> AsyncIterator[int]:
            for number in range(3):
                await asyncio.sleep(0)
                yield leaf(number)

        @workflow
        async def flow() -> list[int]:
            running = giving()
            given = [await asyncio.create_task(anext(running)) for _ in range(3)]
            leaf("between")
            await asyncio.create_task(running.aclose())  # type: ignore[attr-defined]
            return given

        trace = project.record(lambda: asyncio.run(flow()))
        assert project.value(trace.root) == [0, 1, 2]
        assert path_of(trace) == [
            "flow",
            "flow/giving",
            "flow/giving/leaf",
            "flow/giving/leaf[1]",
            "flow/giving/leaf[2]",
            "flow/leaf",
        ]

    def test_one_that_is_left_to_the_loop_is_closed_by_it(self, project: Project) -> None:
        @workflow
        async def flow() -> int:
            async for number in async_echo(3):
                return number
            return -1

        trace = project.record(lambda: asyncio.run(flow()))
        gc.collect()
        assert project.value(trace.root) == 0
        assert trace.steps[1].status == "cancelled"

    def test_a_span_left_by_another_task_than_entered_it_ends_without_an_error(self, project: Project) -> None:
        async def giving() -> AsyncIterator[int]:
            with span("block"):
                yield 1

        @workflow
        async def flow() -> None:
            running = giving()
            await asyncio.create_task(anext(running))  # type: ignore[arg-type]
            await asyncio.create_task(running.aclose())  # type: ignore[attr-defined]

        trace = project.record(lambda: asyncio.run(flow()))
        assert [(each.path, each.status) for each in trace.steps] == [
            ("flow", "completed"),
            ("flow/block", "cancelled"),
        ]
