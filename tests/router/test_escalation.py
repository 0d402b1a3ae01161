"""A question to a human ends the run as waiting; what the record says of it, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest

import tracer
from router import EscalationExpired, Human, NobodyToAsk, RouterError, Target, Waiting, escalate, fallback
from tests.router.test_trace import shape, value
from tracer import recorder, step, workflow
from tracer.store import open_store


def pending():
    assert tracer.flush()
    with open_store(recorder.current_config().database_url) as store:
        assert store.verify_totals() == []
        return store.escalations.pending()


class TestARunThatAsks:
    def test_ends_as_waiting_and_its_caller_is_told_of_the_trace(self, recorded):
        @workflow
        def answer():
            return escalate("Refund?", options=["yes", "no"], context={"amount": 20}, timeout_s=60, default="no")

        with pytest.raises(Waiting, match="waits for an answer to: Refund") as raised:
            answer()
        trace = recorded()
        assert (raised.value.trace_id, raised.value.step_id) == (trace.trace_id, trace.steps[1].step_id)
        assert shape(trace) == [("answer", "workflow", "waiting"), ("answer/escalate", "human", "waiting")]
        assert (trace.summary.status, trace.summary.escalations) == ("waiting", 1)
        assert [step.failure for step in trace.steps] == [None, None]
        assert value(trace.steps[1].input) == {
            "asked": {
                "question": "Refund?",
                "options": ["yes", "no"],
                "context": {"amount": 20},
                "timeout_s": 60.0,
                "default": "no",
            }
        }
        (one,) = pending()
        assert (one.trace_id, one.path, one.state) == (trace.trace_id, "answer/escalate", "open")
        assert 59e9 < one.due_ns - one.asked_ns < 61e9

    def test_is_not_kept_from_it_by_its_own_handlers_but_cleans_up(self, recorded):
        seen = []

        @step
        def careful():
            try:
                return escalate("Well?")
            except Exception:  # noqa: BLE001
                seen.append("swallowed")
            finally:
                seen.append("cleaned up")

        @workflow
        def answer():
            return careful()

        with pytest.raises(Waiting):
            answer()
        assert seen == ["cleaned up"]
        assert [status for _, _, status in shape(recorded())] == ["waiting"] * 3

    def test_that_takes_it_all_the_same_has_answered_itself_and_nothing_is_on_the_list(self, recorded):
        @workflow
        def answer():
            with contextlib.suppress(Waiting):
                escalate("Well?")
            return "never mind"

        assert answer() == "never mind"
        assert [status for _, _, status in shape(recorded())] == ["completed", "waiting"]
        assert pending() == []

    def test_asks_from_any_thread(self, recorded):
        @workflow
        def answer():
            with ThreadPoolExecutor(1) as threads:
                return threads.submit(escalate, "Well?").result()

        with pytest.raises(Waiting):
            answer()
        assert [one.path for one in pending()] == ["answer/escalate"]

    def test_asks_several_things_at_once(self, recorded):
        async def ask(name):
            return escalate(f"What of {name}?")

        @workflow
        async def answer():
            async with asyncio.TaskGroup() as group:
                for name in ("this", "that"):
                    group.create_task(ask(name))

        with pytest.raises(BaseExceptionGroup) as raised:
            asyncio.run(answer())
        assert raised.group_contains(Waiting)
        assert recorded().summary.status == "waiting"
        assert [one.path for one in pending()] == ["answer/escalate", "answer/escalate[1]"]

    def test_has_failed_where_something_failed_beside_the_question(self, recorded):
        async def ask():
            return escalate("Well?")

        async def break_down():
            raise ValueError("broken")

        @workflow
        async def answer():
            async with asyncio.TaskGroup() as group:
                group.create_task(ask())
                group.create_task(break_down())

        with pytest.raises(BaseExceptionGroup):
            asyncio.run(answer())
        assert recorded().summary.status == "failed"
        assert pending() == []


class TestAQuestion:
    def test_outside_a_workflow_finds_nobody(self):
        with pytest.raises(NobodyToAsk, match="inside a @workflow"):
            escalate("Well?")

    def test_in_a_run_that_is_not_recorded_finds_nobody(self, recorded):
        @workflow
        def answer():
            return escalate("Well?")

        tracer.configure(sample=0.0)
        with pytest.raises(NobodyToAsk, match="sampled out"):
            answer()
        tracer.configure(sample=1.0)

    def test_in_a_run_whose_content_is_not_captured_finds_nobody(self, recorded):
        @workflow
        def answer():
            return escalate("Well?")

        tracer.configure(capture_content=False)
        with pytest.raises(NobodyToAsk, match="not captured"):
            answer()
        tracer.configure(capture_content=True)

    @pytest.mark.parametrize(
        ("wrong", "why"),
        [
            ({"options": "yes"}, "options are texts"),
            ({"options": [1, 2]}, "options are texts"),
            ({"options": ["a"], "schema": int}, "not both"),
            ({"timeout_s": -1}, "timeout_s"),
            ({"default": "a"}, "say timeout_s"),
            ({"options": ["a", "b"], "timeout_s": 1, "default": "c"}, "none of the options: a, b"),
        ],
        ids=["text", "numbers", "both", "timeout", "default alone", "default"],
    )
    def test_that_can_not_be_is_refused_where_it_is_asked(self, recorded, wrong, why):
        @workflow
        def answer():
            return escalate("Well?", **wrong)

        with pytest.raises(ValueError, match=why):
            answer()

    def test_for_a_type_tells_its_schema(self, recorded):
        @workflow
        def answer():
            return escalate("Which?", schema=Literal["a", "b"], timeout_s=5, default="b")

        with pytest.raises(Waiting):
            answer()
        asked = value(recorded().steps[1].input)["asked"]
        assert asked["schema"] == {"enum": ["a", "b"], "type": "string"}
        assert asked["default"] == "b"


class TestAHuman:
    def test_is_the_last_target_of_a_chain(self, recorded):
        human = Human("What do we say to a bear?", options=("sorry", "no"), context={"request": "a bear"})

        def call(target):
            raise TimeoutError("too slow")

        @workflow
        def answer():
            return fallback([Target("fast"), human], call, on=TimeoutError).value

        with pytest.raises(Waiting, match="What do we say to a bear"):
            answer()
        trace = recorded()
        assert shape(trace) == [
            ("answer", "workflow", "waiting"),
            ("answer/fallback", "router", "waiting"),
            ("answer/fallback/fast", "attempt", "failed"),
            ("answer/fallback/human", "attempt", "waiting"),
            ("answer/fallback/human/escalate", "human", "waiting"),
        ]
        assert value(trace.steps[4].input)["asked"]["context"] == {"request": "a bear"}


def test_waiting_survives_the_way_back_from_another_process():
    asked = pickle.loads(pickle.dumps(Waiting("Well?", "a" * 32, "b" * 16)))
    assert (asked.question, asked.trace_id, asked.step_id) == ("Well?", "a" * 32, "b" * 16)


def test_an_expired_question_is_an_error_of_the_router():
    assert issubclass(EscalationExpired, RouterError)
    assert EscalationExpired("Well?").question == "Well?"
