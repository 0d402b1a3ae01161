"""What is peculiar to one format or another: where a fact stands, and what it means there."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer import providers
from tracer.messages import Message, ToolCall
from tracer.providers import CHAT, EMBEDDINGS, MESSAGES, RESPONSES, eventstream
from tracer.providers.bedrock_converse import BedrockConverse
from tracer.providers.bedrock_invoke import BedrockInvoke
from tracer.providers.eventstream import Frame, encoded, split
from tracer.providers.formats import COHERE, COMPLETE, COMPLETIONS
from tracer.providers.gemini import Gemini
from tracer.providers.ollama import Ollama
from tracer.providers.stream import event, framing, timed_data
from tracer.providers.vectors import CohereEmbed, GeminiEmbeddings, OllamaEmbed

JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}
FRAMES = {"content-type": "application/vnd.amazon.eventstream"}
LINES = {"content-type": "application/x-ndjson"}


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(event(json.dumps(each)) for each in events)


def frame(kind: str, payload: Any, message_type: str = "event") -> bytes:
    name = {"event": ":event-type", "exception": ":exception-type"}[message_type]
    return encoded(Frame(json.dumps(payload).encode(), {":message-type": message_type, name: kind}))


def wrapped(*events: dict[str, Any]) -> bytes:
    inner = (base64.b64encode(json.dumps(each).encode()).decode() for each in events)
    return b"".join(frame("chunk", {"bytes": text}) for text in inner)


class TestFind:
    @pytest.mark.parametrize(
        ("path", "sent", "found"),
        [
            ("/v1/responses", body(model="m", input="x"), RESPONSES),
            ("/openai/v1/responses", body(model="m", previous_response_id="r"), RESPONSES),
            ("/v1/completions", body(prompt="x"), COMPLETIONS),
            ("/v1/messages", body(messages=[]), MESSAGES),
            ("/anthropic/v1/messages", body(messages=[]), MESSAGES),
            ("/v1/complete", body(prompt="x", max_tokens_to_sample=1), COMPLETE),
            ("/v1/chat", body(messages=[]), CHAT),
            ("/v2/chat", body(messages=[]), COHERE),
            ("/v1/chat", body(message="x", stream=False), COHERE),
            ("/v2/embed", body(texts=[], input_type="x"), CohereEmbed()),
            ("/v1beta/models/gemini-2.5-pro:generateContent", body(contents=[]), Gemini("gemini-2.5-pro")),
            ("/v1/publishers/google/models/g:streamGenerateContent", body(contents=[]), Gemini("g", stream=True)),
            ("/v1beta/tunedModels/mine:generateContent", body(contents=[]), Gemini("mine")),
            ("/v1beta/models/e:batchEmbedContents", body(requests=[]), GeminiEmbeddings("e", "batchEmbedContents")),
            ("/model/amazon.nova-lite-v1%3A0/converse", body(messages=[]), BedrockConverse("amazon.nova-lite-v1:0")),
            ("/model/m/converse-stream", b"", BedrockConverse("m", stream=True)),
            (
                "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fp/converse",
                b"{}",
                BedrockConverse("arn:aws:bedrock:us-east-1:1:inference-profile/p"),
            ),
            ("/model/m/invoke", b"{}", BedrockInvoke("m")),
            ("/model/m/invoke-with-response-stream", b"{}", BedrockInvoke("m", stream=True)),
            (
                "/model/amazon.titan-embed-text-v2:0/invoke",
                b"{}",
                BedrockInvoke("amazon.titan-embed-text-v2:0", kind="embedding", operation="embeddings"),
            ),
            ("/api/chat", body(model="m", messages=[]), Ollama()),
            ("/api/generate", body(model="m", prompt="x"), Ollama("/api/generate")),
            ("/api/embed", body(model="m", input="x"), OllamaEmbed()),
        ],
    )
    def test_knows_a_format_by_path_and_fields_on_any_host(self, path, sent, found):
        assert providers.find("POST", "anything.example", path, sent) == found

    @pytest.mark.parametrize("verb", ["rawPredict", "streamRawPredict"])
    def test_knows_anthropic_on_vertex(self, verb):
        path = f"/v1/projects/p/locations/l/publishers/anthropic/models/claude-x:{verb}"
        asked = providers.find("POST", "h", path, body(messages=[])).request(body(messages=[]))
        assert (asked.model, asked.stream) == ("claude-x", verb.startswith("stream"))

    @pytest.mark.parametrize(
        ("method", "path", "sent"),
        [
            ("POST", "/v1/threads/t/messages", body(role="user", content="x")),
            ("GET", "/v1/responses/r", b""),
            ("POST", "/v1/responses/input_tokens", body(input="x")),
            ("POST", "/v1/messages/count_tokens", body(messages=[])),
            ("POST", "/v1beta/models/m:countTokens", body(contents=[])),
            ("POST", "/api/chat", body(text="x")),
            ("POST", "/v1/chat", body(message="x")),
            ("POST", "/responses", body(survey=1)),
            ("POST", "/models/weather:predict", body(instances=[])),
            ("POST", "/model/cohere.rerank-v3-5:0/invoke", body(query="x")),
            ("POST", "/model/amazon.titan-image-generator-v2:0/invoke", body(taskType="TEXT_IMAGE")),
            ("POST", "/model/amazon.nova-canvas-v1:0/invoke", body(taskType="TEXT_IMAGE")),
        ],
    )
    def test_leaves_other_requests_alone(self, method, path, sent):
        assert providers.find(method, "api.openai.com", path, sent) is None

    @pytest.mark.parametrize(
        ("wire_format", "path"),
        [
            (Gemini("a"), "/models/b:generateContent"),
            (Gemini("a", stream=True), "/models/b:streamGenerateContent"),
            (GeminiEmbeddings("a"), "/models/b:embedContent"),
            (BedrockConverse("a", stream=True), "/model/b/converse-stream"),
            (BedrockInvoke("a"), "/model/b/invoke"),
            (CHAT, "/chat/completions"),
        ],
    )
    def test_has_an_address_for_another_model(self, wire_format, path):
        assert wire_format.path_for("b") == path
        assert wire_format.path == wire_format.path_for("a")

    def test_names_another_model_where_the_body_does(self):
        asked = body(model="models/a", requests=[{"model": "models/a", "content": {}}])
        changed = json.loads(GeminiEmbeddings("a", "batchEmbedContents").readdress(asked, "b"))
        assert changed["requests"] == [{"model": "models/b", "content": {}}]
        assert Gemini("a").readdress(body(contents=[]), "b") == body(contents=[])
        assert BedrockInvoke("a").readdress(b"{}", "b") == b"{}"


VALUES = (
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20) | st.binary(max_size=20)
)  # what a header may hold
frames = st.builds(Frame, st.binary(max_size=200), st.dictionaries(st.text(max_size=10), VALUES, max_size=4))


class TestAmazonsEventStream:
    @given(st.lists(frames, max_size=5))
    def test_reads_back_what_was_written(self, written):
        assert split(b"".join(map(encoded, written))) == (written, b"")

    @given(st.lists(frames, min_size=1, max_size=4), st.data())
    def test_holds_back_what_has_not_come_whole(self, written, data):
        raw = b"".join(map(encoded, written))
        cut = data.draw(st.integers(0, len(raw)))
        first, rest = split(raw[:cut])
        again, end = split(rest + raw[cut:])
        assert (first + again, end) == (written, b"")

    @given(st.lists(frames, min_size=1, max_size=3), st.data())
    def test_ends_at_a_damaged_frame_and_keeps_those_before_it(self, written, data):
        raw = bytearray(b"".join(map(encoded, written)))
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= data.draw(st.integers(1, 255))
        read, _ = split(bytes(raw))
        assert read == written[: len(read)]
        assert len(read) < len(written)

    @given(st.binary(max_size=300))
    def test_comes_of_any_bytes_without_an_exception(self, raw):
        found, rest = split(raw)
        assert len(found) == 0 or len(rest) < len(raw)
        list(timed_data([(0, raw)], "frames"))

    def test_reads_a_frame_as_the_format_states_it(self):
        # length 16, no headers; the CRCs are those of zlib
        empty = bytes.fromhex("000000100000000005c248eb7d98c8ff")
        assert split(empty) == ([Frame(b"", {})], b"")
        assert eventstream.begins(empty)
        assert not eventstream.begins(b'{"a": 1, "b": 2}')

    @pytest.mark.parametrize("code", range(10))
    def test_reads_every_type_of_header(self, code):
        sizes = {0: b"", 1: b"", 2: bytes(1), 3: bytes(2), 4: bytes(4), 5: bytes(8), 8: bytes(8), 9: bytes(16)}
        value = sizes.get(code, b"\x00\x01x")
        assert list(eventstream._headers(b"\x01h" + bytes([code]) + value)) == ["h"]

    @pytest.mark.parametrize("data", [b"\x01h", b"\x01h\x07\x00\x09x", b"\x01h\x63", b"\xff"])
    def test_takes_no_headers_that_are_not_what_they_say(self, data):
        assert eventstream._headers(data) is None

    def test_says_an_exception_alike_whichever_way_it_came(self):
        thrown = Frame(b'{"message": "busy"}', {":message-type": "exception", ":exception-type": "throttlingException"})
        failed = Frame(b"", {":message-type": "error", ":error-code": "Oops", ":error-message": "no"})
        assert json.loads(thrown.as_json()) == {"exception": {"type": "throttlingException", "message": "busy"}}
        assert json.loads(failed.as_json()) == {"exception": {"type": "Oops", "message": "no"}}


class TestFraming:
    @pytest.mark.parametrize(
        ("declared", "start", "how"),
        [
            ("text/event-stream; charset=utf-8", b"", "sse"),
            ("application/x-ndjson", b"", "lines"),
            ("application/vnd.amazon.eventstream", b"", "frames"),
            ("", b"event: x\n", "sse"),
            ("", encoded(Frame(b"x")), "frames"),
            ("application/json", b'[{"candidates": []}', "array"),
            ("application/json", b'{"a": 1}\n{"a": 2}', "lines"),
            ("application/json", b'{"a": 1}', None),
            ("application/json", b"[[0.1, 0.2]]", None),
            ("text/plain", b"data: no stream\n\n", None),
            ("text/event-stream", b'{"error": {"message": "an error of a server that meant to stream"}}', None),
        ],
        ids=str,
    )
    def test_is_told_by_its_type_or_by_how_it_begins(self, declared, start, how):
        assert framing(declared, start) == how

    def test_gives_each_element_of_an_array_when_it_is_whole(self):
        pieces = [(1, b'[{"a": "}'), (2, b'{"}\n,\n'), (3, b'{"b"'), (4, b": [1]}, {}"), (5, b"]")]
        assert list(timed_data(pieces, "array")) == [(2, '{"a": "}{"}'), (4, '{"b": [1]}'), (4, "{}")]


class TestAnthropic:
    def test_puts_the_results_of_tools_before_what_the_user_adds(self):
        image = {"type": "image", "source": {"type": "url", "url": "u"}}
        content = [
            {"type": "text", "text": "well"},
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "4"}, image]},
        ]
        asked = MESSAGES.request(
            body(system=[{"type": "text", "text": "brief"}], messages=[{"role": "user", "content": content}])
        )
        assert asked.messages == (
            Message("system", "brief"),
            Message("tool", "4", tool_call_id="a", parts=(image,)),
            Message("user", "well"),
        )

    def test_keeps_tools_of_its_own_apart_from_calls(self):
        own = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
        called = {"type": "tool_use", "id": "t", "name": "look", "input": {"a": "ü"}}
        message = MESSAGES.answer(200, JSON, body(type="message", content=[own, called])).message
        assert (message.tool_calls, message.parts) == ((ToolCall("t", "look", '{"a": "ü"}'),), (own,))

    def test_adds_what_compaction_used(self):
        usage = {
            "input_tokens": 10,
            "output_tokens": 2,
            "iterations": [
                {"type": "compaction", "input_tokens": 900, "output_tokens": 90},
                {"type": "message", "input_tokens": 10, "output_tokens": 2},
            ],
        }
        read = MESSAGES.answer(200, JSON, body(usage=usage)).usage
        assert (read.input_tokens, read.output_tokens) == (910, 92)

    def test_takes_the_last_count_of_a_stream_and_the_cache_of_its_beginning(self):
        counted = {"input_tokens": 3, "output_tokens": 1, "cache_read_input_tokens": 5}
        raw = sse(
            {"type": "message_start", "message": {"model": "m", "usage": counted}},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 20, "input_tokens": None},
            },
        )
        answer = MESSAGES.answer(200, EVENTS, raw)
        assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.finish_reason) == (8, 20, "end_turn")

    def test_tells_an_error_in_the_middle_of_a_stream(self):
        raw = sse({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})
        answer = MESSAGES.answer(200, EVENTS, raw)
        assert (answer.error_type, answer.error["message"]) == ("overloaded_error", "busy")


class TestResponses:
    def test_has_what_one_answer_held_in_one_turn(self):
        items = [
            {"role": "user", "content": "hi"},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "4"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "four"}]},
        ]
        assert RESPONSES.request(body(instructions="brief", input=items)).messages == (
            Message("system", "brief"),
            Message("user", "hi"),
            Message("assistant", "", reasoning="hm", tool_calls=(ToolCall("c", "f", "{}"),)),
            Message("tool", "4", tool_call_id="c"),
            Message("assistant", "four"),
        )

    def test_says_what_came_before_a_stream_broke_off(self):
        raw = sse(
            {"type": "response.created", "response": {"id": "r", "model": "m", "output": []}},
            {"type": "response.output_text.delta", "output_index": 1, "delta": "hal"},
            {"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call", "name": "f"}},
            {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a"'},
        )
        answer = RESPONSES.answer(200, EVENTS, raw)
        assert (answer.message.content, answer.message.tool_calls) == ("hal", (ToolCall("", "f", '{"a"'),))
        assert not RESPONSES.is_whole(EVENTS, raw)

    def test_says_why_it_was_cut_off(self):
        given = body(status="incomplete", incomplete_details={"reason": "max_output_tokens"})
        assert RESPONSES.answer(200, JSON, given).finish_reason == "max_output_tokens"

    def test_that_failed_in_a_stream_has_an_error(self):
        error = {"code": "server_error", "message": "sorry"}
        raw = sse({"type": "response.failed", "response": {"status": "failed", "error": error}})
        answer = RESPONSES.answer(200, EVENTS, raw)
        assert (answer.error, answer.error_type) == (error, "server_error")


class TestGemini:
    def test_reads_names_in_either_spelling(self):
        for call, result in (("functionCall", "functionResponse"), ("function_call", "function_response")):
            contents = [
                {"role": "model", "parts": [{call: {"name": "f", "args": {"a": 1}}}]},
                {"role": "user", "parts": [{result: {"name": "f", "response": {"b": 2}}}]},
            ]
            assert Gemini("m").request(body(contents=contents)).messages == (
                Message("assistant", "", tool_calls=(ToolCall("", "f", '{"a": 1}'),)),
                Message("tool", '{"b": 2}', name="f", tool_call_id="f"),
            )

    def test_offers_each_function_and_each_tool_of_its_own(self):
        tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}, {"googleSearch": {}}]
        assert Gemini("m").request(body(contents=[], tools=tools)).tools == (
            {"name": "f"},
            {"name": "g"},
            {"googleSearch": {}},
        )

    def test_says_why_a_prompt_was_refused(self):
        given = body(promptFeedback={"blockReason": "SAFETY"})
        assert Gemini("m").answer(200, JSON, given).finish_reason == "SAFETY"

    def test_is_a_stream_without_sse_too(self):
        chunks = [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in ("Hal", "lo")]
        chunks[1]["candidates"][0]["finishReason"] = "STOP"
        raw = json.dumps(chunks).encode()
        answer = Gemini("m", stream=True).answer(200, JSON, raw)
        assert (answer.message.content, answer.finish_reason) == ("Hallo", "STOP")
        assert Gemini("m").is_whole(JSON, raw)


class TestBedrock:
    TEXT = ({"contentBlockIndex": 0, "delta": {"text": "Hal"}}, {"contentBlockIndex": 0, "delta": {"text": "lo"}})

    def test_joins_a_stream_of_frames(self):
        use = {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}
        raw = (
            frame("messageStart", {"role": "assistant"})
            + b"".join(frame("contentBlockDelta", each) for each in self.TEXT)
            + frame("contentBlockStart", use)
            + frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a"'}}})
            + frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": ": 1}"}}})
            + frame("messageStop", {"stopReason": "tool_use"})
            + frame("metadata", {"usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}})
        )
        answer = BedrockConverse("m", stream=True).answer(200, FRAMES, raw)
        assert (answer.message.content, answer.message.tool_calls) == ("Hallo", (ToolCall("t", "f", '{"a": 1}'),))
        assert (answer.finish_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("tool_use", 5, 2)

    def test_tells_an_exception_in_the_middle_of_a_stream(self):
        raw = frame("contentBlockDelta", self.TEXT[0]) + frame("throttlingException", {"message": "busy"}, "exception")
        for wire_format in (BedrockConverse("m", stream=True), BedrockInvoke("m", stream=True)):
            answer = wire_format.answer(200, FRAMES, raw)
            assert (answer.error_type, answer.error["message"]) == ("throttlingException", "busy")
            assert wire_format.is_whole(FRAMES, raw)

    def test_names_an_error_as_its_header_does(self):
        headers = {**JSON, "x-amzn-errortype": "ThrottlingException:http://internal.example/", "x-amzn-requestid": "r"}
        answer = BedrockConverse("m").answer(429, headers, body(message="slow down"))
        assert (answer.error_type, answer.error["message"], answer.request_id) == (
            "ThrottlingException",
            "slow down",
            "r",
        )

    @pytest.mark.parametrize(
        ("events", "said"),
        [
            ([{"outputText": "Hal"}, {"outputText": "lo", "completionReason": "FINISH"}], ("Hallo", "FINISH")),
            ([{"generation": "Hal"}, {"generation": "lo", "stop_reason": "stop"}], ("Hallo", "stop")),
            ([{"completion": "Hal"}, {"completion": "lo", "stop_reason": "stop_sequence"}], ("Hallo", "stop_sequence")),
            ([{"outputs": [{"text": "Hallo", "stop_reason": "stop"}]}], ("Hallo", "stop")),
            (
                [{"contentBlockDelta": each} for each in TEXT] + [{"messageStop": {"stopReason": "end_turn"}}],
                ("Hallo", "end_turn"),
            ),
            (
                [
                    {"choices": [{"index": 0, "delta": {"content": "Hallo"}}]},
                    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                ],
                ("Hallo", "stop"),
            ),
            (
                [
                    {"type": "message_start", "message": {"type": "message"}},
                    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hallo"}},
                    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
                ],
                ("Hallo", "end_turn"),
            ),
        ],
        ids=["titan", "llama", "claude-2", "mistral", "nova", "openai", "claude"],
    )
    def test_reads_each_vendors_stream(self, events, said):
        metrics = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 2}}
        events = [*events[:-1], {**events[-1], **metrics}]
        wire_format, raw = BedrockInvoke("m", stream=True), wrapped(*events)
        answer = wire_format.answer(200, FRAMES, raw)
        assert (answer.message.content, answer.finish_reason) == said
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 2)
        assert wire_format.is_whole(FRAMES, raw)
        assert any(wire_format.speaks(data) for _, data in timed_data([(0, raw)], "frames"))


class TestOllama:
    def test_streams_unless_it_is_told_not_to(self):
        asked = [Ollama().request(body(model="m", messages=[], **extra)).stream for extra in ({}, {"stream": False})]
        assert asked == [True, False]

    def test_joins_its_lines(self):
        lines = [
            {"model": "m", "message": {"role": "assistant", "thinking": "hm"}, "done": False},
            {"model": "m", "message": {"content": "Hal"}, "done": False},
            {
                "model": "m",
                "message": {"content": "lo", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
            },
            {"model": "m", "done": True, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 2},
        ]
        raw = "\n".join(map(json.dumps, lines)).encode()
        answer = Ollama().answer(200, LINES, raw)
        assert answer.message == Message(
            "assistant", "Hallo", reasoning="hm", tool_calls=(ToolCall("", "f", '{"a": 1}'),)
        )
        assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.finish_reason) == (5, 2, "stop")

    def test_shows_its_images_as_what_they_are(self):
        asked = Ollama("/api/generate").request(body(model="m", prompt="what?", images=["AAAA"]))
        assert asked.messages == (Message("user", "what?", parts=({"type": "image", "data": "AAAA"},)),)


class TestVectors:
    @pytest.mark.parametrize(
        ("wire_format", "asked", "texts", "given", "tokens"),
        [
            (EMBEDDINGS, {"input": ["a", "b"]}, ["a", "b"], {"usage": {"prompt_tokens": 2, "total_tokens": 2}}, 2),
            (CohereEmbed(), {"texts": ["a"]}, ["a"], {"meta": {"billed_units": {"input_tokens": 3}}}, 3),
            (OllamaEmbed(), {"input": "a"}, ["a"], {"prompt_eval_count": 4}, 4),
            (GeminiEmbeddings("m"), {"content": {"parts": [{"text": "a"}]}}, ["a"], {"embedding": {}}, None),
            (
                GeminiEmbeddings("m", "predict"),
                {"instances": [{"content": "a"}]},
                ["a"],
                {"predictions": [{"embeddings": {"statistics": {"token_count": 2}}}]},
                2,
            ),
            (BedrockInvoke("m", kind="embedding"), {"inputText": "a"}, ["a"], {"inputTextTokenCount": 2}, 2),
        ],
        ids=["openai", "cohere", "ollama", "gemini", "vertex", "titan"],
    )
    def test_are_asked_for_texts_and_count_their_input(self, wire_format, asked, texts, given, tokens):
        assert [message.content for message in wire_format.request(body(**asked)).messages] == texts
        usage = wire_format.answer(200, JSON, body(**given)).usage
        assert (usage.input_tokens, usage.output_tokens) == (tokens, None if tokens is None else 0)


class TestWhatTheHeadersSay:
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"retry-after": "20"}, 20.0),
            ({"retry-after": "0.5"}, 0.5),
            ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
            ({"retry-after": "Wed, 21 Oct 2026 07:28:10 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 10.0),
            ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
            ({"retry-after": "Wed, 21 Oct 2026 07:28:10 GMT"}, None),  # of a clock that we don't know
            ({"retry-after": "soon"}, None),
            ({"retry-after": "nan"}, None),
            ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2.5s"}, 62.5),
            ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "26ms"}, 0.026),
            ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "6m0s"}, None),
            (
                {
                    "anthropic-ratelimit-tokens-remaining": "0",
                    "anthropic-ratelimit-tokens-reset": "2026-06-23T10:26:53Z",
                    "date": "Tue, 23 Jun 2026 10:26:50 GMT",
                },
                3.0,
            ),
            (
                {
                    "x-ratelimit-remaining": "0",
                    "x-ratelimit-reset": "1767225605000",
                    "date": "Thu, 01 Jan 2026 00:00:00 GMT",
                },
                5.0,
            ),
            ({}, None),
        ],
    )
    def test_is_how_long_to_wait(self, headers, seconds):
        answer = CHAT.answer(429, headers, b'{"error": {"message": "slow down"}}')
        assert answer.retry_after_s == seconds

    def test_is_said_in_the_body_by_google(self):
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]
        error = {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": details}
        answer = Gemini("m").answer(429, JSON, body(error=error))
        assert (answer.retry_after_s, answer.error_type) == (34.5, "RESOURCE_EXHAUSTED")

    def test_is_nothing_about_waiting_where_nothing_failed(self):
        assert CHAT.answer(200, {"retry-after": "20"}, b'{"choices": []}').retry_after_s is None

    @given(
        st.dictionaries(
            st.sampled_from(["retry-after", "date", "x-ratelimit-reset", "x-ratelimit-remaining"]), st.text()
        )
    )
    def test_may_be_anything(self, headers):
        wait = CHAT.answer(429, headers, b"").retry_after_s
        assert wait is None or wait >= 0

    @pytest.mark.parametrize(
        ("headers", "given", "found"),
        [
            ({"x-request-id": "a", "apim-request-id": "b"}, {}, "a"),
            ({"request-id": "a"}, {"request_id": "b"}, "a"),
            ({}, {"type": "error", "error": {"message": "x"}, "request_id": "b"}, "b"),
            ({"cf-ray": "a"}, {}, None),
        ],
    )
    def test_is_the_providers_id(self, headers, given, found):
        assert MESSAGES.answer(400, headers, body(**given)).request_id == found
