from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import functools
import inspect
import random
import subprocess
import sys
import threading
import traceback
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import tracer
from tests import recording
from tests.recording import ROOT, Project, path_of, step_named
from tracer import current, effect, span, step, workflow
from tracer.context import CURRENT
from tracer.errors import ConfigError
from tracer.model import Usage

#: Every test here records into a project of its own.
project = recording.project


@step
def double(x: int) -> int:
    return 2 * x


@step
async def later(x: int) -> int:
    await asyncio.sleep(0)
    return x


class TestWhatIsRecorded:
    def test_a_call_becomes_a_trace_with_inputs_by_name_and_its_output(self, project: Project) -> None:
        @workflow
        def answer(question: str, *rest: int, k: int = 3, **more: str) -> str:
            return question.upper()

        trace = project.record(answer, "hi", 1, 2, k=4, tone="dry")
        assert trace.summary.workflow == "answer"
        assert trace.summary.status == "completed"
        assert project.value(trace.root, "input") == {"question": "hi", "*rest": (1, 2), "k": 4, "tone": "dry"}
        assert project.value(trace.root) == "HI"

    def test_steps_count_under_the_same_parent_and_recursion_nests(self, project: Project) -> None:
        @step
        def down(n: int) -> int:
            return n if n == 0 else down(n - 1)

        @workflow
        def flow() -> None:
            down(2)
            down(0)

        assert path_of(project.record(flow)) == [
            "flow",
            "flow/down",
            "flow/down/down",
            "flow/down/down/down",
            "flow/down[1]",
        ]

    def test_a_workflow_in_a_workflow_is_a_step_of_it(self, project: Project) -> None:
        inner = workflow(name="inner")(lambda: double(1))
        project.record(workflow(name="outer")(inner))
        (trace,) = project.traces()
        assert path_of(trace) == ["outer", "outer/inner", "outer/inner/double"]

    def test_an_input_that_is_changed_later_is_kept_as_it_was(self, project: Project) -> None:
        @workflow
        def grow(items: list[int]) -> None:
            items.append(2)

        assert project.value(project.record(grow, [1]).root, "input") == {"items": [1]}

    def test_a_step_says_more_of_itself(self, project: Project) -> None:
        @step
        def judged() -> str:
            current().set(tags={"lang": "de"}, model="lr-2", usage={"input_tokens": 7}, output="short")
            current().score("quality", 0.5)
            current().score("quality", 0.75)
            return "long"

        @workflow(tags={"team": "a"}, version="v1")
        def flow() -> str:
            current().set(tags={"run": 1})
            return judged()

        trace = project.record(flow)
        said = step_named(trace, "judged")
        assert said.call is not None
        assert (said.tags, said.call.model, said.call.usage.input_tokens) == ({"lang": "de"}, "lr-2", 7)
        assert [(note.name, note.value) for note in said.notes] == [("quality", 0.5), ("quality", 0.75)]
        assert project.value(said) == "short"
        assert trace.summary.tags == {"team": "a", "run": 1}
        assert trace.summary.version == "v1"

    def test_whatever_a_step_says_of_itself_its_end_is_recorded(self, project: Project) -> None:
        @workflow
        def odd() -> None:
            current().set(tags={"when": dt.date(2026, 1, 1), "thing": object(), "half": "\ud800", "set": {1}})
            current().set(model="m", usage={"input_tokens": "many", "extra": object()})

        trace = project.record(odd)
        assert trace.summary.status == "completed"
        assert trace.summary.tags["when"] == "2026-01-01"

    def test_usage_may_be_given_as_our_own_class(self, project: Project) -> None:
        @workflow
        def flow() -> None:
            current().set(model="m", usage=Usage(input_tokens=3, output_tokens=4))

        call = project.record(flow).steps[0].call
        assert call is not None
        assert (call.usage.input_tokens, call.usage.output_tokens) == (3, 4)

    def test_time_and_chance_are_kept_as_notes(self, project: Project) -> None:
        given: list[Any] = []

        @workflow
        def flow() -> None:
            given.extend([tracer.now(), tracer.random(), tracer.uuid4(), tracer.random()])

        notes = project.record(flow).steps[0].notes
        assert [note.value for note in notes] == given
        assert [(note.name, note.occurrence) for note in notes] == [
            ("now", 0),
            ("random", 0),
            ("uuid4", 0),
            ("random", 1),
        ]
        assert isinstance(given[2], uuid.UUID)

    def test_nothing_is_taken_from_the_sequence_that_the_program_seeded(self, project: Project) -> None:
        @workflow
        def flow() -> None:
            step(lambda: "x" * 5_000, name="made")()

        tracer.configure(sample=0.5)
        random.seed(7)
        expected = random.random()
        random.seed(7)
        for _ in range(5):
            flow()
        assert tracer.flush()
        assert random.random() == expected

    def test_any_value_from_outside_can_be_recorded(self, project: Project) -> None:
        @workflow
        def flow() -> Any:
            return tracer.recorded("weather", lambda: {"sun": True})

        trace = project.record(flow)
        assert [(note.name, note.value) for note in trace.steps[0].notes] == [("weather", {"sun": True})]
        assert project.value(trace.root) == {"sun": True}

    def test_a_model_that_is_a_function_is_named(self, project: Project) -> None:
        @step(kind="llm", model="intent-lr")
        def classify(text: str) -> str:
            return "billing"

        called = project.record(workflow(lambda: classify("x"))).steps[1]
        assert called.call is not None
        assert (called.kind, called.call.model, called.call.model_asked) == ("llm", "intent-lr", "intent-lr")


class TestEveryKindOfCallable:
    def test_async_functions(self, project: Project) -> None:
        @workflow
        async def flow() -> int:
            return await later(4)

        trace = project.record(lambda: asyncio.run(flow()))
        assert path_of(trace) == ["flow", "flow/later"]
        assert project.value(trace.root) == 4

    def test_methods_in_every_order_of_decorators(self, project: Project) -> None:
        class Agent:
            @step
            def plain(self, x: int) -> int:
                return x

            @step
            @classmethod
            def above(cls, x: int) -> str:
                return cls.__name__

            @classmethod
            @step
            def below(cls, x: int) -> str:
                return cls.__name__

            @step
            @staticmethod
            def static_above(x: int) -> int:
                return x

            @staticmethod
            @step
            def static_below(x: int) -> int:
                return x

            @step
            def __call__(self, x: int) -> int:
                return x

        @workflow
        def flow() -> list[Any]:
            agent = Agent()
            return [
                agent.plain(1),
                Agent.above(2),
                agent.below(3),
                agent.static_above(4),
                Agent.static_below(5),
                agent(6),
            ]

        trace = project.record(flow)
        assert project.value(trace.root) == [1, "Agent", "Agent", 4, 5, 6]
        assert [project.value(each, "input") for each in trace.steps[1:]] == [{"x": x} for x in range(1, 7)]

    def test_partials_and_callable_objects(self, project: Project) -> None:
        class Scale:
            def __init__(self, factor: int) -> None:
                self.factor = factor

            async def __call__(self, x: int) -> int:
                return self.factor * x

        scale = step(Scale(3))
        of_partial = step(functools.partial(pow, 2), name="power")
        partial_of = functools.partial(double, 21)

        @workflow
        async def flow() -> list[int]:
            return [await scale(2), of_partial(5), partial_of()]

        trace = project.record(lambda: asyncio.run(flow()))
        assert path_of(trace) == ["flow", "flow/Scale", "flow/power", "flow/double"]
        assert project.value(trace.root) == [6, 32, 42]
        assert project.value(trace.steps[1], "input") == {"x": 2}

    def test_a_callable_object_can_be_a_workflow(self, project: Project) -> None:
        class Flow:
            def __call__(self) -> int:
                return 1

        assert project.value(project.record(workflow(Flow())).root) == 1

    def test_a_plain_function_around_an_async_one_ends_when_that_does(self, project: Project) -> None:
        @step
        def around(x: int) -> Any:
            return later(x)

        @workflow
        async def flow() -> int:
            return await around(5)

        trace = project.record(lambda: asyncio.run(flow()))
        assert path_of(trace) == ["flow", "flow/around", "flow/around/later"]
        assert project.value(step_named(trace, "around")) == 5

    def test_what_is_no_function_is_refused(self) -> None:
        with pytest.raises(TypeError, match="not str"):
            step("draft")  # type: ignore[type-var]
        with pytest.raises(TypeError, match="not classes"):
            step(dict)
        with pytest.raises(ConfigError, match="no step kind 'lmm'"):
            step(kind="lmm")  # type: ignore[call-overload]

    def test_metadata_and_kind_are_kept(self) -> None:
        def plain(x: int) -> int:
            """Doc."""
            return x

        async def coroutine() -> None: ...
        def generator() -> Any:
            yield 1

        async def async_generator() -> Any:
            yield 1

        for decorate in (workflow, step, effect, step(name="other"), workflow(), effect(stand_in=1)):
            wrapped = decorate(plain)
            assert (wrapped.__name__, wrapped.__doc__, inspect.signature(wrapped)) == (
                "plain",
                "Doc.",
                inspect.signature(plain),
            )
            assert inspect.iscoroutinefunction(decorate(coroutine))
            assert inspect.isgeneratorfunction(decorate(generator))
            assert inspect.isasyncgenfunction(decorate(async_generator))

    def test_outside_a_workflow_a_step_is_the_plain_function(self, project: Project) -> None:
        assert double(4) == 8
        assert asyncio.run(later(4)) == 4
        assert project.traces() == []


class TestErrors:
    def test_an_exception_is_the_same_object_with_its_traceback(self, project: Project) -> None:
        error = ValueError("no")

        @step
        def broken() -> None:
            raise error

        trace = project.record(workflow(name="flow")(broken))
        assert project.raised is error
        assert traceback.extract_tb(error.__traceback__)[-1].name == "broken"
        assert error.__context__ is None
        failed = step_named(trace, "broken")
        assert failed.failure is not None
        assert (failed.status, failed.failure.type, failed.failure.message) == ("failed", "ValueError", "no")
        assert trace.summary.failed_step == "broken"

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()])
    def test_an_interruption_is_cancelled_and_goes_on(self, project: Project, error: BaseException) -> None:
        @workflow
        def flow() -> None:
            raise error

        with pytest.raises(type(error)):
            flow()
        assert project.trace().summary.status == "cancelled"

    def test_a_group_of_errors_is_kept_in_parts(self, project: Project) -> None:
        @workflow
        async def flow() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(failing("a"))
                group.create_task(failing("b"))

        @step
        async def failing(word: str) -> None:
            raise RuntimeError(word)

        with pytest.raises(ExceptionGroup):
            asyncio.run(flow())
        trace = project.trace()
        assert trace.root is not None
        assert trace.root.failure is not None
        assert [part.message for part in trace.root.failure.group] == ["a", "b"]

    def test_a_cancelled_task_is_cancelled_down_to_its_step(self, project: Project) -> None:
        @step
        async def forever() -> None:
            await asyncio.Event().wait()

        @workflow
        async def flow() -> None:
            await asyncio.wait_for(forever(), 0.01)

        trace = project.record(lambda: asyncio.run(flow()))
        assert isinstance(project.raised, TimeoutError)
        assert [each.status for each in trace.steps] == ["failed", "cancelled"]

    def test_what_a_failed_step_had_already_said_is_its_output(self, project: Project) -> None:
        @workflow
        def flow() -> None:
            current().output = "half"
            raise ValueError

        assert project.value(project.record(flow).root) == "half"

    def test_wrong_arguments_are_the_users_error_as_always(self, project: Project) -> None:
        trace = project.record(workflow(name="flow")(lambda: double(1, 2, 3, z=4)))  # type: ignore[call-arg]
        assert isinstance(project.raised, TypeError)
        assert project.value(step_named(trace, "double"), "input") == {"x": 1, "*args": (2, 3), "z": 4}


class TestParents:
    def test_gather_task_groups_and_threads_keep_the_parent(self, project: Project) -> None:
        @step
        async def fan(how: str) -> None:
            if how == "gather":
                await asyncio.gather(later(1), later(2))
            elif how == "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(later(1))
                    group.create_task(later(2))
            else:
                await asyncio.gather(asyncio.to_thread(double, 1), asyncio.to_thread(double, 2))

        @workflow
        async def flow() -> None:
            await asyncio.gather(fan("gather"), fan("group"), fan("thread"))

        trace = project.record(lambda: asyncio.run(flow()))
        for parent in trace.children(trace.steps[0].step_id):
            names = {"later"} if project.value(parent, "input") != {"how": "thread"} else {"double"}
            children = trace.children(parent.step_id)
            assert {child.name for child in children} == names
            assert sorted(child.occurrence for child in children) == [0, 1]
        assert len(trace.steps) == 10

    def test_a_thread_pool_records_below_where_its_context_was_copied(self, project: Project) -> None:
        @workflow
        def flow() -> list[int]:
            with ThreadPoolExecutor(4) as pool:
                jobs = [pool.submit(contextvars.copy_context().run, double, n) for n in range(20)]
                return [job.result() for job in jobs]

        trace = project.record(flow)
        assert sorted(each.occurrence for each in trace.steps[1:]) == list(range(20))
        assert {each.parent_id for each in trace.steps[1:]} == {trace.steps[0].step_id}

    def test_workflows_on_many_threads_at_once_do_not_mix(self, project: Project) -> None:
        flow = workflow(name="flow")(lambda n: [double(n) for _ in range(5)])
        threads = [threading.Thread(target=flow, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        traces = project.traces()
        assert len(traces) == 8
        for trace in traces:
            n = project.value(trace.root, "input")["n"]
            assert [project.value(each) for each in trace.steps[1:]] == [2 * n] * 5

    def test_nothing_is_left_running_behind_a_call(self) -> None:
        broken = workflow(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            broken()
        assert CURRENT.get() is None


class TestSwitchedOff:
    def test_disabled_a_call_is_the_plain_one_and_nothing_is_made(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLAYHEAD_ENABLED", "0")

        @workflow
        def flow() -> int:
            with span("s"):
                assert current().trace_id is None
                return double(2)

        assert flow() == 4
        assert list(project.folder.iterdir()) == []

    def test_sampled_out_a_trace_is_wholly_absent(self, project: Project) -> None:
        tracer.configure(sample=0.0)
        inner = workflow(name="inner")(lambda: double(1))

        @workflow
        def flow() -> int:
            current().set(tags={"a": 1}, model="m")
            current().score("s", 1)
            tracer.now()
            with span("s") as block:
                block.output = 1
            return inner()

        assert flow() == 2
        assert project.traces() == []


class TestPrivacy:
    SECRET = "sk-proj-Zx81kQ0w9e8r7t6y5u4i3o2p1a"

    def test_credentials_never_reach_the_disk(self, project: Project) -> None:
        @step
        def use(key: str) -> dict[str, str]:
            current().set(tags={"key": key}, output=[key])
            current().score("verdict", key)
            raise ValueError(f"refused {key}") from RuntimeError(key)

        @workflow
        def flow(headers: dict[str, str]) -> None:
            with span("s", input=self.SECRET, tags={"t": self.SECRET}):
                use(headers["authorization"].split()[1])

        trace = project.record(flow, {"authorization": f"Bearer {self.SECRET}"})
        assert trace.summary.status == "failed"
        assert self.SECRET.encode() not in project.raw()

    @pytest.mark.parametrize("how", ["setting", "workflow"])
    def test_content_that_is_not_captured_never_reaches_the_disk(self, project: Project, how: str) -> None:
        if how == "setting":
            tracer.configure(capture_content=False)

        @step
        def inner(text: str) -> str:
            with span("s", input=text):
                return text

        @step
        def chunks(text: str) -> Any:
            yield [text]

        @workflow(capture=how == "setting")
        def flow(text: str) -> str:
            list(chunks(text))
            inner(text)
            raise ValueError(f"bad text: {text}")

        # Turned around, for the source around a failed line is kept: code is no content.
        trace = project.record(flow, "sdrow etavirp eht"[::-1])
        assert path_of(trace) == ["flow", "flow/chunks", "flow/inner", "flow/inner/s"]
        assert trace.summary.error_type == "ValueError"
        assert b"private words" not in project.raw()

    @pytest.mark.parametrize("names", ["pin", ["pin"]])
    def test_named_inputs_are_hidden_and_still_told_apart(self, project: Project, names: Any) -> None:
        @step(redact=names)
        def login(user: str, pin: str) -> None: ...

        @workflow
        def flow() -> None:
            for pin in ("hunter-one", "hunter-two", "hunter-one"):
                login("ann", pin)

        trace = project.record(flow)
        assert project.value(trace.steps[1], "input") == {"user": "ann", "pin": "[redacted: by name]"}
        first, second, third = (each.identity for each in trace.steps[1:])
        assert first == third != second
        assert b"hunter" not in project.raw()

    def test_rest_arguments_are_hidden_by_their_name(self, project: Project) -> None:
        @workflow(redact=["pins"])
        def flow(*pins: str) -> None: ...

        project.record(flow, "hunter-one")
        assert b"hunter" not in project.raw()

    def test_a_name_that_is_no_input_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="login has no input to redact of the name pinn"):

            @step(redact=["pinn"])
            def login(pin: str) -> None: ...

    def test_own_rules_of_redaction_hold(self, project: Project) -> None:
        tracer.configure(redact=["mothers_name", ("ticket", r"TCK-\d+")])
        project.record(
            workflow(name="f")(lambda form: form["note"]), {"mothers_name": "Smith-J", "note": "see TCK-4711"}
        )
        assert b"Smith-J" not in project.raw()
        assert b"TCK-4711" not in project.raw()


class TestTypes:
    def test_a_decorated_function_keeps_its_signature_for_type_checkers(self) -> None:
        checked = subprocess.run(
            [sys.executable, "-m", "mypy", "--no-incremental", "--warn-unused-ignores", "tests/typing/api.py"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout
