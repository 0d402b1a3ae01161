"""Another model in place of the recorded one: at the wire, whatever the SDK was told to do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest

import tracer
from replay import PlanError, allow, edit, fail, live, replay, substitute
from replay.lens import readable
from replay.plan import Plan
from replay.targets import targets
from tests.builders import Story
from tests.loopback import MODEL, Loopback, Reply
from tests.replay.support import DONE, done
from tracer import FREE, Target, effect, step, workflow
from tracer.catalogue import Price
from tracer.messages import ChatAnswer, ChatRequest, Message
from tracer.model import Usage

HOW = ["sync", "sync stream", "async", "async stream"]


def question(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


def say(url: str, text: str, *, streamed: bool) -> str:
    with openai.OpenAI(base_url=url, api_key="not-a-real-key", max_retries=0) as client:
        if not streamed:
            return client.chat.completions.create(**question(text)).choices[0].message.content or ""
        chunks = client.chat.completions.create(**question(text, stream=True, stream_options={"include_usage": True}))
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def say_later(url: str, text: str, *, streamed: bool) -> str:
    async with openai.AsyncOpenAI(base_url=url, api_key="not-a-real-key", max_retries=0) as client:
        if not streamed:
            return (await client.chat.completions.create(**question(text))).choices[0].message.content or ""
        chunks = await client.chat.completions.create(
            **question(text, stream=True, stream_options={"include_usage": True})
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


@step
def classify(url: str, text: str, how: str) -> str:
    if how.startswith("async"):
        return asyncio.run(say_later(url, text, streamed="stream" in how))
    return say(url, text, streamed="stream" in how)


@step
def draft(url: str, intent: str, how: str) -> str:
    return classify.__wrapped__(url, f"draft for {intent}", how)


@effect(stand_in="kept")
def send(body: str) -> str:
    DONE.append(body)
    return "sent"


@workflow
def support(url: str, text: str, how: str = "sync") -> list:
    intent = classify(url, text, how)
    body = draft(url, intent, how)
    return [intent, body, send(body)]


def parrot(request: ChatRequest) -> str:
    return f"heard {request.messages[-1].content}"


@pytest.fixture
def run(recorded, server):
    """Records one run of support, and gives its trace."""

    def record(how: str = "sync") -> Any:
        server.next(Reply(words=("bill", "ing")), Reply(words=("Dear ", "you")))
        assert support(server.url, "my card", how) == ["billing", "Dear you", "sent"]
        done()
        server.seen.clear()
        return recorded.trace()

    return record


class TestUnchanged:
    @pytest.mark.parametrize("how", HOW)
    def test_no_call_leaves_the_process(self, run, server, how):
        trace = run(how)
        again = replay(trace.trace_id)
        assert (again.output, again.live, again.served, server.seen) == (["billing", "Dear you", "sent"], 0, 3, [])

    @pytest.mark.parametrize("how", HOW)
    def test_bodies_that_run_get_the_recorded_answers_at_the_wire(self, run, server, how):
        trace = run(how)
        again = replay(trace.trace_id, verify=True)
        assert (again.output, again.live, again.served, server.seen) == (["billing", "Dear you", "sent"], 0, 3, [])

    def test_what_was_served_keeps_its_facts_and_costs_nothing(self, run, recorded):
        trace = run()
        again = recorded.trace(replay(trace.trace_id, verify=True).trace_id)
        before, after = ([each.call for each in of.steps if each.call] for of in (trace, again))
        assert [(call.model, call.usage) for call in after] == [(call.model, call.usage) for call in before]
        assert {(call.cost.nusd, call.cost.price) for call in after} == {(0, "served from the record")}
        assert (again.summary.cost_nusd, again.summary.unpriced, again.summary.input_tokens) == (0, 0, 0)


class TestSubstitution:
    @pytest.mark.parametrize("how", HOW)
    def test_a_python_callable_answers_in_the_wire_format_that_the_sdk_expects(self, run, server, how):
        trace = run(how)
        again = replay(
            trace.trace_id, substitute("classify", model=Target("parrot", call=parrot, price=FREE)), live("x")
        )
        assert again.stopped is None
        # The draft's prompt follows from the new intent, and so may go live: to its own model.
        assert again.output == ["heard my card", "Hello, world", "kept"]
        assert [each.body["messages"][-1]["content"] for each in server.seen] == ["draft for heard my card"]
        assert done() == []

    @pytest.mark.parametrize("how", HOW)
    def test_an_endpoint_is_asked_instead_of_the_original(self, run, server, how):
        trace = run(how)
        with Loopback() as other:
            target = Target("cheap", model="cheap-1", base_url=other.url, price=FREE)
            again = replay(trace.trace_id, substitute("support", model=target))
        assert again.output == ["Hello, world", "Hello, world", "kept"]
        assert [each.body["model"] for each in other.seen] == ["cheap-1", "cheap-1"]
        assert server.seen == []
        assert (again.live, again.served) == (2, 0)

    def test_only_the_step_that_is_named_is_asked_of_it(self, run, recorded, server):
        trace = run()
        same = Target("same", call=lambda _: "billing", price=FREE)
        again = replay(trace.trace_id, substitute("classify", model=same))
        assert (again.output, again.live, again.served) == (["billing", "Dear you", "sent"], 1, 2)
        new = recorded.trace(again.trace_id)
        assert [each.origin for each in new.steps] == [
            "live",
            "live",
            "substituted",
            "recorded",
            "recorded",
            "recorded",
        ]
        assert new.steps[2].call.model == "same"
        assert server.seen == []

    def test_a_name_is_one_of_the_catalogue(self, run):
        trace = run()
        tracer.configure(models={"parrot": Target("parrot", call=lambda _: "billing", price=FREE)})
        assert replay(trace.trace_id, substitute("classify", model="parrot")).live == 1
        with pytest.raises(PlanError, match=r"--model classify=nobody: no model named 'nobody' .*parrot"):
            replay(trace.trace_id, substitute("classify", model="nobody"))

    @pytest.mark.parametrize("model", ["same:gpt-9-mini", Target("gpt-9-mini", price=FREE)], ids=["name", "target"])
    def test_another_model_of_the_provider_is_asked_as_the_code_asks_it(self, run, server, model):
        trace = run()
        again = replay(trace.trace_id, substitute("classify", model=model))
        assert again.live == 2
        assert server.seen[0].body["model"] == "gpt-9-mini"

    @pytest.mark.parametrize(("name", "is_sold"), [("gpt-4o", True), ("gpt-4o-with-a-slip", False)])
    def test_a_model_that_the_asked_provider_sells_needs_no_other_word(self, store, name, is_sold):
        told = Story("support")
        told.call("gpt-4o-mini", under=told.begin("draft"), provider="openai", input_tokens=1, output_tokens=1)
        told.finish("sent")
        store.apply(told.events, owner="me")
        trace, plan = store.trace(store.resolve("latest")), Plan((substitute("draft", model=name),))
        if is_sold:
            assert [target.asked_as for target in targets(plan, trace).values()] == [name]
        else:
            with pytest.raises(PlanError, match=f"same:{name} is a model of the provider that was asked"):
                targets(plan, trace)

    def test_an_embedding_in_the_step_is_left_as_it_is(self, recorded, server):
        finds(server.url)
        server.seen.clear()
        again = replay("latest", substitute("look_up", model=Target("parrot", call=parrot, price=FREE)))
        assert (again.output, again.live, again.served, server.seen) == ("heard q", 1, 1, [])


@step
def look_up(url: str) -> str:
    with openai.OpenAI(base_url=url, api_key="not-a-real-key", max_retries=0) as client:
        client.embeddings.create(model="text-embedding-3-small", input="q")
    return say(url, "q", streamed=False)


@workflow
def finds(url: str) -> str:
    return look_up(url)


class TestMoney:
    ANSWER = ChatAnswer(Message("assistant", "billing"), usage=Usage(11, 7, raw={"prompt_tokens": 11}))
    PRICED = Target("dear", call=lambda _: TestMoney.ANSWER, price=Price(input_nusd=100, output_nusd=1000))
    ONE_CALL_USD = (11 * 100 + 7 * 1000) / 1e9

    def test_a_replay_costs_what_ran_as_the_store_has_it_too(self, run, recorded):
        trace = run()
        again = replay(trace.trace_id, substitute("classify", model=self.PRICED))
        assert again.cost_usd == pytest.approx(self.ONE_CALL_USD)
        summary = recorded.trace(again.trace_id).summary
        assert summary.cost_nusd == round(again.cost_usd * 1e9)
        assert summary.input_tokens == 11
        assert again.unpriced == ()

    def test_a_step_around_a_call_does_not_cost_twice_or_make_it_unknown(self, recorded, server):
        wrapping(server.url)
        again = replay("latest", substitute("wrapped", model=self.PRICED))
        assert again.cost_usd == pytest.approx(self.ONE_CALL_USD)
        assert again.live == 1
        assert recorded.trace(again.trace_id).summary.unpriced == 0

    def test_an_edited_or_injected_answer_costs_nothing(self, run, recorded):
        trace = run()
        for rule in (edit("classify/chat", "billing"), fail("draft", "empty")):
            again = replay(trace.trace_id, rule)
            assert again.cost_usd == 0
            summary = recorded.trace(again.trace_id).summary
            assert (summary.cost_nusd, summary.unpriced) == (0, 0)

    def test_what_no_one_knows_the_price_of_is_unknown_and_named(self, run):
        trace = run()
        again = replay(trace.trace_id, substitute("classify", model=Target("mystery", call=lambda _: "billing")))
        assert (again.cost_usd, again.unpriced) == (None, ("mystery",))

    @pytest.mark.parametrize(("calls", "stopped"), [(1, True), (2, False)])
    def test_the_budget_stops_before_the_call_that_would_exceed_it(self, run, calls, stopped):
        trace = run()
        asked = []
        target = Target("dear", call=lambda _: asked.append(1) or self.PRICED.call(_), price=self.PRICED.price)
        again = replay(trace.trace_id, substitute("support", model=target), budget_usd=self.ONE_CALL_USD * calls)
        assert len(asked) == calls
        assert (again.stopped is not None) is stopped
        if stopped:
            assert again.stopped.divergence.kind == "budget"
            assert again.stopped.divergence.path == "support/draft/chat"
            assert "--budget-usd" in again.stopped.advice

    def test_calls_at_once_can_not_spend_the_same_money(self, recorded, server):
        asyncio.run(at_once(server.url))
        asked = []
        target = Target("dear", call=lambda _: asked.append(1) or self.PRICED.call(_), price=self.PRICED.price)
        again = replay("latest", substitute("at_once", model=target), budget_usd=self.ONE_CALL_USD * 2.5)
        assert again.stopped.divergence.kind == "budget"
        assert len(asked) <= 2

    def test_a_call_of_unknown_price_is_not_begun_under_a_budget(self, run):
        trace = run()
        asked = []
        target = Target("mystery", call=lambda _: asked.append(1) or "billing")
        again = replay(trace.trace_id, substitute("classify", model=target), budget_usd=100)
        assert asked == []
        assert "mystery" in str(again.stopped)
        assert "price=" in str(again.stopped)

    def test_free_calls_need_no_budget(self, run):
        trace = run()
        free = Target("free", call=lambda _: "billing", price=FREE)
        assert replay(trace.trace_id, substitute("classify", model=free), budget_usd=0).stopped is None


@step(kind="llm", model="gpt-4o-mini")
def wrapped(url: str) -> str:
    return say(url, "q", streamed=False)


@workflow
def wrapping(url: str) -> str:
    return wrapped(url)


@workflow
async def at_once(url: str) -> list:
    return await asyncio.gather(*(say_later(url, str(at), streamed=False) for at in range(5)))


class TestAChangedRequest:
    def test_it_stops_the_replay_with_both_texts_and_the_place(self, run):
        trace = run()
        said = str(replay(trace.trace_id, edit("classify", "loans")).stopped)
        assert said.startswith(
            "support/draft/chat: input-changed, stopped; first at $.body.messages[0].content: "
            "'draft for billing' -> 'draft for loans'. "
        )

    def test_the_answer_of_a_model_call_is_edited_with_a_text(self, run, server):
        trace = run()
        again = replay(trace.trace_id, edit("draft/chat", "Dear"), edit("classify/chat", "billing"))
        assert (again.output, again.unused, server.seen) == (["billing", "Dear", "kept"], (), [])

    @pytest.mark.parametrize("how", HOW)
    def test_in_the_format_that_the_sdk_expects(self, run, server, how):
        trace = run(how)
        again = replay(trace.trace_id, edit("support/draft/chat", "Dear editor"))
        assert (again.output, server.seen) == (["billing", "Dear editor", "kept"], [])

    def test_and_with_nothing_else(self, run):
        trace = run()
        with pytest.raises(PlanError, match="support/draft/chat is a model call: edit it with a text"):
            replay(trace.trace_id, edit("support/draft/chat", {"role": "assistant"}))


class TestFaultsAtTheWire:
    @pytest.mark.parametrize(
        ("fault", "raised"),
        [
            ("timeout", openai.APITimeoutError),
            ("connection_reset", openai.APIConnectionError),
            ("rate_limited", openai.RateLimitError),
            ("server_error", openai.InternalServerError),
        ],
    )
    @pytest.mark.parametrize("how", HOW)
    def test_the_sdk_raises_its_own(self, run, fault, raised, how):
        trace = run(how)
        again = replay(trace.trace_id, fail("classify", fault))
        assert type(again.error) is raised

    def test_a_refusal_for_now_says_how_long(self, run):
        trace = run()
        assert replay(trace.trace_id, fail("classify", "rate_limited")).error.response.headers["retry-after"] == "1"

    @pytest.mark.parametrize(("fault", "text"), [("empty", ""), ("bad_json", '{"this": "is cut o')])
    @pytest.mark.parametrize("how", HOW)
    def test_or_gets_an_answer_that_is_of_no_use(self, run, fault, text, how):
        trace = run(how)
        again = replay(trace.trace_id, fail("draft", fault))
        assert again.output == ["billing", text, "kept"]


class TestRecordedFailures:
    def test_a_call_that_failed_fails_the_same_way(self, recorded, server):
        server.next(Reply(status=429, headers={"retry-after": "7"}))
        with pytest.raises(openai.RateLimitError):
            once(server.url)
        server.seen.clear()
        again = replay("latest", verify=True)
        assert type(again.error) is openai.RateLimitError
        assert again.error.response.headers["retry-after"] == "7"
        assert server.seen == []


@workflow
def once(url: str) -> str:
    return say(url, "q", streamed=False)


@step
def notify(url: str, body: str) -> int:
    with httpx.Client() as client:
        return client.post(f"{url}/hooks", json={"text": body}).status_code


@step
def fetch(url: str, body: str) -> int:
    with httpx.Client() as client:
        return client.get(f"{url}/{body}").status_code


@step
def word() -> str:
    return "one"


@workflow
def hooking(url: str, how: str) -> int:
    return (notify if how == "POST" else fetch)(url, word())


class TestOtherRequests:
    @pytest.fixture
    def hooked(self, recorded, server):
        server.next(Reply(body=b"{}"))
        hooking(server.url, "POST")
        server.seen.clear()
        return recorded.trace().trace_id

    def test_one_of_the_record_is_served(self, hooked, server):
        assert replay(hooked, verify=True).output == 200
        assert server.seen == []

    def test_one_that_may_change_something_is_not_sent_for_lying_in_a_live_step(self, hooked, server):
        again = replay(hooked, edit("word", "two"), live("notify"), on_divergence="live")
        assert again.stopped.divergence.kind == "input-changed"
        assert "--allow 'POST 127.0.0.1'" in str(again.stopped)
        assert server.seen == []

    def test_it_is_sent_where_it_is_allowed(self, hooked, server):
        for rule in (allow("notify"), allow("POST 127.0.0.1"), live("POST 127.0.0.1")):
            server.next(Reply(body=b"{}"))
            assert replay(hooked, edit("word", "two"), rule).output == 200
        assert [each.body for each in server.seen] == [{"text": "two"}] * 3

    def test_one_that_only_reads_may_go_live_like_a_model_call(self, recorded, server):
        hooking(server.url, "GET")
        trace = recorded.trace().trace_id
        assert replay(trace, edit("word", "two")).stopped is not None
        assert replay(trace, edit("word", "two"), on_divergence="live").output == 200


class TestTheLens:
    def test_a_model_call_reads_as_its_body_and_its_answer(self, run, recorded):
        run()
        call = recorded.step("support/classify/chat")
        from tracer.store import open_store

        with open_store(recorded.url) as store:
            asked, answered = store.value(call.input), store.value(call.output)
        assert readable(call, None, asked)["body"] == question("my card")
        assert readable(call, asked, answered) == {"status": 200, "text": "billing"}
        assert json.loads(answered.raw)["model"] == MODEL
