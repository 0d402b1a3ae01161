"""An answer that no server gave, as the real SDKs take it."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest

from tracer.errors import ConfigError
from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.model import Usage
from tracer.providers import CHAT, MESSAGES, RESPONSES, Format
from tracer.providers.formats import COMPLETIONS, find
from tracer.providers.gemini import Gemini
from tracer.providers.headers import lowered

SAID = ChatAnswer(
    Message("assistant", "Hällo", reasoning="hm", tool_calls=(ToolCall("c1", "look", '{"where": "ü"}'),)),
    model="tiny",
    usage=Usage(11, 7, cache_read_tokens=3, reasoning_tokens=2),
    response_id="id-1",
)
ERROR = ChatAnswer.of("", error={"message": "slow down", "code": 429})
OLLAMA = "/api/chat", "/api/generate"
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


def client(module: Any, wire_format: Format, answer: ChatAnswer) -> Any:
    """A client in which every call is answered by ``answer``."""

    def handle(request: Any) -> Any:
        worn = wire_format.dress(wire_format.request(request.content), answer)
        return module.Response(worn.status, headers=list(worn.headers), content=b"".join(c.data for c in worn.chunks))

    return module.Client(transport=module.MockTransport(handle))


class TestAnthropicsSdk:
    def sdk(self, answer: ChatAnswer) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key="k", http_client=client(httpx2, MESSAGES, answer), max_retries=0)

    @STREAMS
    def test_takes_an_answer(self, stream):
        asked: Any = {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        if stream:
            with self.sdk(SAID).messages.stream(**asked) as events:
                got = events.get_final_message()
        else:
            got = self.sdk(SAID).messages.create(**asked)
        assert [block.type for block in got.content] == ["thinking", "text", "tool_use"]
        assert (got.content[0].thinking, got.content[1].text, got.content[2].input) == ("hm", "Hällo", {"where": "ü"})
        assert (got.id, got.model, got.stop_reason) == ("id-1", "tiny", "tool_use")
        assert (got.usage.input_tokens, got.usage.cache_read_input_tokens, got.usage.output_tokens) == (8, 3, 7)

    def test_takes_an_error(self):
        with pytest.raises(anthropic.RateLimitError, match="slow down") as caught:
            self.sdk(ERROR).messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}])
        assert caught.value.body["error"]["type"] == "rate_limit_error"


class TestOpenAIsSdk:
    def sdk(self, answer: ChatAnswer) -> openai.OpenAI:
        return openai.OpenAI(api_key="k", http_client=client(httpx, RESPONSES, answer), max_retries=0)

    @STREAMS
    def test_takes_a_response(self, stream):
        if stream:
            with self.sdk(SAID).responses.stream(model="gpt", input="hi") as events:
                seen = [event.type for event in events]
                got = events.get_final_response()
            assert {"response.output_text.delta", "response.function_call_arguments.delta"} <= {*seen}
        else:
            got = self.sdk(SAID).responses.create(model="gpt", input="hi")
        assert (got.id, got.model, got.status, got.output_text) == ("id-1", "tiny", "completed", "Hällo")
        call = got.output[2]
        assert (call.call_id, call.name, json.loads(call.arguments)) == ("c1", "look", {"where": "ü"})
        assert (got.usage.input_tokens, got.usage.input_tokens_details.cached_tokens, got.usage.total_tokens) == (
            11,
            3,
            18,
        )

    def test_takes_a_response_that_was_cut_off(self):
        said = ChatAnswer.of("Häl", finish_reason="length")
        got = self.sdk(said).responses.create(model="gpt", input="hi")
        assert (got.status, got.incomplete_details.reason, got.usage) == ("incomplete", "max_output_tokens", None)

    def test_takes_an_error(self):
        with pytest.raises(openai.RateLimitError, match="slow down"):
            self.sdk(ERROR).responses.create(model="gpt", input="hi")


class TestDressing:
    FORMATS = (
        CHAT,
        MESSAGES,
        RESPONSES,
        Gemini(),
        *(find("POST", "", path, b'"model" "prompt" "messages"') for path in OLLAMA),
    )
    NAMES = ("chat", "messages", "responses", "gemini", "ollama-chat", "ollama-generate")

    @STREAMS
    @pytest.mark.parametrize("wire_format", FORMATS, ids=NAMES)
    def test_gives_what_reads_back_equal(self, wire_format, stream):
        worn = wire_format.dress(ChatRequest("m", (), stream=stream), SAID)
        again = wire_format.answer(worn.status, lowered(worn.headers), worn.raw)
        assert (again.message.content, again.message.reasoning) == (SAID.message.content, SAID.message.reasoning)
        if wire_format.path != "/api/generate":  # which knows no tools
            assert again.message.tool_calls == SAID.message.tool_calls
        assert wire_format.is_whole(lowered(worn.headers), worn.raw)

    @STREAMS
    @pytest.mark.parametrize("wire_format", FORMATS, ids=NAMES)
    def test_claims_no_usage_that_nobody_counted(self, wire_format, stream):
        worn = wire_format.dress(ChatRequest("m", (), stream=stream), ChatAnswer.of("hi"))
        again = wire_format.answer(worn.status, lowered(worn.headers), worn.raw)
        assert (again.usage.input_tokens, again.usage.output_tokens) == (None, None)
        assert again.model == "m"

    @pytest.mark.parametrize("wire_format", FORMATS, ids=NAMES)
    def test_gives_an_error_with_its_own_status(self, wire_format):
        worn = wire_format.dress(ChatRequest("m", (), stream=True), ERROR)
        again = wire_format.answer(worn.status, lowered(worn.headers), worn.raw)
        assert (worn.status, again.error["message"]) == (429, "slow down")

    def test_is_refused_where_a_format_has_no_dress(self):
        with pytest.raises(ConfigError, match="can't answer a call to /completions: give that target a base_url"):
            COMPLETIONS.dress(ChatRequest("m", ()), SAID)

    @pytest.mark.parametrize(
        ("written", "given"),
        [
            ("", {}),
            ("{}", {}),
            ('{"a": 1}', {"a": 1}),
            ("not json", {"arguments": "not json"}),
            ("[1]", {"arguments": "[1]"}),
        ],
    )
    def test_keeps_arguments_that_are_no_object(self, written, given):
        said = ChatAnswer(Message("assistant", "", tool_calls=(ToolCall("c", "f", written),)))
        worn = json.loads(MESSAGES.dress(ChatRequest("m", ()), said).raw)
        assert worn["content"][0]["input"] == given
