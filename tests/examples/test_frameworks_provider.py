"""The loopback provider of examples/frameworks, read back by the formats that playhead reads real providers with."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
from collections import Counter

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources import REPOSITORY
from tests.strategies import THOROUGH
from tracer import providers
from tracer.providers.headers import lowered

sys.path.append(str(REPOSITORY / "examples" / "frameworks"))

from provider import Provider
from provider_answers import Question, Said, Tool, Turn, answer, filled, vector

ASKED = "Where is my order 1042?"
SCHEMA = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
TOOL = {"type": "function", "function": {"name": "lookup_order", "parameters": SCHEMA}}
MODEL = "some-model"


@pytest.fixture
def provider():
    with Provider() as started:
        yield started


def send(provider, path, body):
    """Status, headers by lower-case name, body."""
    connection = http.client.HTTPConnection(provider.url.removeprefix("http://"), timeout=20)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, lowered(tuple(response.getheaders())), response.read()
    finally:
        connection.close()


def read(provider, path, body):
    """What playhead understands of the answer."""
    known = providers.find("POST", "127.0.0.1", path.partition("?")[0], json.dumps(body).encode())
    assert known is not None
    return known.answer(*send(provider, path, body))


def chat(text, *, tool, stream):
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "tools": [TOOL] if tool else []}
    return "/v1/chat/completions", {**body, "stream": stream, "stream_options": {"include_usage": True}}


def responses(text, *, tool, stream):
    tools = [{"type": "function", **TOOL["function"]}] if tool else []
    return "/v1/responses", {"model": MODEL, "input": text, "tools": tools, "stream": stream}


def messages(text, *, tool, stream):
    tools = [{"name": "lookup_order", "input_schema": SCHEMA}] if tool else []
    said = [{"role": "user", "content": text}]
    return "/v1/messages", {"model": MODEL, "max_tokens": 9, "messages": said, "tools": tools, "stream": stream}


def gemini(text, *, tool, stream):
    tools = [{"functionDeclarations": [{"name": "lookup_order", "parametersJsonSchema": SCHEMA}]}] if tool else []
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{MODEL}:{verb}", {"contents": [{"role": "user", "parts": [{"text": text}]}], "tools": tools}


def groq(text, *, tool, stream):
    return "/openai/v1/chat/completions", chat(text, tool=tool, stream=stream)[1]


def cohere(text, *, tool, stream):
    return "/v2/chat", chat(text, tool=tool, stream=stream)[1]


def converse(text, *, tool, stream):
    spec = {"name": "lookup_order", "inputSchema": {"json": SCHEMA}}
    body = {"messages": [{"role": "user", "content": [{"text": text}]}]}
    verb = "converse-stream" if stream else "converse"
    return f"/model/{MODEL}/{verb}", {**body, **({"toolConfig": {"tools": [{"toolSpec": spec}]}} if tool else {})}


def invoke(text, *, tool, stream):
    body = messages(text, tool=tool, stream=False)[1]
    return f"/model/{MODEL}/{'invoke-with-response-stream' if stream else 'invoke'}", body


FORMATS = [chat, responses, messages, gemini, groq, cohere, converse, invoke]


@pytest.mark.parametrize("asking", FORMATS, ids=lambda asking: asking.__name__)
class TestEveryFormat:
    def test_says_the_same_plain_and_streamed_and_counts_it_as_it_is_read(self, provider, asking):
        plain = read(provider, *asking("hello", tool=False, stream=False))
        streamed = read(provider, *asking("hello", tool=False, stream=True))
        assert plain.message.content == streamed.message.content != ""
        used = [(each.usage.input_tokens, each.usage.output_tokens) for each in (plain, streamed)]
        assert used[0] == used[1]
        assert provider.counted == Counter({(MODEL, *used[0]): 2})

    @pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
    def test_calls_a_tool_that_the_question_asks_for(self, provider, asking, stream):
        (call,) = read(provider, *asking(ASKED, tool=True, stream=stream)).message.tool_calls
        assert (call.name, json.loads(call.arguments)) == ("lookup_order", {"number": 1042})

    def test_gives_each_call_another_id(self, provider, asking):
        one, other = (read(provider, *asking(ASKED, tool=True, stream=False)).message.tool_calls[0] for _ in range(2))
        assert one.id != other.id

    def test_says_what_went_wrong_with_a_time_to_come_again(self, provider, asking):
        provider.fail(429, 500, retry_after_s=3)
        refused = read(provider, *asking("hello", tool=False, stream=False))
        assert refused.retry_after_s == 3
        assert "429" in str(refused.error)
        assert "500" in str(read(provider, *asking("hello", tool=False, stream=False)).error)

    def test_cuts_an_answer_off_in_the_middle(self, provider, asking):
        provider.fail("cut", "cut")
        for stream in (False, True):
            with pytest.raises(http.client.IncompleteRead):
                send(provider, *asking("hello", tool=False, stream=stream))
        assert provider.counted == Counter()


class TestFaults:
    def test_meet_the_request_that_they_are_meant_for(self, provider):
        provider.fail(429, where="second")
        statuses = [send(provider, *chat(text, tool=False, stream=False))[0] for text in ("first", "second", "second")]
        assert statuses == [200, 429, 200]

    def test_let_the_model_say_broken_json(self, provider):
        provider.fail("bad-json")
        said = read(provider, *chat("hello", tool=False, stream=False)).message.content
        with pytest.raises(ValueError, match="Expecting value"):
            json.loads(said)

    def test_send_a_body_that_is_no_json(self, provider):
        provider.fail("bad-body")
        status, _, body = send(provider, *chat("hello", tool=False, stream=False))
        assert (status, body[:6]) == (200, b"<html>")

    def test_a_slow_answer_does_not_come_and_holds_nobody_up_who_stops_the_server(self, provider):
        provider.fail("slow")
        client = openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k", timeout=0.2, max_retries=0)
        with pytest.raises(openai.APITimeoutError):
            client.embeddings.create(model="m", input="hello")
        provider.stop()
        assert not [thread for thread in threading.enumerate() if thread.name.endswith("(serve_forever)")]


class TestAProviderThatIsStopped:
    def test_refuses_everybody_and_starts_again_where_it_was(self, provider):
        host, port = provider.url.removeprefix("http://").split(":")
        provider.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=5)
        provider.start()
        socket.create_connection((host, int(port)), timeout=5).close()

    def test_is_found_again_by_a_client_that_kept_its_connection(self, provider):
        client = openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0)
        client.embeddings.create(model="m", input="hello")
        provider.stop()
        with pytest.raises(openai.APIConnectionError):
            client.embeddings.create(model="m", input="hello")
        provider.start()
        assert client.embeddings.create(model="m", input="hello").data


class TestTheSdks:
    def test_openai_takes_its_embeddings_either_way(self, provider):
        client = openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k")
        packed = client.embeddings.create(model="m", input=["a", "b"])
        plain = client.embeddings.create(model="m", input=["a", "b"], encoding_format="float")
        assert [each.embedding for each in packed.data] == [each.embedding for each in plain.data]

    def test_openai_reads_a_stream_of_responses_to_its_end(self, provider):
        client = openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k")
        with client.responses.stream(model="m", input="hello") as stream:
            said = stream.get_final_response().output_text
        assert said == client.responses.create(model="m", input="hello").output_text

    def test_anthropic_reads_a_tool_call_out_of_a_stream(self, provider):
        client = anthropic.Anthropic(base_url=provider.url, api_key="k")
        tool = {"name": "lookup_order", "input_schema": SCHEMA}
        asked = [{"role": "user", "content": ASKED}]
        with client.messages.stream(model="m", max_tokens=9, messages=asked, tools=[tool]) as stream:
            (block,) = stream.get_final_message().content
        assert block.input == {"number": 1042}


class TestWhatTheModelSays:
    def test_a_result_of_a_tool_ends_the_calling(self):
        turns = (Turn("user", ASKED), Turn("assistant", calls=("lookup_order",)), Turn("tool", "it is on its way"))
        said = answer(Question("m", turns, (Tool("lookup_order"),)))
        assert said == Said("This is what I found: it is on its way")

    def test_a_forced_tool_is_called_whatever_was_said_and_then_the_next(self):
        tools = (Tool("lookup_order"), Tool("final_result"))
        asked = Turn("user", "hello")
        assert answer(Question("m", (asked,), tools, must_call="final_result")).tool == "final_result"
        called = (asked, Turn("assistant", calls=("lookup_order",)), Turn("tool", "found"))
        assert answer(Question("m", called, tools, must_call="any")).tool == "final_result"

    def test_the_label_that_occurs_outside_the_list_is_chosen_else_the_last(self):
        def said(text):
            return answer(Question("m", (Turn("system", "One of: refund, delivery, other"), Turn("user", text)))).text

        assert [said("I want it refunded"), said("late delivery"), said("hm")] == ["refund", "delivery", "other"]

    def test_a_rule_of_the_test_comes_first(self, provider):
        provider.rules.append(lambda question: Said("by rule") if "hello" in question.asked else None)
        said = [read(provider, *chat(text, tool=False, stream=False)).message.content for text in ("hello", "no")]
        assert said[0] == "by rule" != said[1]

    @given(st.text())
    def test_a_vector_is_the_same_for_the_same_text(self, text):
        assert vector(text) == vector(text)
        assert all(-1 <= number <= 1 for number in vector(text))

    @THOROUGH
    @given(
        st.text(max_size=40),
        st.integers(-5, 5),
        st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, unique=True),
    )
    def test_a_schema_is_filled_within_what_it_allows(self, text, least, labels):
        schema = {
            "$defs": {"Label": {"enum": labels}},
            "type": "object",
            "properties": {
                "label": {"$ref": "#/$defs/Label"},
                "count": {"type": "integer", "minimum": least, "maximum": least + 3},
                "maybe": {"anyOf": [{"type": "null"}, {"type": "string"}]},
                "many": {"type": "array", "items": {"type": ["number", "null"], "minimum": 0.5}},
            },
        }
        value = filled(schema, text)
        assert value.keys() == schema["properties"].keys()
        assert value["label"] in labels
        assert least <= value["count"] <= least + 3
        assert isinstance(value["count"], int)
        assert isinstance(value["maybe"], str)
        assert all(number >= 0.5 for number in value["many"])
