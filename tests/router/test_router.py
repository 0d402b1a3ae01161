"""A Router with what it calls: what comes of it, and what is read back from the trace."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from router import (
    AllTargetsFailed,
    CircuitOpen,
    DeadlineExceeded,
    OutputRejected,
    Retry,
    Router,
    Target,
    deadline,
    retrying,
)
from tracer import configure, current, step, workflow
from tracer.decisions import TRY, decision_in
from tracer.errors import UnknownModel

ONE, TWO = Target("one"), Target("two")
AT_ONCE = Retry(on=TimeoutError, base_s=0.0)


def said_by(attempt):
    if attempt.name == "one":
        raise TimeoutError("too slow")
    return f"said by {attempt.name}"


def template(*asked):
    return f"template for {asked}"


class Circuit:
    """A breaker as a Router sees it."""

    def __init__(self, name, *, is_open=False):
        self.name = name
        self.state = "closed"
        self.is_open = is_open
        self.told = []

    def admit(self):
        if self.is_open:
            raise CircuitOpen(self.name, 3.0)
        return self

    def succeeded(self):
        self.told.append("succeeded")

    def failed(self, reason):
        self.told.append(repr(reason))

    def abandoned(self):
        self.told.append("abandoned")


@dataclass(frozen=True)
class Pick:
    target: str
    arm: str = "canary"
    propensity: float = 0.1


class Registry:
    def __init__(self):
        self.asked = []

    def pick(self, role, key=None):
        self.asked.append((role, key))
        return Pick("two")


def decision(trace, name="fallback"):
    (found,) = (each for each in trace.steps if each.name == name)
    return decision_in(found.tags)


def tries(trace):
    return [each.tags[TRY] for each in trace.steps if each.kind == "attempt"]


class TestMaking:
    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"targets": [ONE]}, "after which errors"),
            ({"targets": [], "on": ()}, "at least one target"),
            ({"targets": [ONE], "on": (), "role": "draft"}, "role= and registry="),
            ({"targets": [ONE], "on": (), "on_break": "stop"}, "on_break"),
            ({"targets": [ONE], "on": (), "deadline_s": -1}, "deadline_s"),
            ({"targets": [ONE], "on": (), "budget_usd": float("nan")}, "budget_usd"),
            ({"targets": [ONE], "on": (), "breakers": {"tow": Circuit("tow")}}, "tow"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_makes_no_sense_is_refused_by_name(self, wrong, named):
        with pytest.raises(ValueError, match=named):
            Router(**wrong)

    def test_a_name_is_looked_up_in_the_catalogue_at_the_call(self):
        router = Router(["in-the-catalogue"], on=())
        with pytest.raises(UnknownModel):
            router.call(lambda attempt: attempt.target)
        target = Target("in-the-catalogue", model="m")
        configure(models=[target])
        assert router.call(lambda attempt: attempt.target).value is target


class TestCalling:
    def test_an_error_that_is_not_named_passes_with_its_own_traceback(self):
        def call(attempt):
            raise KeyError("bug")

        with pytest.raises(KeyError) as raised:
            Router([ONE, TWO], on=TimeoutError).call(call)
        assert raised.traceback[-1].name == "call"

    def test_a_stop_iteration_is_an_error_like_any_other(self):
        def call(attempt):
            raise StopIteration

        with pytest.raises(StopIteration):
            Router([ONE], on=TimeoutError).call(call)

    def test_a_coroutine_function_is_refused_where_nobody_would_await_it(self):
        async def call(attempt):
            """Never awaited."""

        with pytest.raises(TypeError, match="use acall"):
            Router([ONE], on=()).call(call)

    def test_arguments_go_to_the_model_after_the_attempt_and_to_a_rule_as_they_are(self):
        router = Router([ONE, template], on=TimeoutError)
        answered = router.call(lambda attempt, ticket: said_by(attempt), "lost card")
        assert (answered.value, answered.target) == ("template for ('lost card',)", "template")
        assert Router([TWO], on=()).call(lambda attempt, *, k: (attempt.name, k), k=3).value == ("two", 3)

    def test_a_result_that_is_rejected_leads_to_the_next(self):
        router = Router([ONE, TWO], on=(), reject=lambda text: "too short" if text == "one" else None)
        answered = router.call(lambda attempt: attempt.name)
        assert (answered.value, answered.failed[0].error) == ("two", "OutputRejected")

    def test_coroutines_are_routed_alike_with_rules_of_either_kind(self):
        async def call(attempt):
            await asyncio.sleep(0)
            return said_by(attempt)

        async def rule():
            return "async rule"

        assert asyncio.run(Router([ONE, TWO], retry=AT_ONCE).acall(call)).value == "said by two"
        assert asyncio.run(Router([ONE, rule], retry=AT_ONCE).acall(call)).value == "async rule"
        assert asyncio.run(Router([ONE, lambda: "rule"], retry=AT_ONCE).acall(call)).value == "rule"

    def test_trio_is_as_good(self):
        import trio

        async def call(attempt):
            await trio.lowlevel.checkpoint()
            return said_by(attempt)

        assert trio.run(Router([ONE, TWO], retry=AT_ONCE).acall, call).value == "said by two"

    def test_one_router_serves_many_threads(self):
        router = Router([ONE, TWO], retry=AT_ONCE)
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(router.call, said_by) for _ in range(64)]
        assert {answer.result().value for answer in answers} == {"said by two"}

    def test_a_key_makes_another_router_and_leaves_the_one_as_it_was(self):
        registry = Registry()
        configure(models=[TWO])
        router = Router(role="draft", registry=registry, on=())
        assert router.keyed("customer 7").call(lambda attempt: attempt.name).value == "two"
        router.call(lambda attempt: attempt.name)
        assert registry.asked == [("draft", "customer 7"), ("draft", None)]


class TestLimits:
    def test_each_attempt_is_offered_the_time_that_is_left(self):
        def call(attempt):
            offered.append(attempt.timeout_s)
            return said_by(attempt)

        for target, limit in ((Target("two", timeout_s=1.0), 1.0), (TWO, 5.0)):
            offered = []
            Router([target], on=(), deadline_s=5.0).call(call)
            assert limit - 0.5 < offered[0] <= limit
        offered = []
        with deadline(2.0):
            Router([TWO], on=(), deadline_s=5.0).call(call)
        assert offered[0] <= 2.0

    def test_past_the_deadline_no_model_is_called_and_rules_are(self):
        called = []

        def call(attempt):
            called.append(attempt.name)
            return attempt.name

        with deadline(0):
            with pytest.raises(DeadlineExceeded, match="one was not called: the deadline passed"):
                Router([ONE], on=()).call(call)
            assert Router([ONE, template], on=()).call(call).target == "template"
        assert called == []

    def test_a_router_with_a_deadline_leaves_the_limits_around_it_alone(self):
        router = Router([TWO], on=(), deadline_s=0.0)
        with pytest.raises(DeadlineExceeded):
            router.call(said_by)
        assert Router([TWO], on=()).call(lambda attempt: attempt.timeout_s).value is None


class TestBreakers:
    def test_each_permit_is_given_back_with_what_came_of_it(self):
        one, two = Circuit("one"), Circuit("two")
        Router([ONE, TWO], on=TimeoutError, breakers={"one": one, "two": two}).call(said_by)
        assert (one.told, two.told) == (["TimeoutError('too slow')"], ["succeeded"])

    def test_a_rejected_answer_is_a_failure_told_by_its_error(self):
        one = Circuit("one")
        with pytest.raises(AllTargetsFailed):
            Router([ONE], on=(), reject=lambda _: "gibberish", breakers={"one": one}).call(lambda attempt: "x")
        assert "OutputRejected" in one.told[0]

    def test_an_open_circuit_is_passed_over(self):
        one = Circuit("one", is_open=True)
        answered = Router([ONE, TWO], on=(), breakers={"one": one}).call(lambda attempt: attempt.name)
        assert (answered.value, answered.failed[0].error) == ("two", "CircuitOpen")

    @pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
    def test_an_interrupt_gives_the_permit_back_and_goes_through(self, stop):
        def call(attempt):
            raise stop

        one = Circuit("one")
        with pytest.raises(stop):
            Router([ONE, TWO], on=lambda _: True, breakers={"one": one}).call(call)
        assert one.told == ["abandoned"]

    def test_a_cancelled_task_gives_the_permit_back(self):
        one = Circuit("one")

        async def main():
            begun = asyncio.Event()

            async def call(attempt):
                begun.set()
                await asyncio.Event().wait()

            task = asyncio.create_task(Router([ONE, TWO], on=lambda _: True, breakers={"one": one}).acall(call))
            await begun.wait()
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())
        assert one.told == ["abandoned"]


class TestRetrying:
    def test_a_function_is_called_again_and_its_last_error_is_raised_as_it_is(self):
        calls = []

        @retrying(on=TimeoutError, attempts=3, base_s=0.0)
        def ask(question):
            """Asks."""
            calls.append(question)
            raise TimeoutError(len(calls))

        with pytest.raises(TimeoutError, match="3"):
            ask("why")
        assert (calls, ask.__name__, ask.__doc__) == (["why"] * 3, "ask", "Asks.")

    def test_a_coroutine_function_too(self):
        calls = []

        @retrying(on=TimeoutError, base_s=0.0)
        async def ask(question):
            calls.append(question)
            if len(calls) < 2:
                raise TimeoutError
            return question

        assert asyncio.run(ask(question="why")) == "why"
        assert calls == ["why", "why"]

    def test_a_wait_is_slept(self):
        calls = []

        @retrying(on=TimeoutError, base_s=0.05, jitter="none")
        def ask():
            calls.append(time.monotonic())
            if len(calls) < 2:
                raise TimeoutError

        ask()
        assert calls[1] - calls[0] >= 0.05


class TestTheRecord:
    def test_the_decision_says_what_was_tried_and_why(self, recorded):
        @workflow
        def answer():
            return Router([ONE, TWO], retry=Retry(on=TimeoutError, attempts=2, base_s=0.001), name="draft").call(
                said_by
            )

        answer()
        trace = recorded()
        told = decision(trace, "draft")
        assert (told.policy, told.chosen, told.candidates) == ("fallback", "two", ("one", "two"))
        assert (told.attempts, told.retries, told.fell_back) == (3, 1, True)
        assert 0 < told.waited_s <= 0.001
        assert told.reason == "answered after one: TimeoutError; one: TimeoutError"
        assert [(each["target"], each["number"], each["verdict"]) for each in tries(trace)] == [
            ("one", 1, "retry"),
            ("one", 2, "next"),
            ("two", 3, "done"),
        ]
        assert tries(trace)[1]["waited_s"] == told.waited_s
        assert [each.path for each in trace.steps if each.kind == "attempt"] == [
            "answer/draft/one",
            "answer/draft/one[1]",
            "answer/draft/two",
        ]

    def test_a_failure_is_told_with_nothing_chosen(self, recorded):
        @workflow
        def answer():
            Router([ONE], on=TimeoutError, deadline_s=9).call(said_by)

        with pytest.raises(AllTargetsFailed):
            answer()
        trace = recorded()
        assert (decision(trace).chosen, decision(trace).reason) == (None, "none answered: AllTargetsFailed")
        assert tries(trace)[0]["verdict"] == "next"
        assert 0 < tries(trace)[0]["timeout_s"] <= 9

    def test_states_of_breakers_and_the_arm_are_told(self, recorded):
        configure(models=[TWO])

        @workflow
        def answer():
            guards = {"one": Circuit("one", is_open=True), "two": Circuit("two")}
            Router([ONE], role="draft", registry=Registry(), on=(), breakers=guards, name="by role").call(said_by)
            Router([ONE, TWO], on=(), breakers=guards).call(said_by)

        answer()
        trace = recorded()
        picked = decision(trace, "by role")
        assert (picked.role, picked.arm, picked.propensity, picked.candidates) == (
            "draft",
            "canary",
            0.1,
            ("two", "one"),
        )
        assert decision(trace).breakers == {"one": "open", "two": "closed"}
        assert tries(trace)[-1]["breaker"] == "closed"

    def test_a_router_below_an_attempt_is_a_step_of_that_attempt(self, recorded):
        inner = Router([TWO], on=(), name="inner")

        @workflow
        def answer():
            return Router([ONE], on=(), name="outer").call(lambda attempt: inner.call(said_by).value)

        answer()
        assert [each.path for each in recorded().steps] == [
            "answer",
            "answer/outer",
            "answer/outer/one",
            "answer/outer/one/inner",
            "answer/outer/one/inner/two",
        ]

    def test_attempts_in_threads_stand_below_their_own_router(self, recorded):
        barrier = threading.Barrier(2, timeout=30)

        @step
        def ask(name):
            barrier.wait()
            return name

        @workflow
        def answer():
            with ThreadPoolExecutor(2) as pool:
                routers = [Router([ONE], on=(), name=name) for name in ("left", "right")]
                futures = [pool.submit(router.call, lambda attempt: ask(attempt.name)) for router in routers]
            return [future.result().value for future in futures]

        assert answer() == ["one", "one"]
        assert {each.path for each in recorded().steps if each.name == "ask"} == {
            "answer/left/one/ask",
            "answer/right/one/ask",
        }

    def test_an_error_in_the_callers_own_function_goes_through_and_ends_every_step(self, recorded):
        def on(error):
            raise ZeroDivisionError

        @workflow
        def answer():
            with pytest.raises(ZeroDivisionError):
                Router([ONE], on=on).call(said_by)
            return current().path

        assert answer() == "answer"
        assert [(each.path, each.status) for each in recorded().steps] == [
            ("answer", "completed"),
            ("answer/fallback", "failed"),
            ("answer/fallback/one", "failed"),
        ]

    def test_a_refused_answer_is_kept_with_its_attempt(self, recorded):
        @workflow
        def answer():
            Router([ONE], on=(), reject=lambda _: "gibberish").call(lambda attempt: "xx")

        with pytest.raises(AllTargetsFailed) as raised:
            answer()
        assert isinstance(raised.value.exceptions[0], OutputRejected)
        (tried,) = (each for each in recorded().steps if each.kind == "attempt")
        assert tried.output is not None
