"""Model calls that another model answers: of the same provider, behind another endpoint, of another format."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anthropic
import httpx2
import openai
import pytest

import tracer
from tests.loopback import MODEL, Loopback, Reply
from tests.tracer.http_support import Playing, Records, under
from tracer import workflow
from tracer.catalogue import FREE, Target
from tracer.errors import ConfigError
from tracer.http.elsewhere import address
from tracer.player import ReplayStopped, Run
from tracer.providers import CHAT, MESSAGES, find

HI = [{"role": "user", "content": "hi"}]
LOOK = {"type": "object", "properties": {"where": {"type": "string"}}}
CALLS = [{"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"where": "there"}'}}]


@pytest.fixture
def server():
    with Loopback() as running:
        yield running


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYHEAD_STRICT", "1")
    monkeypatch.setenv("OTHER_KEY", "other-secret")
    yield Records(tmp_path)
    tracer.shutdown()


def sdk_of_openai(**options: Any) -> openai.OpenAI:
    return openai.OpenAI(**{"base_url": "http://gone.example/v1", "api_key": "mine", "max_retries": 0} | options)


def sdk_of_anthropic(**options: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(**{"base_url": "http://gone.example", "api_key": "mine", "max_retries": 0} | options)


def by(target: Target) -> Playing:
    return Playing(chat=Run(target=target, origin="substituted"))


@workflow
def openai_says(**options: Any) -> str | None:
    with sdk_of_openai() as client:
        return client.chat.completions.create(model="gpt-9", messages=HI, **options).choices[0].message.content


@workflow
def openai_streams() -> str:
    with sdk_of_openai() as client:
        chunks = client.chat.completions.create(
            model="gpt-9", messages=HI, stream=True, stream_options={"include_usage": True}
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@workflow
async def openai_streams_async() -> str:
    async with openai.AsyncOpenAI(base_url="http://gone.example/v1", api_key="mine", max_retries=0) as client:
        chunks = await client.chat.completions.create(
            model="gpt-9", messages=HI, stream=True, stream_options={"include_usage": True}
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


@workflow
def anthropic_says() -> str:
    with sdk_of_anthropic() as client:
        return client.messages.create(model="claude-9", max_tokens=50, messages=HI).content[0].text


@workflow
async def anthropic_says_async() -> str:
    async with anthropic.AsyncAnthropic(base_url="http://gone.example", api_key="mine", max_retries=0) as client:
        return (await client.messages.create(model="claude-9", max_tokens=50, messages=HI)).content[0].text


@workflow
def anthropic_streams() -> str:
    with (
        sdk_of_anthropic() as client,
        client.messages.stream(model="claude-9", max_tokens=50, messages=HI) as events,
    ):
        return "".join(events.text_stream)


class TestOpenAIsSdkWhoseCallAModelOfAnthropicAnswers:
    @pytest.fixture
    def claude(self, server):
        return Target("claude", model="claude-7", base_url=server.url, api_key_env="OTHER_KEY", format="anthropic")

    @pytest.mark.parametrize(
        "call",
        [openai_says, openai_streams, lambda: asyncio.run(openai_streams_async())],
        ids=["plain", "streamed", "streamed async"],
    )
    def test_gets_its_words_and_the_record_its_tokens(self, call, claude, server, records):
        with under(by(claude)):
            assert call() == "Hello, world"
        (seen,) = server.seen
        assert (seen.path, seen.body["model"]) == ("/v1/messages", "claude-7")
        assert seen.body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
        assert (seen.headers["x-api-key"], seen.headers["anthropic-version"]) == ("other-secret", "2023-06-01")
        assert "mine" not in str(seen.headers)
        step = records.only()
        assert (step.outcome, step.call.model_asked, step.call.model) == ("ok", "gpt-9", MODEL)
        assert (step.call.usage.input_tokens, step.call.usage.output_tokens) == (11, 7)
        assert records.sent(step).body["model"] == "gpt-9"

    def test_gets_its_tool_calls(self, claude, server, records):
        server.next(Reply(words=(), tool_calls=CALLS))

        @workflow
        def look() -> Any:
            with sdk_of_openai() as client:
                tools = [{"type": "function", "function": {"name": "look", "parameters": LOOK}}]
                answer = client.chat.completions.create(model="gpt-9", messages=HI, tools=tools)
                (call,) = answer.choices[0].message.tool_calls
                return call.id, call.function.name, call.function.arguments

        with under(by(claude)):
            assert look() == ("t1", "look", '{"where": "there"}')
        assert server.seen[0].body["tools"] == [{"name": "look", "input_schema": LOOK}]

    def test_gets_each_piece_of_a_stream_as_it_comes(self, claude, server, records):
        rest = threading.Event()
        server.next(Reply(gates={4: rest}))
        got = []

        @workflow
        def read() -> str:
            with sdk_of_openai() as client:
                for chunk in client.chat.completions.create(model="gpt-9", messages=HI, stream=True):
                    if chunk.choices and chunk.choices[0].delta.content:
                        got.append(chunk.choices[0].delta.content)
                        rest.set()
            return "".join(got)

        with under(by(claude)):
            assert read() == "Hello, world"
        assert rest.is_set()
        assert records.only().call.streamed

    def test_gets_its_error_as_the_class_it_knows(self, claude, server, records):
        server.next(Reply(status=429, headers={"retry-after": "7"}))
        with under(by(claude)), pytest.raises(openai.RateLimitError) as caught:
            openai_says()
        assert caught.value.response.headers["retry-after"] == "7"
        assert records.only().call.status_code == 429

    def test_is_stopped_where_the_other_format_has_no_word_for_what_it_asks(self, claude, server, records):
        with under(by(claude)), pytest.raises(ReplayStopped, match=r"chat: .*logit_bias"):
            openai_says(logit_bias={"50256": -100})
        assert server.seen == []


class TestAnthropicsSdkWhoseCallAModelBehindAnOpenAICompatibleEndpointAnswers:
    @pytest.mark.parametrize(
        "call",
        [anthropic_says, anthropic_streams, lambda: asyncio.run(anthropic_says_async())],
        ids=["plain", "streamed", "async"],
    )
    def test_gets_its_words_and_the_record_its_tokens(self, call, server, records):
        target = Target("gpt", model="gpt-7", base_url=server.url, api_key_env="OTHER_KEY", price=FREE)
        with under(by(target)):
            assert call() == "Hello, world"
        (seen,) = server.seen
        assert (seen.path, seen.body["model"], seen.body["messages"]) == ("/v1/chat/completions", "gpt-7", HI)
        assert seen.headers["authorization"] == "Bearer other-secret"
        assert not [name for name in seen.headers if name.startswith(("anthropic-", "x-api-key"))]
        step = records.only()
        assert (step.outcome, step.call.model_asked, step.call.model) == ("ok", "claude-9", MODEL)
        # The cached tokens are a part of what OpenAI counts as input, and a part of their own for Anthropic.
        assert (step.call.usage.input_tokens, step.call.usage.output_tokens) == (11, 7)

    def test_breaks_off_where_the_stream_breaks_off(self, server, records):
        server.next(Reply(cut_after=2))
        with under(by(Target("gpt", base_url=server.url))), pytest.raises(httpx2.RemoteProtocolError):
            anthropic_streams()
        assert records.only().outcome == "failed"


class TestAnotherModelOfTheSameProvider:
    def test_is_asked_by_the_callers_own_transport_under_its_own_credentials(self, server, records):
        @workflow
        def ask() -> str | None:
            with sdk_of_openai(base_url=server.url, default_headers={"x-team": "blue"}) as client:
                return client.chat.completions.create(model="gpt-9", messages=HI).choices[0].message.content

        with under(by(Target("gpt-9-mini"))):
            assert ask() == "Hello, world"
        (seen,) = server.seen
        assert (seen.path, seen.body["model"]) == ("/v1/chat/completions", "gpt-9-mini")
        assert (seen.headers["authorization"], seen.headers["x-team"]) == ("Bearer mine", "blue")
        assert records.only().call.model_asked == "gpt-9"

    @pytest.mark.parametrize(
        ("url", "there"),
        [
            (
                "https://g.example/v1beta/models/gemini-3:streamGenerateContent?alt=sse",
                "https://g.example/v1beta/models/other:streamGenerateContent?alt=sse",
            ),
            (
                "https://a.example/openai/deployments/mine/chat/completions?api-version=1",
                "https://a.example/openai/deployments/other/chat/completions?api-version=1",
            ),
            ("https://c.example/v1/chat/completions", "https://c.example/v1/chat/completions"),
        ],
        ids=["gemini", "azure", "body"],
    )
    def test_is_named_where_the_provider_names_models(self, url, there):
        body = b'{"contents": [], "messages": [], "model": "mine"}'
        path = url.partition("example")[2].partition("?")[0]
        wire_format = find("POST", "h", path, body)
        sent = address(Target("other"), wire_format, wire_format.request(body), url=url, headers=(), content=body)
        assert (sent.url, sent.own) == (there, True)

    def test_is_refused_where_a_signature_covers_the_model(self):
        headers = (("Authorization", "AWS4-HMAC-SHA256 Credential=x"),)
        with pytest.raises(ConfigError, match=r"signed for AWS.*base_url"):
            address(Target("other"), CHAT, CHAT.request(b"{}"), url="https://b", headers=headers, content=b"{}")


class TestAnEndpoint:
    def test_that_speaks_whatever_the_code_speaks_gets_it_untranslated(self):
        target = Target("proxy", base_url="http://p.example/v1", format="same")
        sent = address(target, MESSAGES, MESSAGES.request(b"{}"), url="http://x", headers=(), content=b'{"model": "a"}')
        assert (sent.url, sent.translation) == ("http://p.example/v1/messages", None)

    def test_that_cannot_be_spoken_to_is_refused_with_the_ways_out(self):
        gemini = find("POST", "h", "/models/g:generateContent", b'{"contents": []}')
        with pytest.raises(ConfigError, match=r"can't be sent to 'gpt'.*format=\"same\""):
            address(
                Target("gpt", base_url="http://p.example/v1"),
                gemini,
                gemini.request(b"{}"),
                url="http://x",
                headers=(),
                content=b"{}",
            )

    def test_speaks_one_of_the_formats_there_are(self):
        with pytest.raises(ConfigError, match="no format 'grpc'; there are openai, anthropic, same"):
            Target("x", format="grpc")
