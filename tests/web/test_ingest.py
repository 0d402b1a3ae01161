"""Spans over HTTP, as real exporters send them, and what the store then has."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import socket
import threading
import time
from typing import Any, ClassVar, Iterator

import pytest
import uvicorn
from click.testing import CliRunner
from fastapi.testclient import TestClient
from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import tracer
from tests.otlp_spans import TRACE, a_span, replayed
from tests.web.conftest import viewer
from tracer.cli import main
from tracer.messages import ChatAnswer, ChatRequest
from tracer.otlp import documents, protobuf_out
from tracer.otlp.span import ERROR, Span, SpanEvent
from tracer.store import Filter, Store, open_store
from web import create_app
from web.pages import ingest

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
    "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "Where is my zebra?"}]}]',
    "gen_ai.output.messages": '[{"role": "assistant", "parts": [{"type": "text", "content": "In the post."}]}]',
}


class Here:
    """A store, its viewer, and a way in."""

    def __init__(self, store: Store, client: TestClient) -> None:
        self.store, self.client = store, client

    def send(self, *spans: Span) -> Any:
        response = self.client.post("/v1/traces", content=protobuf_out.write(spans), headers=PROTOBUF)
        assert (response.status_code, response.content) == (200, b"")
        return response

    def trace(self, trace_id: bytes = TRACE) -> Any:
        return self.store.trace(trace_id.hex())

    def tree(self) -> dict[str, str | None]:
        """The path of each step, and its parent's."""
        steps = self.trace().steps
        paths = {step.step_id: step.path for step in steps}
        return {step.path: paths.get(step.parent_id or "", step.parent_id) for step in steps}


@pytest.fixture
def here(tmp_path) -> Iterator[Here]:
    tracer.configure(home=tmp_path)
    with open_store(tmp_path / "playhead.db") as store, viewer(create_app(store)) as client:
        yield Here(store, client)


class TestARealExporter:
    @pytest.fixture
    def address(self, here) -> Iterator[str]:
        """The same store behind a real server."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = uvicorn.Server(uvicorn.Config(create_app(here.store), log_level="warning"))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces"
            server.should_exit = True
            thread.join(20)

    @pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
    def test_sends_a_trace_that_arrives_whole(self, here, address, compression):
        provider = TracerProvider(resource=Resource.create({"service.name": "desk"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, compression=compression)))
        otel = provider.get_tracer("my.instrumentation")
        with otel.start_as_current_span("answer a ticket") as root:
            with otel.start_as_current_span("chat gpt-4o-mini", kind=api.SpanKind.CLIENT, attributes=CHAT):
                pass
            with pytest.raises(ValueError, match="no"), otel.start_as_current_span("lookup"):
                raise ValueError("no")
        trace_id = f"{root.get_span_context().trace_id:032x}"
        assert provider.force_flush(20_000)
        provider.shutdown()
        found = here.store.trace(trace_id)
        assert [step.path for step in found.steps] == [
            "answer a ticket",
            "answer a ticket/chat gpt-4o-mini",
            "answer a ticket/lookup",
        ]
        call, failed = found.steps[1], found.steps[2]
        assert (call.kind, call.call.usage.input_tokens, call.call.cost.nusd) == ("llm", 1000, 210_000)
        assert (failed.failure.type, failed.failure.message) == ("ValueError", "no")
        assert (found.summary.workflow, found.summary.tags["service.name"]) == ("answer a ticket", "desk")
        assert found.steps[0].tags["otlp"] == "my.instrumentation"


class TestAForeignTrace:
    def test_is_found_shown_and_searched_like_any_other(self, here):
        here.send(a_span(1, name="desk"), a_span(2, 1, "chat", attributes=CHAT, kind=3))
        assert [row.trace_id for row in here.store.traces(Filter.parse({"q": "zebra"}))] == [TRACE.hex()]
        assert [row.trace_id for row in here.store.traces(Filter.parse({"model": "gpt-4o-mini"}))] == [TRACE.hex()]
        assert [row.trace_id for row in here.store.traces(Filter.parse({"q": "tag:otlp=unnamed"}))] == [TRACE.hex()]
        page = here.client.get(f"/t/{TRACE.hex()}?step={2:016x}")
        assert page.status_code == 200
        assert "In the post." in page.text
        assert "desk" in here.client.get("/").text

    def test_holds_its_calls_in_normal_form(self, here):
        here.send(a_span(1, attributes=CHAT))
        step = here.trace().root
        asked, said = here.store.value(step.input), here.store.value(step.output)
        assert isinstance(asked, ChatRequest)
        assert isinstance(said, ChatAnswer)
        assert (asked.messages[0].content, said.message.content) == ("Where is my zebra?", "In the post.")
        assert here.trace().entry is None

    def test_keeps_no_credentials(self, here):
        secret = "sk-proj-" + "a1B2" * 12
        attributes = {
            **CHAT,
            "note": f"use {secret}",
            "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": secret}]}]),
        }
        failed = SpanEvent(1, "exception", {"exception.type": "E", "exception.message": secret})
        here.send(a_span(1, attributes=attributes, status=ERROR, events=(failed,)))
        step = here.trace().root
        assert secret not in repr((step, here.store.value(step.input)))
        assert "redacted" in step.tags["note"]

    def test_of_a_recorded_instrumentation_costs_what_was_used(self, here):
        spans = [span for name in ("otel-v2", "openinference") for _, span in itertools.islice(replayed(name), 12)]
        here.send(*spans)
        rows = here.store.traces(limit=100)
        assert len(rows) == len(spans)
        assert sum(row.cost_nusd > 0 for row in rows) > 10
        assert here.store.verify_totals() == []


class TestSpansThatComeAsTheyLike:
    STORY = (
        a_span(1, name="desk"),
        a_span(2, 1, "draft"),
        a_span(3, 2, "chat", attributes=CHAT),
        a_span(4, 1, "draft"),
        a_span(5, 4, "chat", attributes=CHAT),
    )
    TREE: ClassVar = {
        "desk": None,
        "desk/draft": "desk",
        "desk/draft/chat": "desk/draft",
        "desk/draft[1]": "desk",
        "desk/draft[1]/chat": "desk/draft[1]",
    }

    def test_in_any_order_and_one_by_one_make_the_same_trace(self, here):
        for seed in range(8):
            trace_id = seed.to_bytes(16, "big") if seed else TRACE
            spans = [
                Span(**{name: getattr(span, name) for name in span.__slots__} | {"trace_id": trace_id})
                for span in self.STORY
            ]
            random.Random(seed).shuffle(spans)
            for span in spans:
                here.send(span)
            found = here.trace(trace_id)
            paths = {step.step_id: step.path for step in found.steps}
            assert {step.path: paths.get(step.parent_id) for step in found.steps} == self.TREE, [s.name for s in spans]
            assert (found.summary.workflow, found.summary.status) == ("desk", "completed")
            assert not any("otlp.parent" in step.tags for step in found.steps)
            assert (found.summary.model_calls, found.summary.input_tokens) == (2, 2000)
        assert here.store.verify_totals() == []

    def test_that_come_twice_change_nothing(self, here):
        here.send(*self.STORY)
        before = here.trace()
        here.send(*self.STORY)
        here.send(*reversed(self.STORY))
        assert here.trace() == before

    def test_whose_root_never_comes_have_the_earliest_for_one(self, here):
        here.send(*self.STORY[1:])
        assert here.tree()["draft"] is None
        assert (here.trace().summary.workflow, here.trace().summary.status) == ("draft", "completed")
        assert here.trace().step(f"{4:016x}").path == "draft/draft"
        here.send(self.STORY[0])
        assert here.tree() == self.TREE

    def test_without_a_parent_stand_below_the_earliest_of_them(self, here):
        here.send(a_span(2, name="second"), a_span(3, name="third"))
        here.send(a_span(1, name="first"))
        assert here.tree() == {"first": None, "first/second": "first", "first/third": "first"}
        assert here.trace().summary.workflow == "first"

    def test_in_a_circle_are_shown_all_the_same(self, here):
        here.send(a_span(1, 2, "a"), a_span(2, 1, "b"), a_span(3, 3, "c"))
        assert len(here.trace().steps) == 3
        assert here.client.get(f"/t/{TRACE.hex()}").status_code == 200

    def test_that_end_before_they_began_last_no_time(self, here):
        here.send(a_span(1, end_ns=5))
        assert here.trace().root.duration_ns == 0

    def test_never_write_over_what_playhead_recorded(self, here, tmp_path):
        @tracer.workflow
        def mine() -> str:
            return "kept"

        tracer.configure(home=tmp_path)
        assert mine() == "kept"
        assert tracer.flush()
        own = here.store.trace(here.store.resolve("latest"))
        root = own.root
        ids = {"trace_id": bytes.fromhex(own.trace_id)}
        here.send(
            a_span(9, name="elsewhere", start_ns=root.started_ns + 1, parent_id=bytes.fromhex(root.step_id), **ids),
            a_span(1, name="forged", span_id=bytes.fromhex(root.step_id), **ids),
        )
        now = here.store.trace(own.trace_id)
        assert now.root == root
        assert now.steps[1].path in ("mine/elsewhere", f"{root.path}/elsewhere")
        assert (now.entry, now.summary.workflow) == (own.entry, own.summary.workflow)


class TestARequest:
    def test_in_json_is_answered_in_json(self, here):
        response = here.client.post("/v1/traces", content=json.dumps(documents.write([a_span(1)])), headers=JSON)
        assert (response.status_code, response.json()) == (200, {})
        assert here.trace().root.name == "span 1"

    def test_of_which_a_part_is_wrong_is_taken_in_part(self, here):
        body = protobuf_out.write([a_span(1), a_span(2, 1, trace_id=bytes(16))])
        answer = here.client.post("/v1/traces", content=body, headers=PROTOBUF)
        assert answer.status_code == 200
        assert b"traceId" in answer.content
        said = here.client.post(
            "/v1/traces", content=json.dumps(documents.write([a_span(1), a_span(2, span_id=b"")])), headers=JSON
        )
        assert said.json()["partialSuccess"]["rejectedSpans"] == "1"
        assert len(here.trace().steps) == 1

    @pytest.mark.parametrize(
        ("content", "headers", "status", "words"),
        [
            (b"\xff\xff", PROTOBUF, 400, b"no protobuf"),
            (b"{", JSON, 400, b"no JSON"),
            (b"", {"content-type": "text/plain"}, 415, b"application/json"),
            (b"", {}, 415, b"application/json"),
            (b"", {**PROTOBUF, "content-encoding": "br"}, 415, b"gzip"),
            (b"no gzip", {**PROTOBUF, "content-encoding": "gzip"}, 400, b"no gzip"),
            (gzip.compress(b"x" * 50)[:-9], {**JSON, "content-encoding": "gzip"}, 400, b"too early"),
            (gzip.compress(bytes(ingest.MOST_INFLATED + 1)), {**JSON, "content-encoding": "gzip"}, 413, b"MiB"),
            (bytes(ingest.MOST_BYTES + 1), PROTOBUF, 413, b"MiB"),
        ],
        ids=["protobuf", "json", "form", "no-form", "encoding", "gzip", "torn", "bomb", "large"],
    )
    def test_that_cant_be_taken_is_refused_with_the_reason(self, here, content, headers, status, words):
        response = here.client.post("/v1/traces", content=content, headers=headers)
        assert response.status_code == status
        assert words in response.content
        assert here.store.traces() == []

    def test_of_another_site_is_refused(self, here):
        headers = {**PROTOBUF, "origin": "https://example.com", "sec-fetch-site": "cross-site"}
        assert here.client.post("/v1/traces", content=b"", headers=headers).status_code == 403

    def test_is_asked_for_again_while_the_store_is_away(self, here, tmp_path):
        path = tmp_path / "playhead.db"
        with open_store(path) as holder:
            holder._engine.dispose()
            connection = holder._engine.raw_connection()
            here.store._engine.dispose()
            connection.close()
        path.unlink()
        path.mkdir()
        response = here.client.post("/v1/traces", content=protobuf_out.write([a_span(1)]), headers=PROTOBUF)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0


def test_the_time_that_a_trace_was_sent_is_of_no_matter(here):
    """A span may be of long ago, or of tomorrow."""
    tomorrow = time.time_ns() + 86_400 * 10**9
    here.send(a_span(1, start_ns=1, end_ns=2), a_span(2, 1, start_ns=tomorrow, end_ns=tomorrow + 5))
    assert here.trace().summary.duration_ns == 1


class TestACallThatCameAsASpan:
    def test_is_shown_as_a_conversation(self, here):
        here.send(a_span(1, attributes=CHAT))
        page = here.client.get(f"/t/{TRACE.hex()}").text
        assert "turn-user" in page or 'class="turn' in page
        assert "Where is my zebra?" in page

    def test_says_in_the_terminal_what_was_answered(self, here):
        here.send(a_span(1, attributes=CHAT))
        shown = CliRunner().invoke(main, ["show", "latest"])
        assert "→ In the post." in shown.output

    def test_has_no_code_to_replay_and_says_so(self, here):
        here.send(a_span(1, attributes=CHAT))
        done = CliRunner().invoke(main, ["replay", "latest"])
        assert done.exit_code not in (0, 1)
        assert "Traceback" not in done.output
