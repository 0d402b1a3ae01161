"""What a fault makes of a call: the answer that a provider would have given, in the format that was asked for."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import anthropic
import openai
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from replay import edit, fail, replay
from replay.injection import Struck, inject
from replay.plan import PlanError
from replay.spoilt import REFUSAL, Unfit, broken_json, half, json_in, less_sure, other_schema, reshaped
from replay.spoilt_wire import Wire, cut, refused
from tests.loopback import Reply
from tests.replay.support import done
from tracer import providers, step, workflow
from tracer.codec import Yielded
from tracer.messages import ChatAnswer, Message, ToolCall
from tracer.wire import Chunk, HttpRequest, HttpResponse

ASKED = [{"role": "user", "content": "hi"}]
CHAT = {"model": "m", "messages": ASKED}
GOOGLE = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
BEDROCK = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
#: name -> (path, body, streamed body)
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", CHAT),
    "openai stream": ("/v1/chat/completions", {**CHAT, "stream": True}),
    "responses": ("/v1/responses", {"model": "m", "input": "hi"}),
    "responses stream": ("/v1/responses", {"model": "m", "input": "hi", "stream": True}),
    "anthropic": ("/v1/messages", {**CHAT, "max_tokens": 9}),
    "anthropic stream": ("/v1/messages", {**CHAT, "max_tokens": 9, "stream": True}),
    "gemini": ("/v1beta/models/g:generateContent", GOOGLE),
    "gemini stream": ("/v1beta/models/g:streamGenerateContent", GOOGLE),
    "ollama": ("/api/chat", {**CHAT, "stream": False}),
    "ollama stream": ("/api/chat", CHAT),
}
SAID = '{"intent": "billing", "confidence": 0.5}'


def asked(name: str, **more: Any) -> HttpRequest:
    path, body = FORMATS[name]
    return HttpRequest("POST", f"https://model.test{path}", (), {**body, **more})


def answered(request: HttpRequest, answer: ChatAnswer | None = None) -> HttpResponse:
    dressed = providers.dress(request, answer or ChatAnswer.of(SAID))
    assert dressed is not None
    return dressed


def read(request: HttpRequest, response: HttpResponse) -> ChatAnswer:
    found = providers.read(request, response)
    assert found is not None
    return found


@pytest.mark.parametrize("name", FORMATS)
class TestInEveryFormat:
    def test_an_empty_answer_is_a_whole_one_without_text(self, name):
        request = asked(name)
        found = read(request, Wire(request, answered(request)).empty())
        assert (found.message.content, found.message.tool_calls, found.error) == ("", (), None)

    def test_a_truncated_one_ends_in_the_middle_and_says_why(self, name):
        request = asked(name)
        found = read(request, Wire(request, answered(request)).truncated())
        assert found.message.content == SAID[: len(SAID) // 2]
        assert found.finish_reason in {"length", "max_tokens", "MAX_TOKENS", "max_output_tokens", "incomplete"}

    def test_broken_json_ends_as_any_answer_does(self, name):
        request = asked(name)
        recorded = answered(request)
        found = read(request, Wire(request, recorded).bad_json())
        assert json_in(found.message.content) is None
        assert found.finish_reason == read(request, recorded).finish_reason

    def test_another_schema_is_json_all_the_same(self, name):
        request = asked(name)
        found = read(request, Wire(request, answered(request)).wrong_schema())
        assert json.loads(found.message.content) == {"intent": {"value": "billing"}}

    def test_a_refusal_is_said_with_the_word_of_the_provider(self, name):
        request = asked(name)
        found = read(request, Wire(request, answered(request)).refusal())
        assert found.message.content == REFUSAL
        assert found.finish_reason in {"content_filter", "refusal", "SAFETY", "incomplete"}

    def test_a_stated_confidence_is_lowered(self, name):
        request = asked(name)
        found = read(request, Wire(request, answered(request)).low_confidence())
        assert json.loads(found.message.content) == {"intent": "billing", "confidence": 0.05}

    @pytest.mark.parametrize("status", [429, 500])
    def test_an_error_is_in_the_words_of_the_provider(self, name, status):
        request = asked(name)
        found = read(request, refused(request, status))
        assert found.error is not None
        assert "injected" in found.error["message"]
        assert found.retry_after_s == (1 if status == 429 else None)
        if "ollama" not in name:
            assert (
                found.error_type
                in {
                    429: {"rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"},
                    500: {"server_error", "api_error", "INTERNAL"},
                }[status]
            )

    def test_a_cut_body_breaks_in_the_middle(self, name):
        request = asked(name)
        recorded = answered(request)
        broken = cut(recorded)
        assert recorded.raw.startswith(broken.raw)
        assert len(broken.raw) == len(recorded.raw) // 2
        assert broken.ended == "broken"

    def test_another_recorded_answer_is_given_however_it_came(self, name):
        request = asked(name)
        wire = Wire(request, answered(request))
        for other_name in (name, name.split()[0], f"{name.split()[0]} stream"):
            other = asked(other_name)
            given_there = answered(other, ChatAnswer.of("loans"))
            found = wire.says_otherwise(other, given_there)
            assert read(request, found).message.content == "loans"
            assert wire.says_otherwise(other, answered(other)) is None
            assert wire.says_otherwise(other, refused(other, 500)) is None


class TestAtTheWire:
    def test_a_structured_answer_is_refused_in_a_field_of_its_own(self):
        for name in ("openai", "openai stream"):
            request = asked(name, response_format={"type": "json_schema"})
            response = Wire(request, answered(request)).refusal()
            assert b'"refusal": "' + REFUSAL.encode() in response.raw
            found = read(request, response)
            assert (found.message.content, found.finish_reason) == (REFUSAL, "stop")

    def test_the_probabilities_of_tokens_are_lowered(self):
        request = asked("openai")
        body = json.loads(answered(request, ChatAnswer.of("billing")).raw)
        body["choices"][0]["logprobs"] = {"content": [{"token": "billing", "logprob": -0.1, "top_logprobs": []}]}
        recorded = HttpResponse(200, (), (Chunk(0, json.dumps(body).encode()),))
        lowered = json.loads(Wire(request, recorded).low_confidence().raw)
        assert lowered["choices"][0]["logprobs"]["content"][0]["logprob"] == pytest.approx(-2.4, abs=0.01)
        assert lowered["choices"][0]["message"] == body["choices"][0]["message"]

    def test_an_answer_that_only_calls_a_tool_is_spoilt_in_its_arguments(self):
        request = asked("openai")
        call = ToolCall("c", "look_up", SAID)
        recorded = answered(request, ChatAnswer(Message("assistant", "", tool_calls=(call,))))
        wire = Wire(request, recorded)
        (broken,) = read(request, wire.bad_json()).message.tool_calls
        assert (broken.name, json_in(broken.arguments)) == ("look_up", None)
        (other,) = read(request, wire.wrong_schema()).message.tool_calls
        assert json.loads(other.arguments) == {"intent": {"value": "billing"}}

    @pytest.mark.parametrize("fault", ["empty", "truncated", "refusal", "bad_json", "low_confidence", "wrong_schema"])
    def test_an_embedding_has_nothing_to_say_otherwise(self, fault):
        request = HttpRequest("POST", "https://model.test/v1/embeddings", (), {"model": "m", "input": "q"})
        body = {"data": [{"index": 0, "embedding": [0.5]}], "model": "m"}
        recorded = HttpResponse(200, (), (Chunk(0, json.dumps(body).encode()),))
        with pytest.raises(Unfit):
            inject(fault, Struck(request, "embedding", recorded))
        for possible in ("timeout", "rate_limited", "server_error", "connection_reset", "cut_stream", "slow"):
            inject(possible, Struck(request, "embedding", recorded))
        other = replace(recorded, chunks=(Chunk(0, b'{"data": [{"index": 0, "embedding": [1.5]}], "model": "m"}'),))
        alternatives = Struck(request, "embedding", recorded, lambda: [(request, recorded), (request, other)])
        assert inject("wrong_but_valid", alternatives).value == other

    @pytest.mark.parametrize("fault", ["truncated", "wrong_schema", "low_confidence", "slow"])
    def test_a_call_without_an_answer_can_not_be_answered_otherwise(self, fault):
        request = asked("openai")
        with pytest.raises(Unfit, match=r"failed in the recorded run|no answer|can't be read"):
            inject(fault, Struck(request, "llm", refused(request, 500) if fault != "slow" else OSError("gone")))

    def test_a_plain_request_fails_as_http_does(self):
        request = HttpRequest("GET", "https://shop.test/stock", (), None)
        recorded = HttpResponse(200, (("content-type", "application/json"),), (Chunk(0, b'{"left": 3, "of": 9}'),))
        struck = Struck(request, "http", recorded)
        assert json.loads(inject("wrong_schema", struck).value.raw) == {"left": "3"}
        assert inject("empty", struck).value.raw == b""
        assert inject("truncated", struck).value.raw == b'{"left": 3'
        assert inject("rate_limited", struck).value.status == 429
        with pytest.raises(Unfit, match="no model call"):
            inject("refusal", struck)


class Scored(NamedTuple):
    label: str
    score: float


@dataclass(frozen=True)
class Said:
    text: str
    tokens: int = 0


@dataclass(frozen=True)
class Guess:
    intent: str
    confidence: float


class TestInCode:
    @pytest.mark.parametrize(
        ("fault", "result", "spoilt"),
        [
            ("empty", "text", ""),
            ("empty", [1], []),
            ("empty", {"a": 1}, {}),
            ("empty", Guess("a", 1.0), None),
            ("empty", Yielded((1, 2)), Yielded(())),
            ("truncated", "text", "te"),
            ("truncated", [1, 2, 3], [1]),
            ("truncated", Yielded((1, 2), "end"), Yielded((1,), "end")),
            ("wrong_schema", {"a": 1, "b": 2}, {"a": "1"}),
            ("wrong_schema", [1], {"items": [1]}),
            ("low_confidence", Guess("a", 0.5), Guess("a", 0.05)),
            ("low_confidence", Scored("a", 0.5), Scored("a", 0.05)),
            ("low_confidence", {"probability": 1, "x": 2}, {"probability": 0.1, "x": 2}),
            ("refusal", "text", REFUSAL),
            ("slow", "text", "text"),
            ("empty", Said(SAID), Said("")),
            ("truncated", {"text": "text"}, {"text": "te"}),
            ("bad_json", Said('{"a": 1}'), Said('{"a":')),
            ("wrong_schema", Said('{"a": 1}', 7), Said('{"a": "1"}', 7)),
            ("refusal", Said("x"), Said(REFUSAL)),
            ("low_confidence", Said('{"score": 1}'), Said('{"score": 0.1}')),
        ],
        ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:9],
    )
    def test_a_step_gives_its_result_spoilt(self, fault, result, spoilt):
        found = inject(fault, Struck(None, "llm", result)).value
        assert (found, type(found)) == (spoilt, type(spoilt))

    @pytest.mark.parametrize(
        ("fault", "result"),
        [
            ("empty", None), ("truncated", 3), ("truncated", ""), ("wrong_schema", Guess("a", 1.0)),
            ("low_confidence", Scored), ("low_confidence", "text"), ("bad_json", "text"), ("bad_json", 3),
            ("refusal", 3), ("cut_stream", "text"), ("cut_stream", Yielded((1,))), ("wrong_but_valid", "text"),
        ],
        ids=str,
    )  # fmt: skip
    def test_or_the_fault_has_no_meaning(self, fault, result):
        with pytest.raises(Unfit):
            inject(fault, Struck(None, "llm", result))

    @pytest.mark.parametrize("fault", ["refusal", "bad_json"])
    def test_what_is_no_models_does_not_speak(self, fault):
        with pytest.raises(Unfit):
            inject(fault, Struck(None, "tool", Said(SAID)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    max_leaves=8,
)


class TestSpoiltTexts:
    @given(JSON, st.booleans())
    def test_broken_json_never_parses(self, value, fenced):
        text = json.dumps(value)
        assume(len(text) > 1)
        broken = broken_json(f"```json\n{text}\n```" if fenced else text)
        assert json_in(broken) is None

    @given(JSON, st.booleans())
    def test_another_schema_parses_and_is_another(self, value, fenced):
        text = json.dumps(value)
        found = json_in(other_schema(f"```json\n{text}\n```" if fenced else text))
        assert found is not None
        assert found[1] == reshaped(value)
        assert (type(found[1]), found[1]) != (type(value), value)

    @given(st.text(max_size=60))
    def test_any_text_is_spoilt_or_refused(self, text):
        for spoil in (half, broken_json, other_schema, less_sure):
            with suppress(Unfit):
                assert spoil(text) != text


# -- through the SDKs --------------------------------------------------------------------------------------------------


@step
def told(url: str, text: str) -> list:
    with anthropic.Anthropic(base_url=url.removesuffix("/v1"), api_key="not-a-real-key", max_retries=0) as client:
        said = client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": text}])
        return [said.stop_reason, "".join(block.text for block in said.content if block.type == "text")]


@workflow
def of_anthropic(url: str, text: str) -> list:
    return told(url, text)


@step
def parsed(url: str, text: str) -> Any:
    with openai.OpenAI(base_url=url, api_key="not-a-real-key", max_retries=1) as client:
        said = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": text}], response_format={"type": "json_object"}
        )
        return said.choices[0].message.refusal or said.choices[0].message.content


@workflow
def of_openai(url: str, text: str) -> Any:
    return parsed(url, text)


class TestThroughTheSdks:
    def test_anthropics_reads_its_own_words(self, recorded, server):
        server.next(Reply(words=("Dear ", "you")))
        of_anthropic(server.url, "q")
        assert replay("latest", fail("told", "refusal")).output == ["refusal", REFUSAL]
        trace = recorded.trace().summary.replay_of
        assert replay(trace, fail("told", "truncated")).output == ["max_tokens", "Dear"]
        limited = replay(trace, fail("told", "rate_limited"))
        assert isinstance(limited.error, anthropic.RateLimitError)
        assert limited.error.body["error"]["type"] == "rate_limit_error"
        assert isinstance(replay(trace, fail("told", "server_error")).error, anthropic.InternalServerError)
        assert isinstance(replay(trace, fail("told", "cut_stream")).error, anthropic.APIConnectionError)

    def test_openais_finds_the_refusal_where_it_looks_for_it(self, recorded, server):
        server.next(Reply(words=(SAID,)))
        of_openai(server.url, "q")
        assert replay("latest", fail("parsed", "refusal")).output == REFUSAL

    def test_once_means_that_the_retry_is_answered_from_the_record(self, recorded, server):
        server.next(Reply(words=(SAID,)))
        of_openai(server.url, "q")
        server.seen.clear()
        trace = recorded.trace().trace_id
        assert replay(trace, fail("parsed", "timeout", once=True)).output == SAID
        assert replay(trace, fail("parsed", "timeout:once")).output == SAID
        assert isinstance(replay(trace, fail("parsed/chat", "timeout")).error, openai.APITimeoutError)
        assert server.seen == []

    def test_a_fault_without_meaning_stops_the_replay_and_says_why(self, recorded, server):
        server.next(Reply(words=("Dear you",)))
        of_openai(server.url, "q")
        stopped = replay("latest", fail("parsed", "low_confidence")).stopped
        assert stopped.advice == ("No --fail parsed=low_confidence here: the recorded answer states no confidence")

    def test_other_rules_may_stand_beside_it(self, recorded, server):
        of_openai(server.url, "q")
        done()
        assert replay("latest", fail("parsed", "timeout"), edit("parsed", "edited")).output == "edited"

    @pytest.mark.parametrize("fault", ["timeout:twice", ":once", "once", "slow:once:once"])
    def test_a_word_that_is_no_fault_is_refused(self, fault):
        with pytest.raises(PlanError, match="there are timeout, rate_limited"):
            fail("parsed", fault)

    def test_a_wrong_answer_is_found_in_the_other_traces_by_the_replay_itself(self, recorded, server):
        server.next(Reply(words=("Dear borrower",)), Reply(words=(SAID,)))
        of_openai(server.url, "q")
        of_openai(server.url, "r")
        again = replay(recorded.trace().trace_id, fail("parsed", "wrong_but_valid"))
        assert (again.output, again.cost_usd) == ("Dear borrower", 0)
        asked_of_a_replay = replay(recorded.trace().summary.replay_of, fail("parsed", "wrong_but_valid"))
        assert asked_of_a_replay.output == "Dear borrower"
