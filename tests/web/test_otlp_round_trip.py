"""A trace out as spans and in again as steps: what is the same, and that others can read it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import tracer
from tests.otlp_spans import TRACE, a_span
from tests.tracer.test_otlp_codec import TEXTS
from tests.web.conftest import viewer
from tests.web.seed import fill
from tracer.cli import main
from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.model import Step, Trace, Usage
from tracer.otlp import documents, protobuf, protobuf_out
from tracer.otlp.reading import told
from tracer.otlp.writing import spans_of
from tracer.store import Store, open_store
from web import create_app

#: What spans carry; an input and an output are compared by their JSON.
CALL = ("provider", "model_asked", "model", "finish_reason", "response_id", "request_id", "status_code", "streamed")
USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
STEP = ("parent_id", "name", "kind", "path", "occurrence", "started_ns", "ended_ns", "effect", "origin")


@pytest.fixture(scope="module")
def there(tmp_path_factory) -> Any:
    """A store of ours, and another one that its traces are sent to."""
    folder = tmp_path_factory.mktemp("round")
    with open_store(folder / "ours.db") as ours, open_store(folder / "theirs.db") as theirs:
        fill(ours, now_ns=1_790_000_000 * 10**9, traces=30)
        yield ours, theirs


def sent(spans: list[Any], store: Store, home: Any) -> None:
    tracer.configure(home=home)
    client: TestClient
    with viewer(create_app(store)) as client:
        body = json.dumps(documents.write(spans))
        assert client.post("/v1/traces", content=body, headers={"content-type": "application/json"}).json() == {}


def facts(trace: Trace, step: Step) -> dict[str, Any]:
    said = {name: getattr(step, name) for name in STEP}
    if step.call is not None and step.kind in ("llm", "embedding"):
        said |= {name: getattr(step.call, name) for name in CALL}
        said |= {name: getattr(step.call.usage, name) for name in USAGE}
    if step.failure is not None:
        said |= {"type": step.failure.type, "module": step.failure.module, "message": step.failure.message}
    said["tags"] = {
        name: value
        for name, value in step.tags.items()
        if name not in ("otlp", "service.name", "service.version", "otlp.links")
    }
    said["ended well"] = step.outcome == "ok"
    return said


class TestATraceThatGoesOutAndComesIn:
    def test_is_the_same_in_all_that_spans_carry(self, there, tmp_path):
        ours, theirs = there
        compared = 0
        for row in ours.traces(limit=30):
            out = ours.trace(row.trace_id)
            sent(spans_of(out, ours.value), theirs, tmp_path)
            back = theirs.trace(row.trace_id)
            assert back.summary.workflow == out.summary.workflow
            assert (back.summary.input_tokens, back.summary.output_tokens) == (
                out.summary.input_tokens,
                out.summary.output_tokens,
            )
            by_id = {step.step_id: step for step in back.steps}
            for step in out.steps:
                if step.outcome == "waiting":
                    continue
                assert facts(back, by_id[step.step_id]) == facts(out, step), step.path
                compared += 1
        assert compared > 100
        assert theirs.verify_totals() == []

    @settings(max_examples=60)
    @given(st.data())
    def test_keeps_every_word_of_a_conversation(self, data):
        words = TEXTS.filter(bool)
        calls = st.builds(ToolCall, words, words, words | st.just('{"a":1}') | st.just('{"a": [1, "ü"]}'))
        messages = st.builds(
            Message,
            st.sampled_from(["system", "user", "assistant"]),
            words,
            st.none() | words,
            st.lists(calls, max_size=2).map(tuple),
            reasoning=st.none() | words,
        ) | st.builds(Message, st.just("tool"), words, tool_call_id=words)
        numbers = {"temperature": 0.5, "max_tokens": 3, "logit_bias": {"5": 1}}
        request = ChatRequest(
            "m",
            tuple(data.draw(st.lists(messages, min_size=1, max_size=4))),
            {name: numbers[name] for name in data.draw(st.sets(st.sampled_from(sorted(numbers))))},
            ({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}},),
            data.draw(st.booleans()),
        )
        said = data.draw(messages.filter(lambda message: message.role == "assistant"))
        answer = ChatAnswer(said, "m-1", "stop", Usage(input_tokens=3), "r1")
        back = told(self._through(request, answer))
        assert back.input == request
        assert (back.output.message, back.output.finish_reason) == (answer.message, "stop")

    def _through(self, request: ChatRequest, answer: ChatAnswer) -> Any:
        from tracer.model import ModelCall, PayloadRef, TraceSummary

        values = {"in": request, "out": answer}
        call = ModelCall(
            "openai", "m", "m-1", answer.usage, finish_reason="stop", response_id="r1", streamed=request.stream
        )
        step = Step(TRACE.hex(), "0" * 15 + "1", None, 0, "chat", "llm", "chat", 0, 1, 2, "ok", "completed", call=call,
                    input=PayloadRef("in", 1), output=PayloadRef("out", 1))  # fmt: skip
        trace = Trace(TraceSummary(TRACE.hex(), "chat", "completed", 1), None, (step,))
        spans = spans_of(trace, lambda ref: values[ref.digest])
        return protobuf.read(protobuf_out.write(spans)).spans[0]

    @given(
        st.recursive(
            TEXTS | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        )
    )
    def test_keeps_values_that_json_has_words_for(self, value):
        from tracer.otlp.writing import _shown

        said = dict(_shown("input", value)) | dict(_shown("output", value))
        back = told(a_span(1, attributes=said))
        assert (back.input, back.output) == (value, value)


class TestPlayheadExport:
    def test_writes_a_line_that_the_published_library_reads(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PLAYHEAD_HOME", str(tmp_path))
        tracer.configure(home=tmp_path)

        @tracer.workflow
        def desk(ticket: str) -> str:
            return f"answered: {ticket}"

        desk("lost card")
        assert tracer.flush()
        done = CliRunner().invoke(main, ["export", "latest", "--format", "otlp"])
        assert done.exit_code == 0, done.output
        spans = documents.read(done.stdout).spans
        theirs = ExportTraceServiceRequest.FromString(protobuf_out.write(spans)).resource_spans[0]
        span = theirs.scope_spans[0].spans[0]
        assert span.name == "invoke_workflow desk" or "desk" in span.name
        said = {each.key: each.value.string_value for each in span.attributes}
        assert said["gen_ai.operation.name"] == "invoke_workflow"
        assert json.loads(said["input.value"]) == {"ticket": "lost card"}
        assert said["output.value"] == "answered: lost card"
