"""Finished steps on their way to a receiver of OTLP: one that listens on this machine, in every mood."""

from __future__ import annotations

import gzip
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from textwrap import dedent
from typing import Any, Self

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import tracer
from replay import replay
from tests import recording
from tests.recording import Project
from tracer import recorder, step, workflow
from tracer.doctor import examine
from tracer.errors import ConfigError
from tracer.guard import UNSENT, degraded
from tracer.otlp import delivery, documents, exporting, protobuf, protobuf_out
from tracer.otlp.delivery import Delivery
from tracer.otlp.destination import Destination, destination
from tracer.otlp.portions import portions
from tracer.otlp.span import Span
from tracer.otlp.writing import spans_of
from tracer.reading import open_reading

#: Every test here records into a project of its own.
project = recording.project


@step
def draft(text: str) -> str:
    return f"Dear {text}"


@workflow
def letter(text: str) -> str:
    return draft(text)


@workflow
def many(count: int, size: int) -> None:
    for _ in range(count):
        draft("x" * size)


@dataclass
class Reply:
    """``gate``: the answer waits for this."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    gate: threading.Event | None = None


@dataclass
class Seen:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def spans(self) -> list[Span]:
        body = gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body
        return (documents if "json" in self.headers["content-type"] else protobuf).read(body).spans


class Receiver:
    """``with Receiver() as receiver``; replies given to ``next`` are used once each, in order; then all is taken."""

    def __init__(self, port: int = 0) -> None:
        self.seen: list[Seen] = []
        self.replies: deque[Reply] = deque()
        self._gates: list[threading.Event] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                reply = receiver.replies.popleft() if receiver.replies else Reply()
                receiver.seen.append(Seen(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                if reply.gate is not None:
                    reply.gate.wait(30)
                self.send_response(reply.status)
                for name, value in {"content-length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A sender that stopped waiting is what some tests are about."""

        self._server = Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Span]:
        return [span for seen in list(self.seen) for span in seen.spans]

    def next(self, *replies: Reply) -> None:
        self.replies += replies
        self._gates += [reply.gate for reply in replies if reply.gate is not None]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for gate in self._gates:
            gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for in earnest is waited for in milliseconds."""
    monkeypatch.setattr(delivery, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(exporting, "_GATHERING_S", 0.01)


@pytest.fixture
def sending(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Switch it on, with more settings."""

    def switch(**environment: str) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        for name, value in environment.items():
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
        tracer.configure(otlp_export=True)

    return switch


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def names(spans: list[Span]) -> list[str]:
    return sorted(span.attributes["playhead.name"] for span in spans)


def exported(project: Project, trace_id: str = "latest") -> list[dict[str, Any]]:
    """What ``playhead export --format otlp`` writes of the spans."""
    with open_reading() as store:
        spans = spans_of(store.trace(store.resolve(trace_id)), store.value)
    return as_documents(spans)


def as_documents(spans: list[Span]) -> list[dict[str, Any]]:
    told = [documents.write([span])["resourceSpans"][0] for span in spans]
    return sorted(told, key=lambda each: str(each["scopeSpans"][0]["spans"][0]["spanId"]))


class TestFinishedSteps:
    def test_are_sent_while_the_workflow_runs(self, project, receiver, sending):
        sending()
        go_on = threading.Event()

        @workflow
        def slow() -> None:
            draft("Mary")
            go_on.wait(60)

        running = threading.Thread(target=slow)
        running.start()
        until(lambda: names(receiver.spans) == ["draft"])
        go_on.set()
        running.join()
        until(lambda: names(receiver.spans) == ["draft", "slow"])

    def test_are_the_spans_that_an_export_writes(self, project, receiver, sending):
        sending()
        project.record(letter, "Mary")
        until(lambda: len(receiver.spans) == 2)
        assert as_documents(receiver.spans) == exported(project)

    @pytest.mark.parametrize("compression", ["none", "gzip"])
    @pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
    def test_go_where_the_variables_say_and_as_they_say(self, project, receiver, sending, protocol, compression):
        sending(PROTOCOL=protocol, COMPRESSION=compression, HEADERS="authorization=Bearer%20key, x-team=cards")
        letter("Mary")
        until(lambda: len(receiver.spans) == 2)
        seen = receiver.seen[0]
        assert seen.path == "/v1/traces"
        assert (seen.headers["authorization"], seen.headers["x-team"]) == ("Bearer key", "cards")
        assert seen.headers["content-type"] == ("application/json" if "json" in protocol else "application/x-protobuf")
        assert seen.headers.get("content-encoding", "none") == compression

    def test_are_read_by_opentelemetrys_own_library(self, project, receiver, sending, monkeypatch):
        monkeypatch.setenv("OTEL_SERVICE_NAME", "desk")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test,team=a%20b")
        sending()
        letter("Mary")
        until(lambda: len(receiver.spans) == 2)
        request = ExportTraceServiceRequest.FromString(receiver.seen[0].body)
        said = {each.key: each.value.string_value for each in request.resource_spans[0].resource.attributes}
        assert said["service.name"] == "desk"
        assert (said["deployment.environment"], said["team"]) == ("test", "a b")
        assert [span.name for scope in request.resource_spans[0].scope_spans for span in scope.spans]

    def test_of_a_process_that_ends_are_sent_before_it_does(self, project, receiver):
        source = """
            from tracer import workflow
            @workflow
            def flow(x):
                return x
            flow(1)
        """
        done = project.python(dedent(source), PLAYHEAD_OTLP_EXPORT="1", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        assert (done.returncode, done.stderr) == (0, "")
        assert names(receiver.spans) == ["flow"]

    def test_of_a_forked_process_are_sent_by_it(self, project, receiver):
        source = """
            import os
            from tracer import workflow
            import tracer
            @workflow
            def flow(x):
                return x
            flow("parent")
            tracer.flush()
            if (pid := os.fork()) == 0:
                flow("child")
                tracer.shutdown()
                os._exit(0)
            os.waitpid(pid, 0)
        """
        done = project.python(dedent(source), PLAYHEAD_OTLP_EXPORT="1", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        assert done.returncode == 0
        said = sorted(span.attributes["output.value"] for span in receiver.spans)
        assert said == ["child", "parent"]

    def test_of_a_replay_are_linked_to_what_it_replays(self, project, receiver, sending):
        trace = project.record(letter, "Mary")
        sending()
        assert replay(trace.trace_id, fn=letter).output == "Dear Mary"
        until(lambda: len(receiver.spans) == 2)
        (root,) = (span for span in receiver.spans if span.parent_id is None)
        assert [(link.trace_id.hex(), link.span_id.hex()) for link in root.links] == [
            (trace.trace_id, trace.root.step_id)
        ]

    def test_stay_here_unless_they_are_asked_for(self, project, receiver, monkeypatch):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        letter("Mary")
        tracer.shutdown()
        assert receiver.seen == []

    def test_come_in_requests_of_a_size(self, project, receiver, sending):
        project.record(many, 12, 1_000_000)
        with open_reading() as store:
            trace = store.trace(store.resolve("latest"))
            wanted = [(bytes.fromhex(trace.trace_id), bytes.fromhex(each.step_id)) for each in trace.steps]
            found = portions(wanted, store)
            assert sum(portion.steps for portion in found) == 13
            assert len(found) > 3
            assert [len(portion.spans(store, {})) for portion in found] == [portion.steps for portion in found]


class TestAReceiver:
    def test_that_is_away_costs_nothing_but_what_it_lacks(self, project, receiver, sending, monkeypatch):
        project.degraded = {UNSENT}
        sending(ENDPOINT="http://127.0.0.1:1")
        assert [letter(name) for name in ("Mary", "Edith")] == ["Dear Mary", "Dear Edith"]
        assert len(project.traces()) == 2
        until(lambda: degraded[UNSENT] == 4)
        report = examine()
        assert report.facts["otlp_export"] == "http://127.0.0.1:1/v1/traces (http/protobuf)"
        assert report.exit_code == 0
        (said,) = (problem for problem in report.problems if UNSENT in problem and "receiver" in problem)
        assert said.startswith(f"4 times playhead could not {UNSENT}: the receiver lacks them, the store does not")

    def test_that_is_away_at_the_end_is_counted_by_the_process_that_ends(self, project):
        source = """
            from tracer import workflow
            @workflow
            def flow(x):
                return x
            print(flow(1))
        """
        environment = {"PLAYHEAD_OTLP_EXPORT": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
        done = project.python(dedent(source), **environment)
        assert (done.returncode, done.stdout) == (0, "1\n")
        assert f"could not {UNSENT}" in done.stderr
        assert any(f"once playhead could not {UNSENT}" in problem for problem in examine().problems)
        assert len(project.traces()) == 1

    def test_that_comes_back_gets_what_waited(self, project, receiver, sending):
        receiver.next(Reply(503), Reply(502), Reply(504), Reply(429))
        sending()
        letter("Mary")
        until(lambda: len(receiver.seen) >= 5)
        tracer.shutdown()
        assert {span.span_id for span in receiver.seen[4].spans} == {span.span_id for span in receiver.seen[0].spans}

    def test_that_refuses_again_and_again_is_left_after_some_tries(self, project, receiver, sending):
        project.degraded = {UNSENT}
        sending()
        receiver.next(*[Reply(503, body=b"no room")] * delivery.TRIES)
        letter("Mary")
        until(lambda: degraded[UNSENT] >= 1)
        given_up = degraded[UNSENT]
        letter("Edith")
        tracer.shutdown()
        assert len([each for each in receiver.seen if each.spans]) > delivery.TRIES
        assert degraded[UNSENT] == given_up
        taken = [span for seen in receiver.seen[delivery.TRIES :] for span in seen.spans]
        assert len(taken) == 4 - given_up

    def test_that_finds_a_request_wrong_is_not_sent_it_again(self, project, receiver, sending):
        project.degraded = {UNSENT}
        receiver.next(Reply(400, body=b"no such thing"))
        sending()
        letter("Mary")
        until(lambda: degraded[UNSENT] >= 1)
        tracer.shutdown()
        first = {span.span_id for span in receiver.seen[0].spans}
        assert degraded[UNSENT] == len(first)
        assert all(first.isdisjoint(span.span_id for span in seen.spans) for seen in receiver.seen[1:])

    def test_that_would_send_elsewhere_is_not_followed(self, project, receiver, sending):
        project.degraded = {UNSENT}
        receiver.next(*[Reply(307, {"location": f"{receiver.url}/other"})] * 2)
        sending()
        letter("Mary")
        tracer.shutdown()
        assert {seen.path for seen in receiver.seen} == {"/v1/traces"}
        assert degraded[UNSENT] == 2

    @pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
    def test_that_takes_a_part_of_a_request_says_how_much_it_left(self, project, receiver, sending, protocol):
        project.degraded = {UNSENT}
        answer = b'{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}'
        receiver.next(Reply(body=answer if "json" in protocol else protobuf_out.answer(1, "too old")))
        sending(PROTOCOL=protocol)
        letter("Mary")
        tracer.shutdown()
        assert degraded[UNSENT] == 1

    @pytest.mark.parametrize("answer", [b"\xff\xff", b"<html>", b"{}", b"[]", b'{"partialSuccess": 3}'])
    @pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
    def test_that_took_it_and_says_something_odd_has_it(self, project, receiver, sending, protocol, answer):
        receiver.next(*[Reply(body=answer)] * 2)
        sending(PROTOCOL=protocol)
        letter("Mary")
        tracer.shutdown()
        assert names(receiver.spans) == ["draft", "letter"]

    def test_that_is_slow_holds_up_neither_a_step_nor_the_store(self, project, receiver, sending):
        gate = threading.Event()
        receiver.next(Reply(gate=gate))
        sending()
        letter("Mary")
        until(lambda: receiver.seen)
        assert [letter(str(number)) for number in range(20)] == [f"Dear {number}" for number in range(20)]
        assert recorder.flush()
        assert len(project.traces()) == 21
        gate.set()
        until(lambda: len(receiver.spans) == 42)

    def test_that_answers_too_late_is_asked_again(self, project, receiver, sending):
        receiver.next(Reply(gate=threading.Event()))
        sending(TIMEOUT="50")
        letter("Mary")
        until(lambda: len(receiver.seen) >= 2)
        tracer.shutdown()
        assert {span.span_id for span in receiver.seen[0].spans} <= {span.span_id for span in receiver.seen[1].spans}

    def test_that_never_answers_does_not_keep_a_process_from_its_end(self, project, receiver, sending, monkeypatch):
        project.degraded = {UNSENT}
        monkeypatch.setattr(exporting, "CLOSING_S", 0.2)
        receiver.next(*[Reply(gate=threading.Event())] * 4)
        sending()
        letter("Mary")
        until(lambda: receiver.seen)
        tracer.shutdown()
        assert degraded[UNSENT] == 2
        assert len(project.traces()) == 1

    def test_that_lags_behind_loses_the_latest_and_they_are_counted(self, project, receiver, sending, monkeypatch):
        project.degraded = {UNSENT}
        monkeypatch.setattr(exporting, "MOST_WAITING", 10)
        gate = threading.Event()
        receiver.next(Reply(gate=gate))
        sending()
        letter("Mary")
        until(lambda: receiver.seen)
        project.record(many, 100, 1)
        until(lambda: degraded[UNSENT] > 50)
        gate.set()
        tracer.shutdown()
        assert len({span.span_id for span in receiver.spans}) + degraded[UNSENT] == 103


class TestAWrongSetting:
    def test_is_told_and_stops_no_recording(self, project, receiver, sending):
        project.degraded = {UNSENT}
        sending(PROTOCOL="grpc")
        assert letter("Mary") == "Dear Mary"
        until(lambda: degraded[UNSENT] == 2)
        assert letter("Edith") == "Dear Edith"
        until(lambda: degraded[UNSENT] == 4)
        assert len(project.traces()) == 2
        report = examine()
        assert report.facts["otlp_export"] == "nowhere"
        assert any("gRPC is not spoken here" in problem for problem in report.problems)


class TestHowLongOneWaits:
    class Waits(threading.Event):
        """Says how long it was waited for, and does not wait."""

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            self.seconds.append(timeout)
            return False

    @pytest.fixture
    def waits(self, monkeypatch: pytest.MonkeyPatch) -> Waits:
        monkeypatch.setattr(delivery, "FIRST_WAIT_S", 1.0)
        return self.Waits()

    def delivered(self, project: Project, receiver: Receiver, waits: Waits) -> list[tuple[int, int, str]]:
        trace = project.record(letter, "Mary")
        wanted = [(bytes.fromhex(trace.trace_id), bytes.fromhex(each.step_id)) for each in trace.steps]
        with open_reading() as store:
            to = Destination(f"{receiver.url}/v1/traces")
            return list(Delivery(to, lambda: store, waits, lambda: float("inf")).deliver(wanted))

    def test_is_what_the_receiver_asks_for(self, project, receiver, waits):
        receiver.next(Reply(429, {"retry-after": "7"}), Reply(503, {"retry-after": "0"}))
        assert sum(lacking for _, lacking, _ in self.delivered(project, receiver, waits)) == 0
        assert waits.seconds == [7.0, 0.0]

    def test_is_never_longer_than_the_patience_there_is(self, project, receiver, waits):
        receiver.next(Reply(429, {"retry-after": "86400"}))
        self.delivered(project, receiver, waits)
        assert waits.seconds == [delivery.MOST_WAIT_S]

    def test_doubles_with_each_try(self, project, receiver, waits):
        receiver.next(*[Reply(503)] * delivery.TRIES)
        dealt = self.delivered(project, receiver, waits)
        assert [(steps, lacking) for steps, lacking, _ in dealt] == [(2, 2), (0, 0)]
        assert [round(seconds / 2**number) for number, seconds in enumerate(waits.seconds)] == [1] * (
            delivery.TRIES - 1
        )

    @pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500, 501])
    def test_is_no_time_where_it_would_be_of_no_use(self, project, receiver, waits, status):
        receiver.next(Reply(status, body=b"because"))
        dealt = self.delivered(project, receiver, waits)
        assert dealt[0][:2] == (2, 2)
        assert dealt[0][2].endswith(f"answered {status}: because")
        assert (waits.seconds, len(receiver.seen)) == ([], 1)

    def test_is_no_time_once_the_program_ends(self, project, receiver, waits):
        waits.set()
        receiver.next(Reply(503))
        dealt = self.delivered(project, receiver, waits)
        assert (dealt[0][:2], waits.seconds, len(receiver.seen)) == ((2, 2), [], 1)

    def test_steps_that_the_store_does_not_keep_are_nobodys_loss(self, project, receiver, waits):
        project.record(letter, "Mary")
        with open_reading() as store:
            to = Destination(f"{receiver.url}/v1/traces")
            gone = [(b"\x01" * 16, b"\x02" * 8)]
            assert list(Delivery(to, lambda: store, waits, lambda: float("inf")).deliver(gone)) == [(1, 0, "")]
        assert receiver.seen == []


ALL, TRACES = "OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"


class TestTheVariables:
    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({}, Destination("http://localhost:4318/v1/traces")),
            ({f"{ALL}ENDPOINT": "https://a.example"}, Destination("https://a.example/v1/traces")),
            ({f"{ALL}ENDPOINT": "http://a:1/otel/"}, Destination("http://a:1/otel/v1/traces")),
            ({f"{TRACES}ENDPOINT": "http://a:1/in"}, Destination("http://a:1/in")),
            ({f"{TRACES}ENDPOINT": "http://a:1", f"{ALL}ENDPOINT": "http://b"}, Destination("http://a:1")),
            (
                {f"{ALL}HEADERS": "a=1", f"{TRACES}HEADERS": "b=x%3Dy, c=Basic%20z=="},
                Destination("http://localhost:4318/v1/traces", {"b": "x=y", "c": "Basic z=="}),
            ),
            ({f"{ALL}TIMEOUT": "2500"}, Destination("http://localhost:4318/v1/traces", timeout_s=2.5)),
            ({f"{ALL}COMPRESSION": "GZIP"}, Destination("http://localhost:4318/v1/traces", is_gzip=True)),
            ({f"{TRACES}PROTOCOL": "http/json"}, Destination("http://localhost:4318/v1/traces", is_json=True)),
            ({f"{ALL}PROTOCOL": " ", f"{ALL}HEADERS": ""}, Destination("http://localhost:4318/v1/traces")),
            (
                {"OTEL_RESOURCE_ATTRIBUTES": "a=1,odd,=2", "OTEL_SERVICE_NAME": "s"},
                Destination("http://localhost:4318/v1/traces", resource={"a": "1", "service.name": "s"}),
            ),
        ],
    )
    def test_say_where_and_how(self, environ, expected):
        assert destination(environ) == expected

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ENDPOINT", "localhost:4318"),
            ("ENDPOINT", "file:///etc/passwd"),
            ("ENDPOINT", "http://"),
            ("ENDPOINT", "http://a:99999"),
            ("ENDPOINT", "http://a/b c"),
            ("TIMEOUT", "10s"),
            ("TIMEOUT", "0"),
            ("COMPRESSION", "zstd"),
            ("PROTOCOL", "grpc"),
            ("HEADERS", "authorization"),
            ("HEADERS", "a b=c"),
            ("HEADERS", "a=%0d%0ax: y"),
        ],
    )
    @pytest.mark.parametrize("prefix", [ALL, TRACES])
    def test_that_cannot_be_are_named(self, prefix, name, value):
        with pytest.raises(ConfigError, match=f"^{prefix}{name} "):
            destination({prefix + name: value})

    def test_tell_no_secret_when_they_are_shown(self):
        found = destination(
            {f"{TRACES}ENDPOINT": "https://user:secret@a.example/in?key=secret", f"{ALL}HEADERS": "a=secret"}
        )
        assert str(found) == "https://a.example/in (http/protobuf)"
        with pytest.raises(ConfigError) as caught:
            destination({f"{ALL}HEADERS": "authorization secret"})
        assert "secret" not in str(caught.value)
