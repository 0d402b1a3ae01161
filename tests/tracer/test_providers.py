"""Wire formats, on real recorded exchanges and on the shapes that break readers."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard
from genai_prices import data_snapshot
from hypothesis import given
from hypothesis import strategies as st

from tracer import providers
from tracer.errors import ConfigError
from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.model import Usage
from tracer.providers import CHAT, EMBEDDINGS, provider_of
from tracer.providers.base import usage_of
from tracer.providers.stream import data_of, event, timed_data
from tracer.wire import Chunk, HttpRequest, HttpResponse

CORPUS = Path(__file__).parents[1] / "data" / "http-exchanges" / "openai-chat.jsonl.gz"
EVENTS = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
FIELDS = """choices message delta content tool_calls function arguments index usage error audio text id type x_groq
prompt_tokens prompt_tokens_details messages tools thinking function_call""".split()  # noqa: SIM905


def stream(*chunks: dict[str, Any] | str) -> bytes:
    return b"".join(event(chunk if isinstance(chunk, str) else json.dumps(chunk)) for chunk in chunks)


def delta(**fields: Any) -> dict[str, Any]:
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": fields}]}


class TestFind:
    @pytest.mark.parametrize(
        "path",
        [
            "/v1/chat/completions",
            "/chat/completions/",
            "/openai/deployments/my-gpt/chat/completions",
            "/api/v1/chat/completions",
        ],
    )
    def test_knows_chat_by_its_path_on_any_host(self, path):
        assert providers.find("POST", "models.example", path, b'{"messages": []}') is CHAT

    def test_knows_an_upload_that_is_not_in_memory_by_its_path_alone(self):
        assert providers.find("POST", "models.example", "/v1/chat/completions", None) is CHAT

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "/v1/chat/completions", b""),
            ("POST", "/v1/completions", b'{"messages": []}'),
            ("POST", "/v1/chat/completions", b'{"rows": []}'),
            ("POST", "/v1/chat/completions", b"not json"),
            ("POST", "/v1/chat/completions", b"[1, 2]"),
            ("POST", "/collections/notes/embeddings", b'{"ids": [1]}'),
            ("POST", "/chat/completions-of-mine", b'{"messages": []}'),
        ],
    )
    def test_leaves_other_requests_alone(self, method, path, body):
        assert providers.find(method, "models.example", path, body) is None


class TestProviderOf:
    @pytest.mark.parametrize(
        ("host", "path", "provider"),
        [
            ("api.openai.com", "/v1/chat/completions", "openai"),
            ("eu.api.openai.com", "/v1/chat/completions", "openai"),
            ("my-firm.openai.azure.com", "/openai/deployments/x/chat/completions", "azure"),
            ("API.GROQ.com", "", "groq"),
            ("router.huggingface.co", "/together/v1/chat/completions", "huggingface_together"),
            ("router.huggingface.co", "/v1/chat/completions", "openai-compatible"),
            ("127.0.0.1", "", "local"),
            ("localhost", "", "local"),
            ("::1", "", "local"),
            ("evil-api.openai.com.example", "", "openai-compatible"),
            ("llm.my-firm.example", "", "openai-compatible"),
        ],
    )
    def test_names_the_provider(self, host, path, provider):
        assert provider_of(host, path) == provider

    def test_agrees_with_the_patterns_of_the_price_table(self):
        from tracer.providers import hosts

        patterns = {provider.id: provider.api_pattern for provider in data_snapshot.get_snapshot().providers}
        unlike = {host for host, name in hosts._HOSTS.items() if not re.match(patterns[name], f"https://{host}/")}
        assert unlike == {"api.together.ai"}  # Together's newer name

    def test_uses_only_names_that_the_price_table_knows(self):
        from tracer.providers import hosts

        known = {provider.id for provider in data_snapshot.get_snapshot().providers}
        assert {*hosts._HOSTS.values(), *hosts._SUFFIXES.values()} <= known


class TestUsage:
    def test_counts_cached_and_reasoning_inside_their_totals(self):
        raw = {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 30},
        }
        expected = Usage(100, 50, cache_read_tokens=60, reasoning_tokens=30, input_audio_tokens=0, raw=raw)
        assert usage_of(raw) == expected
        assert usage_of(raw).fresh_input_tokens == 40

    def test_adds_thinking_that_is_counted_in_the_total_alone(self):
        usage = usage_of({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109})
        assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (35, 74, 62)

    def test_reads_the_cache_as_deepseek_says_it(self):
        assert usage_of({"prompt_tokens": 9, "prompt_cache_hit_tokens": 5}).cache_read_tokens == 5

    def test_shows_parts_that_do_not_add_up_instead_of_clamping_them(self):
        raw = {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 8}}
        assert usage_of(raw).fresh_input_tokens == -6

    @pytest.mark.parametrize("raw", [None, {}, [], "12", {"prompt_tokens": None}, {"prompt_tokens": True}])
    def test_is_unknown_where_nothing_was_counted(self, raw):
        assert usage_of(raw).input_tokens is None
        assert usage_of(raw).output_tokens is None

    def test_keeps_a_count_of_zero_apart_from_unknown(self):
        assert usage_of({"prompt_tokens": 3, "completion_tokens": 0}).output_tokens == 0


class TestAChatAnswer:
    def test_joins_tool_calls_whose_arguments_come_in_pieces(self):
        first = {"index": 0, "id": "a", "type": "function", "function": {"name": "look", "arguments": ""}}
        body = stream(
            delta(role="assistant", content=None, tool_calls=[first]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '{"q":'}}]),
            delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "send", "arguments": "{}"}}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": ' "x"}'}}]),
            "[DONE]",
        )
        calls = CHAT.answer(200, EVENTS, body).message.tool_calls
        assert calls == (ToolCall("a", "look", '{"q": "x"}'), ToolCall("b", "send", "{}"))

    def test_tells_tool_calls_without_an_index_apart_by_their_ids(self):
        body = stream(
            delta(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": "1"}}]),
            delta(tool_calls=[{"function": {"arguments": "2"}}]),
            delta(tool_calls=[{"id": "b", "function": {"name": "g", "arguments": "3"}}]),
        )
        calls = CHAT.answer(200, EVENTS, body).message.tool_calls
        assert calls == (ToolCall("a", "f", "12"), ToolCall("b", "g", "3"))

    def test_takes_the_first_of_several_choices_and_counts_them(self):
        body = stream(
            {"choices": [{"index": 1, "delta": {"content": "two"}}]},
            {"choices": [{"index": 0, "delta": {"content": "one"}, "finish_reason": "stop"}]},
        )
        answer = CHAT.answer(200, EVENTS, body)
        assert (answer.message.content, answer.finish_reason, answer.choices) == ("one", "stop", 2)

    def test_keeps_reasoning_apart_from_what_was_said(self):
        body = stream(delta(reasoning_content="let me "), delta(reasoning_content="see"), delta(content="42"))
        message = CHAT.answer(200, EVENTS, body).message
        assert (message.content, message.reasoning) == ("42", "let me see")

    def test_keeps_the_thinking_parts_that_mistral_streams(self):
        thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
        message = CHAT.answer(200, EVENTS, stream(delta(content=thinking), delta(content="so"))).message
        assert (message.content, message.reasoning) == ("so", "hm")

    def test_makes_no_tool_call_of_an_empty_placeholder(self):
        empty = {"id": "", "type": "", "function": {"name": "", "arguments": ""}}
        body = json.dumps({"choices": [{"message": {"content": "4", "tool_calls": [empty]}}]}).encode()
        assert CHAT.answer(200, JSON, body).message == Message("assistant", "4")

    def test_reads_a_refusal_as_what_was_said(self):
        body = json.dumps({"choices": [{"message": {"content": None, "refusal": "I won't"}}]}).encode()
        assert CHAT.answer(200, JSON, body).message.content == "I won't"

    def test_reads_the_usage_of_a_last_chunk_without_choices(self):
        body = stream(
            delta(content="hi"), {"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 1}}, "[DONE]"
        )
        assert CHAT.answer(200, EVENTS, body).usage.input_tokens == 2

    def test_finds_an_error_in_the_middle_of_a_stream(self):
        body = stream(delta(content="hal"), {"error": {"message": "overloaded", "code": 529}})
        answer = CHAT.answer(200, EVENTS, body)
        assert (answer.message.content, answer.error) == ("hal", {"message": "overloaded", "code": 529})

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b'{"error": {"message": "slow down"}}', "slow down"),
            (b'{"error": "slow down"}', "slow down"),
            (b'{"object": "error", "message": "slow down"}', "slow down"),
            (b'{"detail": "slow down"}', "slow down"),
            (b"<html>slow down</html>", "<html>slow down</html>"),
            (b"", ""),
        ],
    )
    def test_always_has_an_error_when_the_status_says_so(self, body, message):
        assert CHAT.answer(429, JSON, body).error["message"] == message

    @given(st.binary(max_size=300), st.sampled_from([JSON, EVENTS, {}]), st.sampled_from([200, 500]))
    def test_comes_of_any_bytes_without_an_exception(self, body, content_type, status):
        for wire_format in (CHAT, EMBEDDINGS):
            answer = wire_format.answer(status, content_type, body)
            assert isinstance(answer, ChatAnswer)
            assert (answer.error is None) or status == 500
            wire_format.request(body)
            wire_format.is_whole(content_type, body)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(FIELDS),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=25,
        )
    )
    def test_comes_of_any_json_without_an_exception(self, value):
        document = {"choices": [value], "messages": [value], "usage": value, "error": value}
        for body, content_type in ((json.dumps(document).encode(), JSON), (stream(document, document), EVENTS)):
            assert isinstance(CHAT.answer(200, content_type, body), ChatAnswer)
            assert isinstance(CHAT.request(body), ChatRequest)
            CHAT.speaks(json.dumps(document))


class TestAStream:
    @given(st.lists(st.integers(min_value=1, max_value=40), max_size=30), st.sampled_from(["\n", "\r\n", "\r"]))
    def test_says_the_same_wherever_the_network_cuts_it(self, cuts, newline):
        whole = stream(delta(content="häl"), delta(content="lo"), "[DONE]").replace(b"\n", newline.encode())
        pieces, at = [], 0
        for size in cuts:
            pieces.append((at, whole[at : at + size]))
            at += size
        pieces.append((at, whole[at:]))
        assert [data for _, data in timed_data(pieces)] == list(
            data_of(stream(delta(content="häl"), delta(content="lo"), "[DONE]"))
        )

    def test_gives_the_time_at_which_an_event_was_complete(self):
        pieces = [(1, b"data: a"), (2, b"b\n"), (3, b"\ndata: c\n\n"), (4, b"data: cut")]
        assert list(timed_data(pieces)) == [(3, "ab"), (3, "c"), (4, "cut")]

    def test_passes_over_comments_and_other_fields(self):
        assert list(data_of(b": waiting\n\nevent: ping\nid: 1\n\ndata:x\ndata: y\n\n")) == ["x\ny"]

    def test_is_whole_at_its_last_event_though_nobody_read_the_end_of_the_body(self):
        assert CHAT.is_whole(EVENTS, stream(delta(content="a"), "[DONE]"))
        assert CHAT.is_whole(EVENTS, stream(delta(content="a"), {"error": {"message": "x" * 900}}))
        assert not CHAT.is_whole(EVENTS, stream(delta(content="a")))

    def test_speaks_with_its_first_word_and_not_with_its_role(self):
        said = [delta(role="assistant", content=""), delta(content="a"), delta(tool_calls=[{"index": 0}]), delta()]
        assert [CHAT.speaks(json.dumps(chunk)) for chunk in said] == [False, True, True, False]
        assert not CHAT.speaks("[DONE]")


class TestDress:
    ANSWER = ChatAnswer(
        Message("assistant", "Hällo", reasoning="hm", tool_calls=(ToolCall("a", "f", '{"x": 1}'),)),
        model="tiny",
        finish_reason="tool_calls",
        usage=Usage(5, 3, cache_read_tokens=2, reasoning_tokens=1),
        response_id="r-1",
    )

    def test_gives_a_plain_answer_that_reads_back_equal(self):
        worn = CHAT.dress(ChatRequest("gpt", ()), self.ANSWER)
        again = CHAT.answer(worn.status, dict(worn.headers), worn.raw)
        assert again.message == self.ANSWER.message
        assert (again.model, again.response_id, again.finish_reason) == ("tiny", "r-1", "tool_calls")
        assert (again.usage.input_tokens, again.usage.cache_read_tokens, again.usage.reasoning_tokens) == (5, 2, 1)

    def test_gives_a_stream_with_usage_only_where_that_was_asked_for(self):
        for asked in (True, False):
            request = ChatRequest("gpt", (), {"stream_options": {"include_usage": asked}}, stream=True)
            worn = CHAT.dress(request, self.ANSWER)
            again = CHAT.answer(200, dict(worn.headers), worn.raw)
            assert again.message == self.ANSWER.message
            assert (again.usage.input_tokens == 5) is asked
            assert worn.chunks[-1].data == b"data: [DONE]\n\n"

    def test_claims_no_usage_that_nobody_counted(self):
        worn = CHAT.dress(ChatRequest("gpt", ()), ChatAnswer.of("hi"))
        assert json.loads(worn.raw)["usage"] is None
        assert json.loads(worn.raw)["model"] == "gpt"

    def test_gives_an_error_with_its_own_status(self):
        worn = CHAT.dress(ChatRequest("gpt", ()), ChatAnswer.of("", error={"message": "slow down", "code": 429}))
        assert (worn.status, json.loads(worn.raw)["error"]["message"]) == (429, "slow down")

    def test_refuses_to_make_vectors_of_words(self):
        with pytest.raises(ConfigError, match="base_url"):
            EMBEDDINGS.dress(ChatRequest("e", ()), ChatAnswer.of("hi"))


class TestARecordedExchange:
    REQUEST = HttpRequest("POST", "http://m.example/v1/chat/completions", (), {"model": "m", "messages": []})
    SAID = b'{"model": "m", "choices": [{"message": {"content": "hi"}}]}'

    @pytest.mark.parametrize(
        ("encoding", "body"),
        [
            ("", SAID),
            ("gzip", gzip.compress(SAID)),
            ("deflate", zlib.compress(SAID)),
            ("zstd", zstandard.compress(SAID)),
        ],
        ids=["plain", "gzip", "deflate", "zstd"],  # gzip's bytes hold the time, and every worker must collect the same
    )
    def test_is_read_whatever_it_was_compressed_with(self, encoding, body):
        response = HttpResponse(
            200, (("Content-Encoding", encoding), ("Content-Type", "application/json")), (Chunk(0, body),)
        )
        assert providers.plain_body(response) == self.SAID
        assert providers.read(self.REQUEST, response).message.content == "hi"

    @pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate"])
    def test_is_unreadable_where_its_compression_is(self, encoding):
        response = HttpResponse(200, (("content-encoding", encoding),), (Chunk(0, b"nothing of the kind"),))
        assert providers.plain_body(response) is None
        assert providers.read(self.REQUEST, response) is None

    def test_is_read_as_far_as_a_cut_off_body_goes(self):
        body = gzip.compress(stream(delta(content="a" * 5000)))[:-9]
        response = HttpResponse(
            200, (("content-encoding", "gzip"), ("content-type", "text/event-stream")), (Chunk(0, body),)
        )
        assert set(providers.read(self.REQUEST, response).message.content) == {"a"}

    def test_of_another_kind_is_not_read(self):
        other = HttpRequest("GET", "http://shop.example/", (), None)
        assert providers.read(other, HttpResponse(200, (), (Chunk(0, self.SAID),))) is None
        assert providers.dress(other, ChatAnswer.of("x")) is None

    def test_is_dressed_as_its_sender_asked(self):
        streamed = dataclasses.replace(self.REQUEST, body={**self.REQUEST.body, "stream": True})
        worn = providers.dress(streamed, ChatAnswer.of("edited"))
        assert worn.chunks[-1].data == b"data: [DONE]\n\n"
        assert providers.read(streamed, worn).message.content == "edited"

    def test_of_vectors_cannot_be_dressed(self):
        asked = HttpRequest("POST", "http://m.example/v1/embeddings", (), {"model": "e", "input": "x"})
        assert providers.dress(asked, ChatAnswer.of("x")) is None


class TestReaddress:
    def test_changes_the_model_and_nothing_else(self):
        body = json.dumps({"model": "a", "messages": [{"role": "user", "content": "ü"}], "temperature": 0.1}).encode()
        changed = json.loads(CHAT.readdress(body, "b"))
        assert changed == {**json.loads(body), "model": "b"}

    def test_names_the_model_where_azure_had_it_in_the_path(self):
        assert json.loads(EMBEDDINGS.readdress(b'{"input": "x"}', "b")) == {"input": "x", "model": "b"}


class TestARequest:
    def test_is_read_into_messages_parameters_and_tools(self):
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        body = {
            "model": "gpt",
            "stream": True,
            "temperature": 0,
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "name": "ann", "content": [{"type": "text", "text": "what is this?"}, image]},
                {"role": "tool", "tool_call_id": "a", "content": "4"},
            ],
        }
        request = CHAT.request(json.dumps(body).encode())
        assert request.messages == (
            Message("system", "be brief"),
            Message("user", "what is this?", name="ann", parts=(image,)),
            Message("tool", "4", tool_call_id="a"),
        )
        assert (request.model, request.stream, request.parameters) == ("gpt", True, {"temperature": 0})
        assert request.tools == tuple(body["tools"])

    def test_for_vectors_has_each_text_as_a_message(self):
        assert EMBEDDINGS.request(b'{"model": "e", "input": ["a", "b"]}').messages == (
            Message("user", "a"),
            Message("user", "b"),
        )
        assert EMBEDDINGS.request(b'{"model": "e", "input": [1, 2]}').messages == ()
