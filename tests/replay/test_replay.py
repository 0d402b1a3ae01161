"""What is served and what runs, through the real store and real functions."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import create_engine, text

import tracer
from replay import NotReplayable, PlanError, edit, fail, from_step, live, replay, serve
from tests.replay.support import DONE, done
from tracer import current, effect, span, step, workflow
from tracer.store import open_store


@step
def plain(value: Any) -> Any:
    DONE.append(f"plain {value}")
    return value + 1


@step(kind="tool")
def leaf(value: Any) -> Any:
    DONE.append(f"leaf {value}")
    return value * 10


@step
def around(value: Any) -> Any:
    DONE.append(f"around {value}")
    return leaf(value)


@workflow
def flow(value: int) -> Any:
    return around(plain(value))


class TestUnchangedSteps:
    def test_they_are_served_without_running(self, recorded):
        assert flow(1) == 20
        trace = recorded.trace()
        done()
        again = replay(trace.trace_id)
        assert (again.output, again.error, again.stopped) == (20, None, None)
        assert done() == []
        assert (again.served, again.live, again.served_steps, again.divergences) == (1, 0, 3, ())

    def test_what_lay_below_a_served_step_is_shown_with_its_origin_and_its_source(self, recorded):
        flow(1)
        trace = recorded.trace()
        new = recorded.trace(replay(trace.trace_id).trace_id)
        assert [(each.path, each.origin) for each in new.steps] == [
            ("flow", "live"),
            ("flow/plain", "recorded"),
            ("flow/around", "recorded"),
            ("flow/around/leaf", "recorded"),
        ]
        assert [each.source_step_id for each in new.steps] == [each.step_id for each in trace.steps]
        assert new.summary.replay_of == trace.trace_id

    def test_the_old_trace_is_not_touched(self, recorded):
        flow(1)
        trace = recorded.trace()
        before = rows_of(recorded, trace.trace_id)
        replay(trace.trace_id, edit("plain", 5), on_divergence="live")
        assert tracer.flush()
        assert rows_of(recorded, trace.trace_id) == before

    def test_a_replay_can_be_replayed(self, recorded):
        flow(1)
        first = replay(recorded.trace().trace_id, edit("leaf", 7))
        second = replay(first.trace_id)
        done()
        assert (first.output, second.output, second.live) == (7, 7, 0)
        assert second.replay_of == first.trace_id
        assert done() == []

    def test_what_is_served_is_a_copy_that_may_be_changed(self, recorded):
        mutating()
        assert replay("latest").output == [1, 2]


@step
def listed() -> list:
    return [1]


@workflow
def mutating() -> list:
    found = listed()
    found.append(2)
    return found


def rows_of(recorded, trace_id):
    """Everything that the store holds of a trace."""
    engine = create_engine(recorded.url)
    with engine.connect() as connection:
        tables = [row[0] for row in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))]
        found = {}
        for table in tables:
            columns = [row[1] for row in connection.execute(text(f"PRAGMA table_info({table})"))]
            if "trace_id" in columns:
                rows = connection.execute(text(f"SELECT * FROM {table} WHERE trace_id = :id"), {"id": trace_id})
                found[table] = sorted(map(repr, rows))
    engine.dispose()
    assert found["steps"]
    return found


class TestThePlanReachesIntoAStep:
    def test_its_body_runs_and_what_is_in_it_is_matched_one_by_one(self, recorded):
        flow(1)
        done()
        again = replay("latest", edit("leaf", 5))
        assert again.output == 5
        assert done() == ["around 2"]

    def test_plain_code_downstream_of_a_change_runs_and_the_rest_is_served(self, recorded):
        branches(1)
        done()
        again = replay("latest", edit("plain", 7))
        assert again.output == [7, 8, 20]
        assert done() == ["plain downstream 7"]
        assert again.divergences == ()

    def test_a_leaf_downstream_of_a_change_stops_the_replay_with_the_field_that_differs(self, recorded):
        flow(1)
        done()
        again = replay("latest", edit("plain", 7))
        assert done() == ["around 7"]
        said = str(again.stopped)
        assert again.output is None
        assert said.startswith(
            "flow/around/leaf: input-changed, stopped; first at $.value: 2 -> 7. Let it run with --live"
        )
        assert "\n" not in said

    def test_it_goes_live_where_the_plan_says_so(self, recorded):
        flow(1)
        done()
        again = replay("latest", edit("plain", 7), on_divergence="live")
        assert again.output == 70
        assert done() == ["around 7", "leaf 7"]
        assert again.live == 1

    def test_a_step_named_live_runs_with_all_that_is_in_it(self, recorded):
        flow(1)
        done()
        again = replay("latest", live("around"))
        assert done() == ["around 2", "leaf 2"]
        assert (again.served, again.live) == (0, 1)
        assert recorded.origins()["flow/around/leaf"] == "live"

    def test_from_a_step_on_everything_is_live(self, recorded):
        flow(1)
        done()
        again = replay("latest", from_step("around"))
        assert done() == ["around 2", "leaf 2"]
        assert (again.output, again.live) == (20, 1)
        assert recorded.origins()["flow/plain"] == "recorded"

    def test_one_of_several_of_a_name_is_named_by_its_occurrence(self, recorded):
        thrice()
        assert replay("latest", edit("leaf[1]", 0)).output == [10, 0, 30]
        assert replay(recorded.trace("latest").summary.replay_of, edit("leaf[0]", 0)).output == [0, 20, 30]

    def test_and_many_by_a_glob(self, recorded):
        thrice()
        assert replay("latest", edit("thrice/le*", 0)).output == [0, 0, 0]

    def test_a_step_inside_steps_by_its_path(self, recorded):
        flow(1)
        assert replay("latest", edit("flow/around/leaf", 3)).output == 3

    def test_the_last_of_two_rules_wins(self, recorded):
        flow(1)
        assert replay("latest", edit("leaf", 3), edit("leaf", 4)).output == 4

    def test_verify_runs_every_body_and_serves_the_calls(self, recorded):
        flow(1)
        done()
        again = replay("latest", verify=True)
        assert done() == ["plain 1", "around 2"]
        assert (again.output, again.served, again.live) == (20, 1, 0)


@step
def downstream(value: Any) -> Any:
    DONE.append(f"plain downstream {value}")
    return value + 1


@workflow
def branches(value: int) -> list:
    found = plain(value)
    return [found, downstream(found), leaf(2)]


@workflow
def thrice() -> list:
    return [leaf(value) for value in (1, 2, 3)]


CODE = """
    from tracer import step, workflow
    from tests.replay.support import did

    PROMPT = "be kind"

    def helper(text):
        return text.upper()

    @step
    def first(text, limit=10):
        did("first")
        return helper(text + PROMPT)[:limit]

    @step
    def other(text):
        did("other")
        return text + "!"

    @workflow
    def changing(text):
        return first(text) + other(text)
"""


class TestChangedCode:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("[:limit]", "[:limit][::-1]"),
            ('"be kind"', '"be brief"'),
            ("limit=10", "limit=11"),
            ("text.upper()", "text.lower()"),
        ],
        ids=["its body", "a prompt it names", "a default", "a helper of its package"],
    )
    def test_the_step_runs_again_and_the_others_are_served(self, recorded, module, before, after):
        module(CODE).changing("hello ")
        trace = recorded.trace()
        done()
        module(CODE.replace(before, after))
        again = replay(trace.trace_id)
        assert done() == ["first"]
        assert [(each.kind, each.path) for each in again.divergences] == [("code-changed", "changing/first")]

    def test_a_changed_comment_or_docstring_is_no_change(self, recorded, module):
        module(CODE).changing("hello ")
        trace = recorded.trace()
        done()
        module(CODE.replace('did("first")', '"""Says it."""\n        # twice\n        did("first")'))
        again = replay(trace.trace_id)
        assert done() == []
        assert again.divergences == ()

    def test_serve_takes_the_recorded_result_all_the_same(self, recorded, module):
        module(CODE).changing("hello ")
        trace = recorded.trace()
        done()
        module(CODE.replace("[:limit]", "[:3]"))
        again = replay(trace.trace_id, serve("first"))
        assert done() == []
        assert again.output == "HELLO BE Khello !"

    def test_a_leaf_whose_code_changed_runs_and_counts_as_live(self, recorded, module):
        source = CODE.replace("@step\n    def first", '@step(kind="retriever")\n    def first')
        module(source).changing("hello ")
        trace = recorded.trace()
        done()
        module(source.replace("[:limit]", "[:3]"))
        again = replay(trace.trace_id)
        assert (done(), again.live, again.output) == (["first"], 1, "HELhello !")

    def test_a_leaf_whose_code_changed_around_another_is_not_counted_twice(self, recorded, module):
        source = CODE.replace("@step\n    def first", '@step(kind="retriever")\n    def first').replace(
            "def helper(text):\n        return", '@step(kind="tool")\n    def helper(text):\n        return'
        )
        module(source).changing("hello ")
        trace = recorded.trace()
        module(source.replace("[:limit]", "[:3]"))
        again = replay(trace.trace_id)
        assert (again.live, again.served, again.output) == (0, 1, "HELhello !")


class ShopError(Exception):
    def __init__(self, code: int, detail: str) -> None:
        self.code = code
        super().__init__(code, detail)


@step(kind="tool")
def failing(code: int) -> None:
    DONE.append("failing")
    raise ShopError(code, "no stock")


@workflow
def handles(code: int) -> Any:
    try:
        failing(code)
    except ShopError as error:
        return [error.code, *error.args]


@workflow
def lets_fail(code: int) -> None:
    failing(code)


class TestRecordedExceptions:
    def test_they_come_back_as_their_own_class_with_their_data(self, recorded):
        handles(409)
        done()
        assert replay("latest").output == [409, 409, "no stock"]
        assert done() == []

    def test_a_workflow_that_failed_fails_again_and_names_its_error(self, recorded):
        with pytest.raises(ShopError):
            lets_fail(409)
        again = replay("latest")
        assert (type(again.error), again.error.code, again.stopped) == (ShopError, 409, None)

    def test_a_system_exit_is_a_result_like_any_other(self, recorded):
        with pytest.raises(SystemExit):
            exits()
        assert replay("latest").error.code == 3


@workflow
def exits() -> None:
    raise SystemExit(3)


class Client:
    """Nothing that can be kept."""

    def __init__(self) -> None:
        self.socket = threading.Lock()


@dataclass
class Holder:
    name: str
    client: Any


@step
def makes_plain() -> Holder:
    DONE.append("makes")
    return Holder("one", Client())


@step(kind="tool")
def makes_leaf() -> Holder:
    DONE.append("makes")
    return Holder("one", Client())


@workflow
def uses_plain() -> str:
    return makes_plain().name


@workflow
def uses_leaf() -> str:
    return makes_leaf().name


@workflow
def takes(holder: Holder) -> str:
    return holder.name


@step(capture=False)
def secret_plain() -> str:
    DONE.append("secret")
    return "s"


@step(kind="tool", capture=False)
def secret_leaf() -> str:
    DONE.append("secret")
    return "s"


@workflow
def keeps_secrets(*, inside: bool) -> str:
    return secret_plain() if inside else secret_leaf()


class TestResultsThatCannotBeRestored:
    def test_plain_code_runs_instead(self, recorded):
        uses_plain()
        done()
        again = replay("latest")
        assert (again.output, again.stopped, done()) == ("one", None, ["makes"])

    def test_a_call_is_refused_before_anything_runs_with_the_path_of_the_culprit(self, recorded):
        uses_leaf()
        done()
        with pytest.raises(NotReplayable, match=r"uses_leaf/makes_leaf: .*at \$\.client.*--live makes_leaf"):
            replay("latest")
        assert done() == []
        assert len(recorded.trace().steps) == 2

    def test_a_block_of_such_a_kind_runs_like_any_block(self, recorded):
        @workflow
        def finds() -> str:
            with span("find", kind="retriever"):
                return "found"

        finds()
        assert replay("latest", fn=finds).output == "found"

    def test_named_live_it_runs(self, recorded):
        uses_leaf()
        assert replay("latest", live("makes_leaf")).output == "one"

    def test_what_was_not_captured_is_not_taken_for_none(self, recorded):
        keeps_secrets(inside=True)
        done()
        assert (replay("latest").output, done()) == ("s", ["secret"])
        keeps_secrets(inside=False)
        done()
        with pytest.raises(NotReplayable, match="not captured"):
            replay("latest")
        assert done() == []

    def test_an_input_of_the_workflow_is_refused_before_anything_runs(self, recorded):
        takes(Holder("one", Client()))
        with pytest.raises(NotReplayable, match=r"can't be restored at \$\.holder\.client"):
            replay("latest")
        assert len(recorded.trace().steps) == 1

    @pytest.mark.parametrize(("kind", "runs"), [("step", True), ("tool", False)])
    def test_an_instance_of_a_class_that_is_gone_is_never_handed_out(self, recorded, module, kind, runs):
        source = f"""
            from dataclasses import dataclass
            from tracer import step, workflow
            from tests.replay.support import did

            @dataclass
            class Order:
                number: int

            def make():
                return Order(1)

            @step(kind="{kind}")
            def look_up():
                did("look_up")
                return {{"orders": [globals()["make"]()]}}

            @workflow
            def ordering():
                return type(look_up()["orders"][0]).__name__
        """
        assert module(source).ordering() == "Order"
        trace = recorded.trace()
        done()
        module(source.replace("Order:", "Invoice:").replace("Order(1)", "Invoice(1)"))
        again = replay(trace.trace_id)
        if runs:
            assert (again.output, done()) == ("Invoice", ["look_up"])
        else:
            assert "can't be restored at $['orders'][0]" in str(again.stopped)
            assert done() == []

    def test_an_exception_of_a_class_that_is_gone_is_not_handed_out_as_a_result(self, recorded, module):
        source = """
            from tracer import step, workflow

            class Gone(Exception): pass

            @step(kind="tool")
            def look_up():
                raise globals()["Gone"]("no")

            @workflow
            def ordering():
                return look_up()
        """
        with pytest.raises(Exception, match="no"):
            module(source).ordering()
        trace = recorded.trace()
        module(source.replace("class Gone", "class Other"))
        again = replay(trace.trace_id)
        assert again.output is None
        assert "can't be restored" in str(again.stopped)


@step
def counts(upto: int) -> Any:
    DONE.append("counts")
    yield from range(upto)
    if upto > 3:
        raise ShopError(upto, "too many")


@step
async def counts_later(upto: int) -> Any:
    DONE.append("counts")
    for number in range(upto):
        await asyncio.sleep(0)
        yield number
    if upto > 3:
        raise ShopError(upto, "too many")


@workflow
def consumes(upto: int, most: int) -> list:
    found: list = []
    items = counts(upto)
    try:
        for item in items:
            found.append(item)
            if len(found) == most:
                break
    except ShopError as error:
        found.append(error.code)
    items.close()
    return found


@workflow
async def consumes_later(upto: int, most: int) -> list:
    found: list = []
    items = counts_later(upto)
    try:
        async for item in items:
            found.append(item)
            if len(found) == most:
                break
    except ShopError as error:
        found.append(error.code)
    await items.aclose()
    return found


@workflow
def streams(upto: int) -> Any:
    yield from counts(upto)


class TestGenerators:
    @pytest.mark.parametrize(("upto", "most"), [(3, 9), (3, 2), (5, 9)], ids=["whole", "closed early", "failed"])
    def test_their_items_are_served_one_by_one_and_they_end_as_they_ended(self, recorded, upto, most):
        for run in (consumes, consumes_later):
            first = run(upto, most) if run is consumes else asyncio.run(run(upto, most))
            done()
            again = replay("latest")
            assert (again.output, again.error, again.stopped, done()) == (first, None, None, [])

    def test_a_workflow_may_be_one(self, recorded):
        list(streams(3))
        assert replay("latest").output == [0, 1, 2]

    def test_an_edit_is_the_list_of_the_items(self, recorded):
        consumes(3, 9)
        assert replay("latest", edit("counts", [7, 8])).output == [7, 8]
        with pytest.raises(PlanError, match="give the list of its items"):
            replay("latest", edit("counts", 7))


@workflow
def by_chance() -> list:
    return [tracer.now(), tracer.random(), tracer.random(), tracer.uuid4()]


class TestTimeAndChance:
    def test_the_recorded_values_come_again(self, recorded):
        first = by_chance()
        assert replay("latest").output == first
        assert replay("latest").output == first


@step
async def async_leaf(value: int) -> int:
    DONE.append("async")
    await asyncio.sleep(0)
    return value + 1


@workflow
async def async_flow(value: int) -> list:
    return await asyncio.gather(async_leaf(value), async_leaf(value + 1))


class TestAsyncWorkflows:
    def test_they_are_replayed_from_where_a_loop_runs_already(self, recorded):
        asyncio.run(async_flow(1))
        done()

        async def inside():
            return replay("latest")

        assert asyncio.run(inside()).output == [2, 3]
        assert done() == []

    def test_a_closure_is_given_as_fn(self, recorded):
        @workflow
        def local(value):
            return plain(value)

        local(1)
        done()
        assert replay("latest", fn=local).output == 2
        assert done() == []


class TestFunctionsThatAreNoWorkflow:
    def test_nothing_of_them_runs(self, recorded):
        flow(1)
        done()
        for wrong in (flow.__wrapped__, plain, len):
            with pytest.raises(NotReplayable, match="is no @workflow"):
                replay("latest", fn=wrong)
        assert done() == []

    def test_one_that_takes_other_inputs_by_now_is_refused(self, recorded):
        flow(1)

        @workflow
        def renamed(number):
            return number

        with pytest.raises(NotReplayable, match="does not take the recorded inputs"):
            replay("latest", fn=renamed)


class Agent:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    @workflow
    def act(self, value: int) -> int:
        return leaf(value) * self.factor

    @classmethod
    @workflow
    def make(cls, value: int) -> str:
        return f"{cls.__name__} {leaf(value)}"


class TestMethods:
    def test_a_method_needs_its_object(self, recorded):
        Agent(2).act(1)
        with pytest.raises(NotReplayable, match=r"fn=the_object\.method"):
            replay("latest")
        assert replay("latest", fn=Agent(3).act).output == 30

    def test_a_classmethod_has_it(self, recorded):
        Agent.make(1)
        done()
        assert replay("latest").output == "Agent 10"
        assert done() == []


@effect
def sends(value: Any) -> str:
    DONE.append(f"sent {value}")
    return "sent"


@workflow
async def many_tasks(value: int) -> Any:
    async def one(at):
        await asyncio.sleep(0)
        found = leaf(plain(value) + at)
        return sends(found)

    if _grouped:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(at)) for at in range(4)]
        return [task.result() for task in tasks]
    return await asyncio.gather(*(one(at) for at in range(4)), return_exceptions=_swallowing)


_grouped = _swallowing = False


@workflow
def many_threads(value: int) -> Any:
    def one(at):
        return sends(leaf(plain(value) + at))

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(contextvars.copy_context().run, one, at) for at in range(4)]
    return [found.exception() is None for found in waiting]


@workflow
def swallows(value: int) -> Any:
    found = plain(value)
    try:
        leaf(found)
    except BaseException:  # noqa: BLE001
        DONE.append("swallowed")
    try:
        return sends("after")
    except BaseException:  # noqa: BLE001
        return "as if nothing had been"


class TestAStop:
    @pytest.mark.parametrize("how", ["gathered", "grouped", "returned as exceptions"])
    def test_in_one_of_several_tasks_ends_the_replay(self, recorded, how, monkeypatch):
        monkeypatch.setitem(globals(), "_grouped", how == "grouped")
        monkeypatch.setitem(globals(), "_swallowing", how == "returned as exceptions")
        asyncio.run(many_tasks(1))
        done()
        again = replay("latest", edit("plain", 50))
        assert again.stopped.divergence.kind == "input-changed"
        assert (again.output, again.error) == (None, None)
        assert [each for each in done() if not each.startswith("plain")] == []

    def test_in_one_of_several_threads_ends_the_replay(self, recorded):
        many_threads(1)
        done()
        again = replay("latest", edit("plain", 50))
        assert again.stopped.divergence.path.startswith("many_threads/leaf")
        assert [each for each in done() if each.startswith(("sent", "leaf"))] == []

    def test_that_the_workflow_swallows_lets_nothing_happen_after_it_and_is_recorded(self, recorded):
        swallows(1)
        done()
        again = replay("latest", edit("plain", 50), live("sends"))
        assert done() == ["swallowed"]
        assert str(again.stopped).startswith("swallows/leaf: input-changed")
        assert again.output is None
        assert recorded.trace(again.trace_id).summary.status == "stopped"

    def test_of_a_group_is_recorded_as_stopped(self, recorded, monkeypatch):
        monkeypatch.setitem(globals(), "_grouped", True)
        asyncio.run(many_tasks(1))
        again = replay("latest", edit("plain", 50))
        assert recorded.trace(again.trace_id).summary.status == "stopped"


@workflow
def spans(value: int) -> Any:
    with span("block", kind="retriever", input=value) as block:
        DONE.append("block")
        block.output = leaf(value)
    current().set(tags={"seen": True})
    return block.output


class TestSpans:
    def test_a_block_always_runs_and_what_is_in_it_is_served(self, recorded):
        spans(1)
        done()
        again = replay("latest")
        assert (again.output, done(), again.live, again.divergences) == (10, ["block"], 0, ())


class TestInterruptedRuns:
    def test_plain_code_that_never_ended_runs_again_and_what_ended_in_it_is_served(self, recorded):
        cut(recorded, "around", "flow")
        done()
        again = replay("latest")
        assert (again.output, done(), again.served) == (20, ["around 2"], 1)

    def test_a_call_that_never_ended_stops_the_replay_for_it_may_have_happened(self, recorded):
        cut(recorded, "leaf", "around", "flow")
        done()
        again = replay("latest")
        assert "may have happened" in str(again.stopped)
        assert again.stopped.divergence.kind == "interrupted"
        assert done() == ["around 2"]
        assert replay(again.replay_of, live("leaf")).output == 20

    def test_so_does_one_that_was_interrupted_by_the_keyboard(self, recorded):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        again = replay("latest")
        assert again.stopped.divergence.kind == "interrupted"


@step(kind="tool")
def pressed() -> None:
    raise KeyboardInterrupt


@workflow
def interrupted() -> None:
    pressed()


def cut(recorded, *names):
    """A run of flow as a killed process leaves it: these steps began and have no end."""
    flow(1)
    recorded.trace()
    engine = create_engine(recorded.url)
    with engine.begin() as connection:
        for name in names:
            connection.execute(
                text("UPDATE steps SET outcome = NULL, ended_ns = NULL, output = NULL WHERE name = :name"),
                {"name": name},
            )
        connection.execute(text("UPDATE traces SET outcome = NULL, ended_ns = NULL"))
    engine.dispose()


class TestRulesAboutNothing:
    def test_a_misspelt_step_is_refused_with_the_names_there_are(self, recorded):
        flow(1)
        with pytest.raises(
            PlanError, match=r"no step of this trace is named 'plan' \(it has flow, plain, around, leaf\)"
        ):
            replay("latest", edit("plan", 1))

    def test_one_that_this_run_does_not_come_to_is_said(self, recorded):
        flow(1)
        again = replay("latest", edit("leaf", 1), live("audit"))
        assert again.unused == ("--live audit",)

    def test_the_workflow_itself_cannot_be_edited(self, recorded):
        flow(1)
        with pytest.raises(PlanError, match="is the workflow itself"):
            replay("latest", edit("flow", 1))

    @pytest.mark.parametrize("budget", [-1, float("nan"), float("inf")])
    def test_a_budget_is_an_amount(self, recorded, budget):
        flow(1)
        with pytest.raises(PlanError, match="amount of dollars"):
            replay("latest", budget_usd=budget)


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "raised"),
        [("timeout", TimeoutError), ("connection_reset", ConnectionResetError), ("server_error", RuntimeError)],
    )
    def test_a_step_without_model_calls_raises_the_nearest_exception(self, recorded, fault, raised):
        flow(1)
        done()
        again = replay("latest", fail("leaf", fault))
        assert type(again.error) is raised
        assert done() == ["around 2"]
        assert recorded.origins()["flow/around/leaf"] == "injected"

    def test_one_that_does_not_exist_is_refused_with_those_that_do(self):
        with pytest.raises(PlanError, match="timeout, rate_limited"):
            fail("leaf", "meteor")


class TestNeverReached:
    def test_what_the_record_holds_and_no_call_asked_for_is_a_divergence(self, recorded, module):
        module(CODE).changing("hello ")
        trace = recorded.trace()
        module(CODE.replace("first(text) + other(text)", "first(text)"))
        again = replay(trace.trace_id)
        assert [(each.kind, each.path, each.then) for each in again.divergences] == [
            ("never-reached", "changing/other", "left out")
        ]


class TestSecretsInADivergence:
    def test_an_input_that_is_hidden_by_name_is_not_shown(self, recorded, module):
        source = """
            from tracer import effect, workflow

            @effect(redact=["password"])
            def login(password, user):
                return True

            @workflow
            def entering(user):
                return login("hunter2", user + "-1")
        """
        module(source).entering("ann")
        trace = recorded.trace()
        module(source.replace('"-1"', '"-2"'))
        said = str(replay(trace.trace_id).stopped)
        assert "hunter2" not in said
        assert "first at $.user: 'ann-1' -> 'ann-2'" in said


class TestTheStore:
    def test_a_payload_that_was_lost_stops_the_replay_instead_of_running_the_step(self, recorded):
        flow(1)
        trace = recorded.trace()
        engine = create_engine(recorded.url)
        with engine.begin() as connection:
            lost = {"digest": bytes.fromhex(recorded.step("plain").output.digest.removeprefix("b2:"))}
            connection.execute(text("DELETE FROM payloads WHERE digest = :digest"), lost)
        engine.dispose()
        done()
        again = replay(trace.trace_id)
        assert "pruned" in str(again.stopped)
        assert done() == []

    def test_recording_that_is_off_is_on_for_the_replay_alone(self, recorded):
        flow(1)
        trace = recorded.trace()
        tracer.configure(enabled=False)
        try:
            assert replay(trace.trace_id).output == 20
            flow(5)
        finally:
            tracer.configure(enabled=True)
        with open_store(recorded.url) as store:
            assert len(store.traces()) == 2

    def test_where_nothing_can_be_recorded_nothing_runs(self, recorded, monkeypatch):
        flow(1)
        trace = recorded.trace()
        done()
        tracer.shutdown()
        monkeypatch.setattr("tracer.recording.Journal.__init__", _refused)
        with pytest.warns(Warning, match="could not start recording"), pytest.raises(NotReplayable, match="recorded"):
            replay(trace.trace_id, live("around"))
        assert done() == []


def _refused(*_: Any) -> None:
    raise PermissionError("read-only")
