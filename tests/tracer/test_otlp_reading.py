"""What spans of other instrumentations are as steps: their facts against what we read of the same exchanges."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from tests.otlp_spans import a_span, of_vercel, replayed
from tests.tracer.corpus import INSTRUMENTATIONS, exchanges
from tests.tracer.test_otlp_codec import SPANS
from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.otlp.attributes import KINDS, is_read
from tracer.otlp.reading import told
from tracer.otlp.span import ERROR, SpanEvent


def chat(**attributes):
    return told(a_span(1, attributes={"gen_ai.operation.name": "chat"} | attributes))


class TestARecordedInstrumentation:
    @pytest.mark.parametrize("name", INSTRUMENTATIONS)
    def test_every_span_is_a_model_call_that_names_its_model_and_its_provider(self, name):
        for saved, span in replayed(name):
            said = told(span)
            assert said.kind == ("embedding" if saved["api"] == "embeddings" else "llm"), span.name
            assert said.call["provider"]
            assert said.call.get("model") or said.call.get("model_asked"), span.attributes

    @pytest.mark.parametrize("name", INSTRUMENTATIONS)
    def test_counts_and_models_are_those_that_the_exchange_itself_says(self, name):
        by_id = {exchange.id: exchange for exchange in exchanges()}
        compared = agreed = 0
        for saved, span in replayed(name):
            exchange, call = by_id.get(saved["exchange_id"]), told(span).call
            if exchange is None or exchange.format is None or saved["http_status"] >= 400:
                continue
            answer, usage = exchange.answer, exchange.answer.usage
            pairs = [
                (call.get("model"), answer.model),
                (call["usage"].get("input_tokens"), usage.input_tokens),
                (call["usage"].get("output_tokens"), usage.output_tokens),
                (call["usage"].get("cache_read_tokens"), usage.cache_read_tokens),
                (call["usage"].get("reasoning_tokens"), usage.reasoning_tokens),
            ]
            told_pairs = [(theirs, ours) for theirs, ours in pairs if theirs is not None and ours is not None]
            compared += len(told_pairs)
            agreed += sum(theirs == ours for theirs, ours in told_pairs)
        assert compared > 10
        # an instrumentation may be wrong about a stream that was cut, or about an answer of another provider
        assert agreed / compared > 0.97

    @pytest.mark.parametrize("name", INSTRUMENTATIONS)
    def test_the_words_of_a_question_and_its_answer_are_those_of_the_exchange(self, name):
        by_id = {exchange.id: exchange for exchange in exchanges()}
        asked = answered = 0
        for saved, span in replayed(name):
            exchange, said = by_id.get(saved["exchange_id"]), told(span)
            if exchange is None or saved["api"] != "chat.completions" or saved["http_status"] >= 400:
                continue
            if isinstance(said.input, ChatRequest) and exchange.request.messages[-1].content:
                # OpenTelemetry's own leaves the words out where an image or a file stands beside them
                words = said.input.messages[-1].content
                assert words == exchange.request.messages[-1].content or (not words and name == "otel-v2")
                asked += bool(words)
            if isinstance(said.output, ChatAnswer):
                theirs, ours = said.output.message, exchange.answer.message
                # OpenTelemetry's own leaves out a call of the old form
                if said.output.finish_reason != "function_call":
                    assert [call.name for call in theirs.tool_calls] == [call.name for call in ours.tool_calls]
                assert theirs.content in (ours.content, "")
                answered += 1
        assert asked
        assert answered

    def test_a_call_that_failed_says_how(self):
        for name in INSTRUMENTATIONS:
            for saved, span in replayed(name):
                is_error = saved["span"]["status"]["status_code"] == "ERROR"
                assert (told(span).failure is not None) == is_error


class TestVercelsSdk:
    def test_the_call_is_the_span_that_asked_the_provider_and_not_the_one_around_it(self):
        spans = of_vercel()
        around, inside = told(spans["ai.generateText"]), told(spans["ai.generateText.doGenerate"])
        assert (around.kind, around.call) == ("step", None)
        assert inside.kind == "llm"
        assert inside.call["usage"]["input_tokens"] == 50
        assert inside.call["provider"] == "openai"

    def test_messages_and_answers_are_read(self):
        said = told(of_vercel()["ai.generateText.doGenerate"])
        assert [each.role for each in said.input.messages] == ["system", "user", "assistant", "user"]
        assert said.input.messages[-1].content == "And what is 3 + 3?"
        assert said.output.message.content == "3 + 3 equals 6."

    def test_a_stream_says_when_its_first_word_came(self):
        assert told(of_vercel()["ai.streamText.doStream"]).call["first_token_ns"] == 426_853_500


class TestTheGenAiConvention:
    PARTS = (
        {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "look", "arguments": {"at": "Paris"}}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": {"sun": True}}]},
    )

    @pytest.mark.parametrize("encode", [json.dumps, lambda value: value], ids=["text", "values"])
    def test_messages_may_be_a_text_of_json_or_values(self, encode):
        said = chat(
            **{
                "gen_ai.request.model": "m",
                "gen_ai.system_instructions": encode([{"type": "text", "content": "Be brief."}]),
                "gen_ai.input.messages": encode(list(self.PARTS)),
                "gen_ai.output.messages": encode(
                    [{"role": "assistant", "parts": [{"type": "text", "content": "Sun."}]}]
                ),
            }
        )
        assert said.input.messages == (
            Message("system", "Be brief."),
            Message("user", "Weather?"),
            Message("assistant", "", tool_calls=(ToolCall("c1", "look", '{"at": "Paris"}'),)),
            Message("tool", '{"sun": true}', tool_call_id="c1"),
        )
        assert said.output.message == Message("assistant", "Sun.")

    def test_the_spelling_before_had_events_for_messages(self):
        events = (
            SpanEvent(1, "gen_ai.system.message", {"content": "Be brief."}),
            SpanEvent(2, "gen_ai.user.message", {"content": "Hello"}),
            SpanEvent(3, "gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": '{"content": "Hi"}'}),
        )
        said = told(a_span(1, attributes={"gen_ai.system": "openai", "gen_ai.request.model": "m"}, events=events))
        assert [(each.role, each.content) for each in said.input.messages] == [
            ("system", "Be brief."),
            ("user", "Hello"),
        ]
        assert said.output.message.content == "Hi"

    def test_details_on_an_event_are_as_good_as_on_the_span(self):
        details = {"gen_ai.input.messages": json.dumps(list(self.PARTS)), "gen_ai.usage.input_tokens": 3}
        event = SpanEvent(1, "gen_ai.client.inference.operation.details", details)
        said = told(a_span(1, attributes={"gen_ai.operation.name": "chat"}, events=(event,)))
        assert len(said.input.messages) == 3
        assert said.call["usage"]["input_tokens"] == 3

    def test_traceloops_indexed_prompts_are_messages(self):
        said = chat(
            **{
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": "Hello",
                "gen_ai.prompt.10.role": "user",
                "gen_ai.prompt.10.content": "last",
                "gen_ai.prompt.2.role": "assistant",
                "gen_ai.prompt.2.tool_calls.0.id": "c",
                "gen_ai.prompt.2.tool_calls.0.name": "look",
                "gen_ai.prompt.2.tool_calls.0.arguments": "{}",
                "gen_ai.completion.0.content": "Hi",
                "gen_ai.completion.0.role": "assistant",
                "gen_ai.usage.prompt_tokens": 4,
                "gen_ai.usage.completion_tokens": 2,
            }
        )
        assert [each.content for each in said.input.messages] == ["Hello", "", "last"]
        assert said.input.messages[1].tool_calls == (ToolCall("c", "look", "{}"),)
        assert (said.call["usage"]["input_tokens"], said.call["usage"]["output_tokens"]) == (4, 2)

    def test_input_that_left_the_cache_out_is_made_whole(self):
        usage = chat(
            **{
                "gen_ai.usage.input_tokens": 10,
                "gen_ai.usage.cache_read.input_tokens": 100,
                "gen_ai.usage.cache_creation.input_tokens": 5,
            }
        ).call["usage"]
        assert (usage["input_tokens"], usage["cache_read_tokens"], usage["cache_write_tokens"]) == (115, 100, 5)
        assert usage["raw"]["gen_ai.usage.input_tokens"] == 10

    @pytest.mark.parametrize(
        ("said", "host", "provider"),
        [
            ("openai", "api.openai.com", "openai"),
            ("openai", "api.groq.com", "groq"),
            ("openai", "localhost", "openai"),
            ("aws.bedrock", "", "aws"),
            ("az.ai.openai", "", "azure"),
            ("gcp.gemini", "", "google"),
            ("Anthropic", "", "anthropic"),
            (None, "api.anthropic.com", "anthropic"),
        ],
        ids=["openai", "groq", "local", "bedrock", "azure", "gemini", "capital", "host"],
    )
    def test_a_provider_has_the_name_that_prices_are_looked_up_by(self, said, host, provider):
        given = {"gen_ai.provider.name": said, "server.address": host}
        assert chat(**{name: value for name, value in given.items() if value}).call["provider"] == provider


class TestAStep:
    @pytest.mark.parametrize(("name", "words"), KINDS, ids=[name for name, _ in KINDS])
    def test_has_the_kind_that_any_convention_says(self, name, words):
        for word, kind in words.items():
            assert told(a_span(1, attributes={name: word})).kind == kind

    def test_that_no_convention_knows_is_a_workflow_at_the_top_and_a_step_below(self):
        assert (told(a_span(1)).kind, told(a_span(2, 1)).kind) == ("workflow", "step")
        assert told(a_span(2, 1, kind=3, attributes={"http.request.method": "GET"})).kind == "http"

    def test_keeps_as_a_tag_what_no_column_holds(self):
        said = told(
            a_span(1, attributes={"user.id": "u7", "gen_ai.request.model": "m", "gen_ai.conversation.id": "c1"})
        )
        assert said.tags == {"otlp": "unnamed", "user.id": "u7", "gen_ai.conversation.id": "c1"}

    def test_has_the_input_and_output_of_a_tool(self):
        said = told(
            a_span(
                1,
                attributes={
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": "look",
                    "gen_ai.tool.call.arguments": '{"at": "Paris"}',
                    "gen_ai.tool.call.result": "sun",
                },
            )
        )
        assert (said.name, said.kind, said.input, said.output) == ("look", "tool", {"at": "Paris"}, "sun")

    def test_failed_as_its_last_exception_says(self):
        raised = SpanEvent(
            1, "exception", {"exception.type": "a.b.Boom", "exception.message": "no", "exception.stacktrace": "T"}
        )
        failure = told(a_span(1, status=ERROR, status_message="said", events=(raised,))).failure
        assert (failure.module, failure.type, failure.message, failure.notes) == ("a.b", "Boom", "no", ("T",))

    def test_without_an_exception_failed_as_its_status_says(self):
        failure = told(a_span(1, status=ERROR, status_message="said", attributes={"error.type": "timeout"})).failure
        assert (failure.type, failure.message) == ("timeout", "said")

    @given(SPANS)
    def test_is_read_of_whatever_span(self, span):
        assert told(span).kind

    @pytest.mark.parametrize(
        "name",
        sorted(
            {name for name, _ in KINDS if name != "playhead.kind"}
            | {
                "gen_ai.input.messages",
                "gen_ai.prompt.0.content",
                "llm.input_messages.0.message.role",
                "ai.prompt",
                "input.value",
                "gen_ai.prompt",
                "ai.response.toolCalls",
            }
        ),
    )
    def test_tells_no_content_twice(self, name):
        assert is_read(name)
        for value in ("x", "{}", "[1]", "[[", 3, [], {}, None, '[{"parts": 3}]', [{"role": 3, "content": [3]}]):
            assert name not in told(a_span(1, attributes={"gen_ai.operation.name": "chat", name: value})).tags
