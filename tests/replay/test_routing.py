"""A replay shows the router reacting: to what was recorded as it did then, and to a fault as it would."""

from __future__ import annotations

import pytest

from replay import fail, replay, substitute
from router import DeadlineExceeded
from tests.loopback import Reply
from tracer import configure
from tracer.catalogue import Target
from tracer.decisions import TRY, decision_in

SOURCE = '''
import openai
from router import (Retry, Restarted, Router, Target, budget, deadline, is_transient, time_left, usd_left)
from tracer import Price, step, workflow

ONE, TWO = Target("one"), Target("two")
PRICE = Price(input_nusd=1_000_000, output_nusd=1_000_000)


def ask(attempt, url, text):
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
        answer = client.chat.completions.create(
            model=attempt.name, messages=[{"role": "user", "content": text}], timeout=20)
        return answer.choices[0].message.content


def tell(attempt, url, text):
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
        stream = client.chat.completions.create(
            model=attempt.name, messages=[{"role": "user", "content": text}], stream=True)
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


RETRY = Retry(on=is_transient, attempts=2, base_s=0.01)


@workflow
def answer(url):
    return Router([ONE, TWO, template], retry=RETRY, name="draft").call(ask, url, "hello").value


@step
def drafted(attempt, url):
    return ask(attempt, url, "hello")


@workflow
def stepped(url):
    router = Router([ONE, TWO], retry=RETRY, deadline_s=30, name="draft")
    return router.call(drafted, url).value


@workflow
def patient(url):
    retry = Retry(on=is_transient, attempts=2, base_s=3600, cap_s=3600, jitter="none")
    return Router([ONE], retry=retry, name="draft").call(ask, url, "hello").value


@workflow
def streamed(url):
    router = Router([ONE, template], retry=RETRY, on_break="restart", name="draft")
    return [str(chunk) for chunk in router.stream(tell, url, "hello")]


@workflow
def hurried(url):
    router = Router([ONE, template], retry=RETRY, deadline_s=30, name="draft")
    return router.call(ask, url, "hello").value


@workflow
def late(url):
    with deadline(0):
        return Router([ONE], on=(), name="draft").call(ask, url, "hello").value


@workflow
def thrifty(url):
    with budget(usd=0.03):
        first = Router([ONE], on=(), name="first").call(ask, url, "hello").value
        told(usd_left())
        second = Router([ONE, template], on=(), name="second").call(ask, url, "more").value
        third = Router([ONE, template], on=(), name="third").call(ask, url, "most").value
        return first, second, third


@step
def told(usd):
    """Its input is what was left."""
    return usd


def template(url, text):
    return "a template"
'''


def routed(recorded, trace, name="draft"):
    """The decision of a trace, and its tries as (target, verdict)."""
    steps = recorded.trace(trace).steps
    (router,) = (each for each in steps if each.name == name and each.kind == "router")
    return decision_in(router.tags), [
        (each.tags[TRY]["target"], each.tags[TRY].get("verdict")) for each in steps if each.kind == "attempt"
    ]


@pytest.fixture
def pipeline(module, own_catalogue):
    return module(SOURCE)


class TestAsRecorded:
    def test_a_backoff_that_was_waited_is_the_same_and_asks_nobody(self, recorded, server, pipeline):
        server.next(Reply(status=429, headers={"retry-after": "1"}), Reply(words=("fine",)))
        assert pipeline.answer(server.url) == "fine"
        was = routed(recorded, "latest")
        assert was[1] == [("one", "retry"), ("one", "done")]
        assert was[0].waited_s == 1.0
        done = replay("latest")
        assert done.stopped is None, done.stopped
        assert done.output == "fine"
        assert routed(recorded, done.trace_id) == was
        assert len(server.seen) == 2

    def test_a_step_that_takes_the_attempt_is_served_whatever_time_is_left_now(self, recorded, server, pipeline):
        server.next(Reply(status=500), Reply(words=("fine",)))
        assert pipeline.stepped(server.url) == "fine"
        done = replay("latest")
        assert done.stopped is None, done.stopped
        assert done.output == "fine"
        assert [str(each) for each in done.divergences] == []
        assert recorded.origins(done.trace_id)["stepped/draft/one[1]/drafted"] == "recorded"
        assert len(server.seen) == 2

    def test_a_draw_is_the_recorded_one(self, recorded, server, pipeline):
        server.next(Reply(status=500), Reply(words=("fine",)))
        pipeline.answer(server.url)
        was = routed(recorded, "latest")
        assert 0 < was[0].waited_s <= 0.01
        assert routed(recorded, replay("latest").trace_id) == was

    def test_a_deadline_that_had_passed_has_passed_again(self, recorded, server, pipeline):
        with pytest.raises(DeadlineExceeded):
            pipeline.late(server.url)
        done = replay("latest")
        assert isinstance(done.error, DeadlineExceeded)
        assert server.seen == []

    def test_a_budget_that_was_used_up_is_used_up_again_though_nothing_is_paid(self, recorded, server, pipeline):
        configure(models=[Target("loopback-1-2026-10-01", price=pipeline.PRICE)])
        server.next(Reply(words=("fine",)), Reply(words=("more",)), Reply(words=("never",)))
        assert pipeline.thrifty(server.url) == ("fine", "more", "a template")
        left = recorded.value(recorded.step("told"))
        assert left == pytest.approx(0.03 - 0.018)
        done = replay("latest")
        assert done.stopped is None, done.stopped
        assert done.output == ("fine", "more", "a template")
        assert recorded.value(recorded.step("told", done.trace_id)) == left
        assert "BudgetExceeded" in routed(recorded, done.trace_id, "third")[0].reason


class TestUnderAFault:
    def test_a_refusal_is_retried_after_what_it_asks_for_and_then_falls_back(self, recorded, server, pipeline):
        pipeline.answer(server.url)
        done = replay("latest", fail("one", "rate_limited"))
        decision, tries = routed(recorded, done.trace_id)
        assert tries[:2] == [("one", "retry"), ("one", "next")]
        assert (decision.retries, decision.waited_s) == (1, 1.0)
        assert done.stopped is not None  # the record does not hold what "two" would say
        assert "two" in str(done.stopped)
        assert len(server.seen) == 1

    def test_one_that_passes_is_retried_and_answers(self, recorded, server, pipeline):
        assert pipeline.answer(server.url) == "Hello, world"
        done = replay("latest", fail("one", "rate_limited", once=True))
        decision, tries = routed(recorded, done.trace_id)
        assert done.output == "Hello, world"
        assert tries == [("one", "retry"), ("one", "done")]
        assert (decision.chosen, decision.attempts, decision.retries, decision.waited_s) == ("one", 2, 1, 1.0)
        assert not decision.fell_back
        assert len(server.seen) == 1

    def test_a_backoff_of_an_hour_takes_no_time(self, recorded, server, pipeline):
        pipeline.patient(server.url)
        done = replay("latest", fail("one", "rate_limited", once=True))
        assert done.output == "Hello, world"
        assert routed(recorded, done.trace_id)[0].waited_s == 3600

    def test_a_timeout_uses_up_the_deadline_and_the_rule_answers(self, recorded, server, pipeline):
        assert pipeline.hurried(server.url) == "Hello, world"
        done = replay("latest", fail("one", "timeout"))
        assert done.stopped is None, done.stopped
        assert done.output == "a template"
        decision, tries = routed(recorded, done.trace_id)
        assert decision.chosen == "template"
        assert decision.fell_back
        assert "DeadlineExceeded" in decision.reason
        assert tries == [("one", "next"), ("template", "done")]

    def test_a_cut_stream_is_begun_anew_elsewhere(self, recorded, server, pipeline):
        assert pipeline.streamed(server.url) == ["Hello", ", ", "world"]
        done = replay("latest", fail("one", "cut_stream"))
        assert done.stopped is None, done.stopped
        assert done.output[-2:] == ["Restarted(target='template')", "a template"]
        assert done.output[0] == "Hello"
        decision, tries = routed(recorded, done.trace_id)
        assert decision.chosen == "template"
        assert tries == [("one", "retry"), ("one", "next"), ("template", "done")]

    def test_another_model_in_place_of_one_is_routed_alike(self, recorded, server, pipeline):
        pipeline.answer(server.url)
        other = Target("other", call=lambda request: f"other heard {request.messages[-1].content}")
        done = replay("latest", substitute("one", model=other))
        assert done.output == "other heard hello"
        assert routed(recorded, done.trace_id)[1] == [("one", "done")]
