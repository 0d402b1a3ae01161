"""Between OpenAI's chat and Anthropic's messages, on recorded exchanges and through both real SDKs."""

from __future__ import annotations

import json
import random
import re
from functools import cache
from typing import Any, ClassVar

import anthropic
import httpx
import httpx2
import openai
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from tests.tracer.corpus import Exchange, model_calls, mutated
from tracer.errors import ConfigError
from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.model import Usage
from tracer.providers import CHAT, EMBEDDINGS, MESSAGES, Format
from tracer.providers.headers import lowered
from tracer.providers.translate import answered, can_translate, streamed, translate
from tracer.wire import Chunk, HttpResponse

JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}
OTHER = {CHAT: MESSAGES, MESSAGES: CHAT}
BOTH = pytest.mark.parametrize("of", [CHAT, MESSAGES], ids=["chat", "messages"])
IMAGE = "data:image/png;base64,iVBORw0KGgo="
#: All that a conversation may hold and both formats can say.
CHAT_REQUEST: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": IMAGE}}],
        },
        {
            "role": "assistant",
            "content": "I'll look",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"where": "ü"}'}},
                {"id": "c2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        {"role": "tool", "tool_call_id": "c2", "content": "a dog"},
        {"role": "user", "content": "so?"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Look there",
                "parameters": {"type": "object", "properties": {"where": {"type": "string"}}},
            },
        }
    ],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "stop": ["END"],
    "max_tokens": 100,
    "temperature": 0.5,
    "top_p": 0.9,
    "user": "u1",
}


@cache
def recorded(of: Format) -> tuple[Exchange, ...]:
    return tuple(e for group in model_calls().values() for e in group if e.format == of or e.format is of)


def turned(body: dict[str, Any], of: Format) -> dict[str, Any]:
    return json.loads(translate(json.dumps(body).encode(), of, OTHER[of], "other"))


def core(request: ChatRequest) -> list[Any]:
    """What a conversation says, whichever format it is in; texts side by side are one text."""
    said: list[Any] = []
    for message in request.messages:
        calls = [(call.id, call.name, json.loads(call.arguments or "{}")) for call in message.tool_calls]
        said.append(
            (
                message.role.replace("developer", "system"),
                message.content,
                message.tool_call_id,
                calls,
                len(message.parts),
            )
        )
    system = "".join(turn[1] for turn in said if turn[0] == "system")
    return [system, *(turn for turn in said if turn[0] != "system")]


class TestARequest:
    @BOTH
    def test_says_the_same_in_the_other_format_or_is_refused_by_name(self, of):
        carried, refused = 0, []
        for exchange in recorded(of):
            try:
                body = translate(exchange.asked, of, OTHER[of], "other")
            except ConfigError as refusal:
                refused.append(str(refusal))
                continue
            carried += 1
            there = OTHER[of].request(body)
            assert core(there) == core(exchange.request), exchange.id
            assert (there.model, there.stream, len(there.tools)) == (
                "other",
                exchange.request.stream,
                len(exchange.request.tools),
            )
        assert carried >= 25
        assert [reason for reason in refused if not re.search(r"it has no \w", reason)] == []

    @BOTH
    def test_is_one_that_the_other_sdk_would_send(self, of):
        shape = MessageCreateParamsNonStreaming if of is CHAT else CompletionCreateParamsNonStreaming
        adapter = TypeAdapter(shape)
        for exchange in recorded(of):
            try:
                body = json.loads(translate(exchange.asked, of, OTHER[of], "other"))
            except ConfigError:
                continue
            for field in ("stream", "temperature", "top_p"):  # older models know them, and the newest SDK doesn't
                body.pop(field, None)
            # what Anthropic's types don't list, they forbid
            adapter.validate_python(body, extra="forbid" if of is CHAT else None)

    @BOTH
    @settings(max_examples=300, deadline=None)
    @given(data=st.data(), seed=st.integers(0, 2**32))
    def test_that_makes_no_sense_raises_nothing_else(self, of, data, seed):
        exchange = data.draw(st.sampled_from([each for each in recorded(of) if len(each.asked) < 20_000]))
        sent = json.dumps(mutated(json.loads(exchange.asked), random.Random(seed))).encode()
        try:
            there = translate(sent, of, OTHER[of], "other")
        except ConfigError:
            return
        assert json.loads(there)["model"] == "other"

    def test_comes_back_as_it_was(self):
        there = turned(CHAT_REQUEST, CHAT)
        back = turned(there, MESSAGES)
        assert back == {**CHAT_REQUEST, "model": "other"}

    def test_has_all_results_of_one_answer_in_one_message(self):
        roles = [message["role"] for message in turned(CHAT_REQUEST, CHAT)["messages"]]
        assert roles == ["user", "assistant", "user", "user"]

    def test_has_a_result_of_its_own_after_a_user_who_said_nothing(self):
        turns = [{"role": "user", "content": []}, {"role": "tool", "tool_call_id": "c", "content": "4"}]
        there = turned({"messages": turns}, CHAT)["messages"]
        assert [[part["type"] for part in message["content"]] for message in there] == [[], ["tool_result"]]

    def test_has_a_limit_where_openai_needs_none(self):
        assert turned({"messages": []}, CHAT)["max_tokens"] == 4096
        assert turned({"messages": [], "max_completion_tokens": 7}, CHAT)["max_tokens"] == 7

    @pytest.mark.parametrize(
        ("model", "field"),
        [("gpt-4o", "max_tokens"), ("o3", "max_completion_tokens"), ("openai/gpt-5", "max_completion_tokens")],
    )
    def test_limits_by_the_name_that_the_model_knows(self, model, field):
        body = json.dumps({"model": "claude", "max_tokens": 5, "messages": []}).encode()
        assert json.loads(translate(body, MESSAGES, CHAT, model))[field] == 5

    @pytest.mark.parametrize(
        ("asked", "choice"),
        [
            ({"tool_choice": "auto"}, {"type": "auto"}),
            ({"tool_choice": "required"}, {"type": "any"}),
            ({"tool_choice": "none"}, {"type": "none"}),
            (
                {"tool_choice": "required", "parallel_tool_calls": False},
                {"type": "any", "disable_parallel_tool_use": True},
            ),
            ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ],
    )
    def test_chooses_tools_as_it_did(self, asked, choice):
        body = {"messages": [], "tools": CHAT_REQUEST["tools"], **asked}
        assert turned(body, CHAT)["tool_choice"] == choice
        back = turned({**turned(body, CHAT)}, MESSAGES)
        assert {key: back[key] for key in asked} == asked

    @pytest.mark.parametrize(
        ("of", "extra", "named"),
        [
            (CHAT, {"n": 2, "seed": 7}, "n, seed"),
            (CHAT, {"temperature": 1.5}, "temperature above 1"),
            (CHAT, {"response_format": {"type": "json_object"}}, "response_format"),
            (CHAT, {"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tool of type 'custom'"),
            (CHAT, {"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
            (CHAT, {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input_audio"),
            (
                CHAT,
                {"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "y"}]},
                "system message after",
            ),
            (CHAT, {"messages": [{"role": "user", "name": "ann", "content": "x"}]}, "name of who speaks"),
            (CHAT, {"messages": [{"role": "narrator", "content": "x"}]}, "role 'narrator'"),
            (
                CHAT,
                {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]},
                "arguments that are no JSON object",
            ),
            (MESSAGES, {"top_k": 5, "thinking": {"type": "enabled"}}, "top_k, thinking"),
            (MESSAGES, {"stop_sequences": list("abcde")}, "5 stop sequences"),
            (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
            (
                MESSAGES,
                {"messages": [{"role": "user", "content": [{"type": "tool_result", "is_error": True}]}]},
                "tool result that is an error",
            ),
            (
                MESSAGES,
                {"messages": [{"role": "assistant", "content": [{"type": "server_tool_use", "id": "x"}]}]},
                "server_tool_use",
            ),
        ],
    )
    def test_is_refused_by_the_name_of_what_cannot_be_carried(self, of, extra, named):
        with pytest.raises(ConfigError, match=re.escape(named)):
            turned({"messages": [], "max_tokens": 1, **extra}, of)

    @pytest.mark.parametrize(
        "extra", [{"n": 1}, {"logprobs": None}, {"presence_penalty": 0}, {"response_format": {"type": "text"}}]
    )
    def test_may_hold_what_asks_for_nothing(self, extra):
        assert turned({"messages": [], **extra}, CHAT) == turned({"messages": []}, CHAT)

    def test_wants_an_answer_of_the_same_schema(self):
        schema = {"type": "object", "properties": {}}
        wanted = {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}}
        there = turned({"messages": [], **wanted}, CHAT)
        assert there["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
        assert turned(there, MESSAGES)["response_format"] == wanted["response_format"]

    def test_leaves_out_what_the_model_thought_before(self):
        thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
        body = {
            "max_tokens": 1,
            "messages": [{"role": "assistant", "content": [thought, {"type": "text", "text": "so"}]}],
        }
        assert turned(body, MESSAGES)["messages"] == [{"role": "assistant", "content": "so"}]

    def test_of_another_format_is_not_translated(self):
        assert not can_translate(CHAT, EMBEDDINGS)
        with pytest.raises(ConfigError, match="/embeddings can't be translated"):
            translate(b"{}", EMBEDDINGS, CHAT, "m")
        with pytest.raises(ConfigError, match="no JSON object"):
            translate(b"[]", CHAT, MESSAGES, "m")
        with pytest.raises(ConfigError, match="stream from /embeddings"):
            streamed(by=EMBEDDINGS, to=CHAT, asked=ChatRequest("m", ()))

    def test_stays_in_its_format_for_another_model_of_it(self):
        assert json.loads(translate(b'{"model": "a", "x": 1}', CHAT, CHAT, "b")) == {"model": "b", "x": 1}


def told(answer: ChatAnswer) -> Any:
    calls = [(call.id, call.name, json.loads(call.arguments or "{}")) for call in answer.message.tool_calls]
    usage = answer.usage
    return answer.message.content, answer.message.reasoning, calls, usage.input_tokens, usage.output_tokens


def asking(*, stream: bool) -> ChatRequest:
    return ChatRequest("m", (), {"stream_options": {"include_usage": True}}, stream=stream)


class TestAnAnswer:
    @BOTH
    def test_says_the_same_in_the_other_format(self, of):
        plain = [e for e in recorded(of) if e.how is None and e.status == 200 and e.answered]
        assert len(plain) >= 20
        for exchange in plain:
            for stream in (False, True):
                given = HttpResponse(200, tuple(exchange.headers.items()), (Chunk(0, exchange.answered),))
                worn = answered(given, by=of, to=OTHER[of], asked=asking(stream=stream))
                again = OTHER[of].answer(200, lowered(worn.headers), worn.raw)
                assert told(again) == told(exchange.answer), exchange.id

    @BOTH
    def test_that_is_an_error_keeps_its_status_its_words_and_how_long_to_wait(self, of):
        body = json.dumps({"error": {"type": "rate_limit_error", "message": "slow down"}}).encode()
        given = HttpResponse(429, (("Retry-After", "3"), ("x-secret", "no")), (Chunk(0, body),))
        worn = answered(given, by=of, to=OTHER[of], asked=asking(stream=False))
        again = OTHER[of].answer(worn.status, lowered(worn.headers), worn.raw)
        assert (worn.status, again.error_type, again.error["message"], again.retry_after_s) == (
            429,
            "rate_limit_error",
            "slow down",
            3.0,
        )
        assert "x-secret" not in dict(worn.headers)


class TestAStream:
    @BOTH
    @pytest.mark.parametrize("size", [1, 7, 1000, 10**9])
    def test_says_the_same_in_the_other_format_wherever_it_is_cut(self, of, size):
        streams = [e for e in recorded(of) if e.how == "sse" and e.status == 200 and len(e.answered) < 20_000]
        assert len(streams) >= 15
        for exchange in streams:
            turn = streamed(by=of, to=OTHER[of], asked=asking(stream=True))
            raw = exchange.answered
            worn = b"".join(turn.feed(raw[at : at + size]) for at in range(0, len(raw), size)) + turn.end()
            again = OTHER[of].answer(200, EVENTS, worn)
            assert told(again) == told(exchange.answer), exchange.id
            assert OTHER[of].is_whole(EVENTS, worn) is of.is_whole(exchange.headers, raw) or not of.is_whole(
                exchange.headers, raw
            )

    @BOTH
    def test_is_passed_on_event_by_event(self, of):
        said = ChatAnswer(Message("assistant", "hello", reasoning="hm", tool_calls=(ToolCall("c", "f", '{"a": 1}'),)))
        whole = of.dress(asking(stream=True), said)
        turn = streamed(by=of, to=OTHER[of], asked=asking(stream=True))
        passed = b""
        for chunk in whole.chunks:
            speaks = any(of.speaks(line[6:]) for line in chunk.data.decode().split("\n") if line.startswith("data: "))
            now = turn.feed(chunk.data)
            assert bool(now) or not speaks
            passed += now
        assert OTHER[of].answer(200, EVENTS, passed).message == said.message

    @BOTH
    def test_that_breaks_off_has_no_ending(self, of):
        raw = of.dress(asking(stream=True), ChatAnswer.of("hello there")).raw
        turn = streamed(by=of, to=OTHER[of], asked=asking(stream=True))
        worn = turn.feed(raw[: len(raw) // 2]) + turn.end()
        assert not OTHER[of].is_whole(EVENTS, worn)

    @BOTH
    def test_that_tells_an_error_tells_it_there_too(self, of):
        turn = streamed(by=of, to=OTHER[of], asked=asking(stream=True))
        broken = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
        again = OTHER[of].answer(200, EVENTS, turn.feed(b"data: " + json.dumps(broken).encode() + b"\n\n"))
        assert (again.error_type, again.error["message"]) == ("overloaded_error", "busy")

    def test_without_a_last_word_ends_with_its_body(self):
        turn = streamed(by=CHAT, to=MESSAGES, asked=asking(stream=True))
        chunk = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}
        worn = turn.feed(b"data: " + json.dumps(chunk).encode()) + turn.end()
        assert MESSAGES.is_whole(EVENTS, worn)

    @BOTH
    @given(data=st.binary(max_size=200))
    def test_of_any_bytes_raises_nothing(self, of, data):
        turn = streamed(by=of, to=OTHER[of], asked=asking(stream=True))
        turn.feed(b"data: " + data)
        turn.end()


SAID = ChatAnswer(
    Message("assistant", "It's a cat", tool_calls=(ToolCall("t1", "look", '{"where": "there"}'),)),
    model="the-other",
    finish_reason=None,
    usage=Usage(11, 7),
    response_id="id-1",
)


def served(client: Any, of: Format, seen: list[dict[str, Any]], answer: ChatAnswer) -> Any:
    """A client for the SDK of the format ``of``; behind it a server that speaks the other one only. ``client`` is the
    module that the SDK stands on."""

    def handle(request: Any) -> Any:
        asked, other = of.request(request.content), OTHER[of]
        there = translate(request.content, of, other, "the-other")
        seen.append(json.loads(there))
        response = other.dress(other.request(there), answer)
        if not asked.stream:
            worn = answered(response, by=other, to=of, asked=asked)
            return client.Response(worn.status, headers=list(worn.headers), content=worn.raw)
        turn = streamed(by=other, to=of, asked=asked)
        pieces = [turn.feed(chunk.data) for chunk in response.chunks]
        return client.Response(200, headers=EVENTS, content=iter([*pieces, turn.end()]))

    return client.Client(transport=client.MockTransport(handle))


class TestOpenAIsSdkOnAModelOfAnthropic:
    ASKED: ClassVar[dict[str, Any]] = {key: value for key, value in CHAT_REQUEST.items() if key != "model"}

    def client(self, seen: list[dict[str, Any]], answer: ChatAnswer = SAID) -> openai.OpenAI:
        return openai.OpenAI(
            api_key="k", base_url="http://m.example/v1", http_client=served(httpx, CHAT, seen, answer), max_retries=0
        )

    def test_gets_its_answer(self):
        seen: list[dict[str, Any]] = []
        got = self.client(seen).chat.completions.create(model="gpt-4o", **self.ASKED)
        message = got.choices[0].message
        assert (message.content, got.model, got.choices[0].finish_reason) == ("It's a cat", "the-other", "tool_calls")
        assert [(c.id, c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls] == [
            ("t1", "look", {"where": "there"})
        ]
        assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (11, 7)
        assert seen[0]["system"] == [{"type": "text", "text": "be brief"}]

    def test_gets_its_stream(self):
        with self.client([]).chat.completions.stream(
            model="gpt-4o", stream_options={"include_usage": True}, **self.ASKED
        ) as events:
            got = events.get_final_completion()
        message = got.choices[0].message
        assert (message.content, got.choices[0].finish_reason, got.usage.total_tokens) == (
            "It's a cat",
            "tool_calls",
            18,
        )
        assert [(c.function.name, c.function.arguments) for c in message.tool_calls] == [("look", '{"where": "there"}')]

    def test_gets_its_error(self):
        answer = ChatAnswer.of("", error={"message": "slow down", "code": 429})
        with pytest.raises(openai.RateLimitError, match="slow down"):
            self.client([], answer).chat.completions.create(model="gpt-4o", **self.ASKED)


class TestAnthropicsSdkOnAModelOfOpenAI:
    ASKED: ClassVar[dict[str, Any]] = {
        "max_tokens": 50,
        "system": "be brief",
        "messages": [{"role": "user", "content": "what is this?"}],
        "tools": [{"name": "look", "input_schema": {"type": "object", "properties": {"where": {"type": "string"}}}}],
    }

    def client(self, seen: list[dict[str, Any]], answer: ChatAnswer = SAID) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key="k", http_client=served(httpx2, MESSAGES, seen, answer), max_retries=0)

    def test_gets_its_answer(self):
        seen: list[dict[str, Any]] = []
        got = self.client(seen).messages.create(model="claude", **self.ASKED)
        assert [block.type for block in got.content] == ["text", "tool_use"]
        assert (got.content[0].text, got.content[1].input) == ("It's a cat", {"where": "there"})
        assert (got.model, got.stop_reason, got.usage.input_tokens, got.usage.output_tokens) == (
            "the-other",
            "tool_use",
            11,
            7,
        )
        assert seen[0]["messages"][0] == {"role": "system", "content": "be brief"}

    def test_gets_its_stream(self):
        with self.client([]).messages.stream(model="claude", **self.ASKED) as events:
            assert "".join(events.text_stream) == "It's a cat"
            got = events.get_final_message()
        assert (got.content[1].name, got.content[1].input, got.stop_reason) == ("look", {"where": "there"}, "tool_use")
        assert (got.usage.input_tokens, got.usage.output_tokens) == (11, 7)

    def test_gets_its_error(self):
        answer = ChatAnswer.of("", error={"message": "slow down", "code": 429})
        with pytest.raises(anthropic.RateLimitError, match="slow down"):
            self.client([], answer).messages.create(model="claude", **self.ASKED)
