"""What the router writes into a trace, read back from the store."""

from __future__ import annotations

import asyncio

import pytest

from router import (
    AllTargetsFailed,
    Bands,
    GuardrailFailed,
    Guardrails,
    Length,
    Target,
    fallback,
    fallback_async,
    judge,
    require,
    route,
)
from tracer import recorder, workflow
from tracer.store import open_store

ONE, TWO = Target("one"), Target("two")


def slow_one(target):
    if target is ONE:
        raise TimeoutError("too slow")
    return f"said by {target.name}"


def shape(trace):
    return [(step.path, step.kind, step.status) for step in trace.steps]


def value(ref):
    with open_store(recorder.current_config().database_url) as store:
        return store.value(ref)


class TestFallback:
    def test_an_error_that_is_not_named_fails_the_attempt_and_everything_above_it(self, recorded):
        @workflow
        def answer():
            return fallback([ONE, TWO], slow_one, on=ValueError)

        with pytest.raises(TimeoutError):
            answer()
        assert shape(recorded()) == [
            ("answer", "workflow", "failed"),
            ("answer/fallback", "router", "failed"),
            ("answer/fallback/one", "attempt", "failed"),
        ]

    def test_all_targets_failing_is_told_with_each_attempt(self, recorded):
        @workflow
        def answer():
            return fallback([ONE, TWO], lambda _: "", on=(), reject=lambda text: None if text else "empty")

        with pytest.raises(AllTargetsFailed) as raised:
            answer()
        assert [name for name, _ in raised.value.attempts] == ["one", "two"]
        trace = recorded()
        assert [step.status for step in trace.steps] == ["failed"] * 4
        assert [step.failure.message for step in trace.steps if step.kind == "attempt"] == [
            "the answer of one was refused: empty",
            "the answer of two was refused: empty",
        ]

    def test_the_step_says_who_answered_and_who_failed_and_why(self, recorded):
        @workflow
        def answer():
            return fallback([ONE, TWO], slow_one, on=TimeoutError, name="write").value

        assert answer() == "said by two"
        trace = recorded()
        assert shape(trace) == [
            ("answer", "workflow", "completed"),
            ("answer/write", "router", "completed"),
            ("answer/write/one", "attempt", "failed"),
            ("answer/write/two", "attempt", "completed"),
        ]
        assert value(trace.steps[1].input) == {"targets": ["one", "two"]}
        told = value(trace.steps[1].output)
        assert (told.value, told.target) == ("said by two", "two")
        assert [(one.target, one.error, one.reason) for one in told.failed] == [("one", "TimeoutError", "too slow")]
        assert value(trace.steps[3].output) == "said by two"

    def test_coroutines_are_tried_in_the_same_way(self, recorded):
        async def call(target):
            await asyncio.sleep(0)
            return slow_one(target)

        @workflow
        async def answer():
            return await fallback_async([ONE, TWO], call, on=TimeoutError)

        assert asyncio.run(answer()).target == "two"
        assert [status for _, _, status in shape(recorded())] == ["completed", "completed", "failed", "completed"]

    def test_a_cancelled_attempt_is_not_tried_elsewhere(self, recorded):
        tried = []
        trying = asyncio.Event()

        async def call(target):
            tried.append(target.name)
            trying.set()
            await asyncio.Event().wait()

        @workflow
        async def answer():
            return await fallback_async([ONE, TWO], call, on=lambda _: True)

        async def cancel():
            task = asyncio.create_task(answer())
            await trying.wait()
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(cancel())
        assert tried == ["one"]
        assert [status for _, _, status in shape(recorded())] == ["cancelled"] * 3

    def test_outside_a_workflow_it_does_the_same_and_records_nothing(self):
        assert fallback([ONE, TWO], slow_one, on=TimeoutError).target == "two"


class TestRoute:
    def test_the_step_holds_the_confidence_the_thresholds_and_the_reason(self, recorded):
        @workflow
        def answer():
            return route(0.5, Bands(sure=0.8, hopeless=0.3)).band

        assert answer() == "unsure"
        step = recorded().steps[1]
        assert (step.name, step.kind) == ("route", "router")
        assert value(step.input) == {"confidence": 0.5, "bands": Bands(sure=0.8, hopeless=0.3)}
        assert value(step.output).reason == "0.50 lies between 0.30 and 0.80"


class TestGuardrail:
    RAILS = Guardrails((Length(at_most=5),))

    def test_a_broken_rule_fails_the_step_when_it_is_required(self, recorded):
        @workflow
        def answer():
            return require("far too long", self.RAILS)

        with pytest.raises(GuardrailFailed) as raised:
            answer()
        assert (raised.value.rule, raised.value.text) == ("length", "far too long")
        step = recorded().steps[1]
        assert (step.kind, step.status) == ("guardrail", "failed")
        assert step.failure.message == "broke the rule 'length': 12 characters, more than 5"
        assert value(step.input) == {"text": "far too long", "guardrails": self.RAILS}

    def test_a_broken_rule_is_a_verdict_when_it_is_only_judged(self, recorded):
        @workflow
        def answer():
            return judge("far too long", self.RAILS).passed

        assert answer() is False
        step = recorded().steps[1]
        assert (step.kind, step.status) == ("guardrail", "completed")
        assert value(step.output).rule == "length"

    def test_what_holds_passes_either_way(self):
        assert require("fine", self.RAILS) == judge("fine", self.RAILS)
