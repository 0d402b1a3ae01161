"""The real OpenAI SDK, unchanged, inside a workflow."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx2
import openai
import pytest

import tracer
from tests.loopback import MODEL, USAGE, Loopback, Reply
from tests.tracer.http_support import Playing, Records, under
from tracer import http, step, workflow
from tracer.catalogue import Target
from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.model import Usage
from tracer.player import Answer, Raise, Run

ASKED: dict[str, Any] = {"model": "gpt-9", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def server():
    with Loopback() as running:
        yield running


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYHEAD_STRICT", "1")
    yield Records(tmp_path)
    tracer.shutdown()


def sdk(url: str, *, retries: int = 0, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="not-a-real-key", max_retries=retries, **options)


def async_sdk(url: str, *, retries: int = 0, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=url, api_key="not-a-real-key", max_retries=retries, **options)


@workflow
def talk(url: str, **options: Any) -> str:
    with sdk(url, **options) as client:
        return client.chat.completions.create(**ASKED).choices[0].message.content


@workflow
def talk_streamed(url: str, **options: Any) -> str:
    with sdk(url, **options) as client:
        chunks = client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True})
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@workflow
async def talk_async(url: str, **options: Any) -> str:
    async with async_sdk(url, **options) as client:
        return (await client.chat.completions.create(**ASKED)).choices[0].message.content


@workflow
async def talk_async_streamed(url: str, **options: Any) -> str:
    async with async_sdk(url, **options) as client:
        chunks = await client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True})
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


WAYS = {"sync": talk, "sync stream": talk_streamed, "async": talk_async, "async stream": talk_async_streamed}
EVERY_WAY = pytest.mark.parametrize("how", WAYS)


def say(how: str, url: str, *, recorded: bool = True, **options: Any) -> str:
    way = WAYS[how] if recorded else WAYS[how].__wrapped__
    said = way(url, **options)
    return asyncio.run(said) if how.startswith("async") else said


class TestACall:
    @EVERY_WAY
    def test_shows_its_model_its_tokens_and_its_words(self, how, server, records):
        assert say(how, server.url) == "Hello, world"
        made = records.only()
        assert (made.name, made.kind, made.outcome) == ("chat", "llm", "ok")
        assert (made.call.model_asked, made.call.model) == ("gpt-9", MODEL)
        assert (made.call.usage.input_tokens, made.call.usage.output_tokens) == (11, 7)
        assert made.call.usage.raw == USAGE
        assert made.call.streamed is ("stream" in how)
        assert records.given(made).ended == "complete"
        assert 0 < made.call.first_token_ns <= made.duration_ns

    @EVERY_WAY
    def test_that_is_compressed_says_the_same(self, how, server, records):
        server.next(Reply(compressed=True))
        assert say(how, server.url) == "Hello, world"
        assert records.only().call.usage.output_tokens == 7

    @EVERY_WAY
    def test_gives_the_same_without_capture(self, how, server, records):
        server.next(Reply(words=("a", "b")), Reply(words=("a", "b")))
        recorded = say(how, server.url)
        http.uninstall()
        try:
            plain = say(how, server.url, recorded=False)
        finally:
            http.install()
        assert recorded == plain == "ab"
        assert server.seen[0].body == server.seen[1].body
        assert server.seen[0].headers == server.seen[1].headers

    def test_with_its_raw_response_gives_headers_and_object(self, server, records):
        @workflow
        def raw():
            with sdk(server.url) as client:
                response = client.chat.completions.with_raw_response.create(**ASKED)
                return response.headers["x-request-id"], response.headers["set-cookie"], response.parse().id

        assert raw() == ("req-1", "session=secret-of-the-server", "chatcmpl-1")
        assert "set-cookie" not in dict(records.given(records.only()).headers)

    def test_for_vectors_is_an_embedding(self, server, records):
        @workflow
        def embed():
            with sdk(server.url) as client:
                return (
                    client.embeddings.create(model="e-1", input=["a", "b"], encoding_format="float").data[1].embedding
                )

        assert embed() == [0.5, -1.0]
        assert (records.only().kind, records.only().call.usage.input_tokens) == ("embedding", 6)

    def test_through_a_transport_of_ones_own_is_seen(self, records):
        said = {"id": "x", "object": "chat.completion", "created": 1, "model": "mine"}
        said["choices"] = [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]
        own = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json=said)))
        assert talk("http://m.example/v1", http_client=own) == "yes"
        assert records.only().call.model == "mine"

    def test_keeps_the_key_out_of_the_record(self, server, records, tmp_path):
        say("sync", server.url)
        assert server.seen[0].headers["authorization"] == "Bearer not-a-real-key"
        assert b"not-a-real-key" not in records.everything_on_disk(tmp_path)


class TestAStream:
    @pytest.mark.parametrize("how", ["sync", "async"])
    def test_gives_its_first_word_before_the_server_sends_the_second(self, how, server, records):
        second = threading.Event()
        server.next(Reply(gates={2: second}))

        @workflow
        def read():
            words = []
            with sdk(server.url) as client:
                for chunk in client.chat.completions.create(**ASKED, stream=True):
                    words.append(chunk.choices[0].delta.content)
                    if words[-1] == "Hello":
                        second.set()
            return words

        @workflow
        async def read_async():
            words = []
            async with async_sdk(server.url) as client:
                async for chunk in await client.chat.completions.create(**ASKED, stream=True):
                    words.append(chunk.choices[0].delta.content)
                    if words[-1] == "Hello":
                        second.set()
            return words

        words = read() if how == "sync" else asyncio.run(read_async())
        assert words == ["", "Hello", ", ", "world", None]
        assert records.only().call.usage.input_tokens is None  # nobody asked the server to count

    def test_that_the_user_breaks_off_keeps_what_was_read(self, server, records):
        server.next(Reply(gates={2: threading.Event()}))

        @workflow
        def read():
            with sdk(server.url) as client, client.chat.completions.create(**ASKED, stream=True) as chunks:
                for chunk in chunks:
                    if chunk.choices[0].delta.content == "Hello":
                        break

        read()
        given = records.given(records.only())
        assert (records.only().outcome, given.ended) == ("ok", "closed")
        assert b"Hello" in given.raw

    @pytest.mark.parametrize("how", ["sync stream", "async stream"])
    def test_that_is_cut_raises_as_without_us_and_is_kept(self, how, server, records):
        server.next(Reply(cut_after=2))
        with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
            say(how, server.url)
        made = records.only()
        assert (made.outcome, made.failure.type) == ("failed", "RemoteProtocolError")
        assert b"Hello" in records.given(made).raw


class TestAFailure:
    @EVERY_WAY
    def test_that_is_retried_shows_each_attempt(self, how, server, records):
        server.next(
            Reply(status=429, headers={"retry-after-ms": "1"}), Reply(status=500, headers={"retry-after-ms": "1"})
        )
        assert say(how, server.url, retries=2) == "Hello, world"
        attempts = records.steps()
        assert [(a.outcome, a.call.status_code) for a in attempts] == [("failed", 429), ("failed", 500), ("ok", 200)]
        assert [a.path.rpartition("/")[2] for a in attempts] == ["chat", "chat[1]", "chat[2]"]
        assert [dict(records.sent(a).headers)["x-stainless-retry-count"] for a in attempts] == ["0", "1", "2"]
        assert len({a.identity for a in attempts if a.identity}) <= 1

    @EVERY_WAY
    def test_that_lasts_is_the_sdks_own_exception(self, how, server, records):
        server.next(Reply(status=429))
        with pytest.raises(openai.RateLimitError, match="no, 429"):
            say(how, server.url)
        assert records.only().failure.message == "429 Too Many Requests: no, 429"

    @EVERY_WAY
    def test_by_timeout_is_the_sdks_own_exception(self, how, server, records):
        server.next(Reply(before=threading.Event()))
        with pytest.raises(openai.APITimeoutError):
            say(how, server.url, timeout=openai.Timeout(60, read=0.05))
        assert (records.only().failure.type, records.only().call.status_code) == ("ReadTimeout", None)

    @EVERY_WAY
    def test_of_a_proxy_that_answers_in_html_is_kept_as_it_is(self, how, server, records):
        page = b"<html>bad gateway</html>"
        server.next(Reply(status=502, body=page, headers={"content-type": "text/html"}))
        with pytest.raises(openai.InternalServerError):
            say(how, server.url)
        assert records.given(records.only()).raw == page
        assert "bad gateway" in records.only().failure.message


class TestAReplay:
    @EVERY_WAY
    @pytest.mark.parametrize("reply", [Reply(), Reply(compressed=True)], ids=["plain", "gzip"])
    def test_serves_the_recorded_answer_with_the_server_gone(self, how, reply, server, records):
        server.next(reply)
        first = say(how, server.url)
        made = records.only()
        with under(Playing(chat=Answer(records.given(made), "recorded", made))):
            assert say(how, "http://gone.example/v1") == first
        assert (records.only().origin, records.only().call.usage) == ("recorded", made.call.usage)

    @EVERY_WAY
    def test_serves_a_recorded_refusal_as_the_sdks_exception(self, how, server, records):
        server.next(Reply(status=429))
        with pytest.raises(openai.RateLimitError):
            say(how, server.url)
        made = records.only()
        with under(Playing(chat=Answer(records.given(made), "recorded", made))), pytest.raises(openai.RateLimitError):
            say(how, "http://gone.example/v1")
        assert records.only().outcome == "failed"

    @EVERY_WAY
    def test_injects_a_timeout_that_the_sdk_knows(self, how, records):
        with under(Playing(chat=Raise(TimeoutError("slow"), "injected"))), pytest.raises(openai.APITimeoutError):
            say(how, "http://gone.example/v1")

    @EVERY_WAY
    def test_puts_a_python_callable_in_the_models_place(self, how, records):
        def model(request: ChatRequest) -> str:
            return f"you said {request.messages[-1].content}"

        with under(Playing(chat=Run(target=Target("intent-lr", call=model), origin="substituted"))):
            assert say(how, "http://gone.example/v1") == "you said hi"
        assert records.only().call.model == "intent-lr"

    @EVERY_WAY
    def test_puts_another_endpoint_in_the_models_place(self, how, server, records):
        target = Target("tiny", model="tiny-135m", base_url=server.url)
        with under(Playing(chat=Run(target=target, origin="substituted"))):
            assert say(how, "http://gone.example/v1") == "Hello, world"
        assert server.seen[0].body["model"] == "tiny-135m"
        assert "authorization" not in server.seen[0].headers

    @pytest.mark.parametrize("streamed", [False, True])
    def test_gives_tool_calls_and_usage_of_a_callable_as_the_sdk_knows_them(self, streamed, records):
        calls = (ToolCall("call-1", "look", '{"q": "x"}'), ToolCall("call-2", "send", "{}"))
        said = ChatAnswer(Message("assistant", "", tool_calls=calls), finish_reason="tool_calls", usage=Usage(4, 2))

        @workflow
        def use_tools():
            options = {"stream_options": {"include_usage": True}} if streamed else {}
            with sdk("http://gone.example/v1") as client:
                if not streamed:
                    answer = client.chat.completions.create(**ASKED)
                    return answer.choices[0].message.tool_calls, answer.usage.total_tokens
                with client.chat.completions.stream(**ASKED, **options) as events:
                    answer = events.get_final_completion()
                    return answer.choices[0].message.tool_calls, answer.usage.total_tokens

        with under(Playing(chat=Run(target=Target("t", call=lambda _: said)))):
            tools, total = use_tools()
        assert [(t.id, t.function.name, t.function.arguments) for t in tools] == [
            ("call-1", "look", '{"q": "x"}'),
            ("call-2", "send", "{}"),
        ]
        assert total == 6


class TestConcurrency:
    def test_keeps_the_calls_of_parallel_steps_apart(self, server, records):
        @step
        async def draft(client, name):
            made = await client.chat.completions.create(model=name, messages=ASKED["messages"])
            return made.model

        @workflow
        async def pipeline():
            async with async_sdk(server.url) as client:
                return await asyncio.gather(*(draft(client, f"m{number}") for number in range(8)))

        assert asyncio.run(pipeline()) == [MODEL] * 8
        drafts = {s.step_id: s.path for s in records.steps("step")}
        calls = records.steps("llm")
        assert len(calls) == 8
        assert {drafts[c.parent_id] + "/chat" for c in calls} == {c.path for c in calls}
        assert {c.call.model_asked for c in calls} == {f"m{number}" for number in range(8)}
