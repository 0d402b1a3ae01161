"""Requests caught in urllib3, and so those of requests and of boto3, which stand on it."""

from __future__ import annotations

import binascii
import gc
import gzip
import json
import struct
import threading
from typing import Any

import boto3
import botocore.exceptions
import pytest
import requests
import urllib3
from botocore.config import Config
from urllib3.util import Retry

import tracer
from tests.loopback import MODEL, Loopback, Reply
from tests.tracer.http_support import Playing, Records, under
from tracer import http, workflow
from tracer.catalogue import FREE, Target
from tracer.player import Answer, Raise, ReplayStopped, Run
from tracer.wire import Chunk, HttpResponse

QUESTION = {"model": "gpt-9", "messages": [{"role": "user", "content": "hi"}]}
STREAMED = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}
GONE = "http://gone.example/v1"
RECORDED = HttpResponse(
    200,
    (("Content-Type", "application/json"), ("X-Request-Id", "req-0")),
    (Chunk(5, b'{"model": "old", "choices": [{"message": {"content": "fr'), Chunk(9, b'om the record"}}]}')),
)


@pytest.fixture
def server():
    with Loopback() as running:
        yield running


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYHEAD_STRICT", "1")
    yield Records(tmp_path)
    tracer.shutdown()


def by_requests(url: str, body: Any, **options: Any) -> tuple[int, bytes]:
    response = requests.post(f"{url}/chat/completions", json=body, **options)
    return response.status_code, response.content


def by_urllib3(url: str, body: Any, **options: Any) -> tuple[int, bytes]:
    options = {"retries": False, **options}
    with urllib3.PoolManager() as manager:
        response = manager.request("POST", f"{url}/chat/completions", json=body, **options)
        return response.status, response.data


WAYS = pytest.mark.parametrize("post", [by_requests, by_urllib3], ids=["requests", "urllib3"])


@workflow
def ask(post: Any, url: str, body: Any = None, **options: Any) -> Any:
    return post(url, QUESTION if body is None else body, **options)


def outcome_of(act: Any) -> Any:
    try:
        return act()
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        return type(error), type(getattr(error, "reason", None))


class TestAModelCall:
    @WAYS
    def test_is_recorded_with_who_answered_and_what_it_used(self, post, server, records):
        status, content = ask(post, server.url)
        step = records.only()
        assert (status, json.loads(content)["model"]) == (200, MODEL)
        assert (step.name, step.kind, step.outcome) == ("chat", "llm", "ok")
        assert (step.call.provider, step.call.model_asked, step.call.model) == ("local", "gpt-9", MODEL)
        assert (step.call.usage.input_tokens, step.call.usage.output_tokens) == (11, 7)
        sent, given = records.sent(step), records.given(step)
        assert (sent.method, sent.url, sent.body) == ("POST", f"{server.url}/chat/completions", QUESTION)
        assert (given.status, given.raw, given.ended) == (200, content, "complete")

    @WAYS
    def test_that_is_compressed_is_read_plain_and_kept_compressed(self, post, server, records):
        server.next(Reply(compressed=True))
        _, content = ask(post, server.url)
        step = records.only()
        assert json.loads(content)["model"] == step.call.model == MODEL
        assert gzip.decompress(records.given(step).raw) == content

    @WAYS
    def test_that_is_refused_fails_with_what_the_client_says_of_it(self, post, records):
        with Loopback() as closed:
            url = closed.url
        with pytest.raises((requests.ConnectionError, urllib3.exceptions.NewConnectionError)):
            ask(post, url)
        step = records.only()
        assert (step.outcome, step.failure.type) == ("failed", "NewConnectionError")
        assert records.given(step).status == 0

    @WAYS
    def test_that_takes_too_long_fails_with_the_clients_timeout(self, post, server, records):
        server.next(Reply(before=threading.Event()))
        with pytest.raises((requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError)):
            ask(post, server.url, timeout=0.05)
        assert records.only().failure.type == "ReadTimeoutError"

    def test_outside_a_workflow_is_none_of_our_business(self, server, records):
        assert by_requests(server.url, QUESTION)[0] == 200

        @workflow
        def nothing():
            return 1

        nothing()
        assert records.steps() == []

    @WAYS
    @pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "streamed"])
    @pytest.mark.parametrize("reply", [Reply(), Reply(compressed=True), Reply(status=500)], ids=["ok", "gzip", "500"])
    def test_looks_the_same_with_and_without_capture(self, post, body, reply, server, records):
        server.next(reply, reply)
        assert ask(post, server.url, body) == post(server.url, body)
        assert server.seen[0].headers == server.seen[1].headers
        assert server.seen[0].body == server.seen[1].body

    def test_whose_body_is_an_iterator_is_not_read(self, server, records):
        server.next(Reply(body=b"{}"))

        @workflow
        def upload():
            return requests.post(f"{server.url}/files", data=iter([b"a", b"b"]), headers={"content-type": "text/plain"})

        assert upload().status_code == 200
        assert records.sent(records.only()).body is None

    def test_gives_its_connection_back(self, server, records):
        with requests.Session() as session:

            @workflow
            def twice():
                for _ in range(2):
                    session.post(f"{server.url}/chat/completions", json=QUESTION)

            twice()
            (pool,) = session.get_adapter(server.url).poolmanager.pools._container.values()
            assert (pool.num_requests, pool.num_connections) == (2, 1)

    def test_takes_the_trace_along_where_it_stays_at_home(self, server, records):
        @workflow
        def look_up():
            with requests.Session() as session:
                session.get(f"{server.url}/kv")
                session.get(f"{server.url}/kv", headers={"Traceparent": "mine"})
                session.post(f"{server.url}/chat/completions", json=QUESTION)

        look_up()
        told = [seen.headers.get("traceparent", "") for seen in server.seen]
        trace = records.trace()
        assert told == [f"00-{trace.trace_id}-{records.steps('http')[0].step_id}-01", "mine", ""]

    def test_that_is_redirected_is_one_step_for_each_hop(self, server, records):
        server.next(Reply(status=302, headers={"location": "/v1/models"}, body=b""))

        @workflow
        def look_up():
            with urllib3.PoolManager() as manager:
                return manager.request("GET", f"{server.url}/old").status

        assert look_up() == 200
        assert [records.given(step).status for step in records.steps("http")] == [302, 200]

    def test_that_urllib3_tries_again_is_one_step_for_each_attempt(self, server, records):
        server.next(Reply(status=503), Reply(status=503))
        retries = Retry(3, status_forcelist=[503], allowed_methods=None, backoff_factor=0)
        assert ask(by_urllib3, server.url, retries=retries)[0] == 200
        assert [records.given(step).status for step in records.steps("llm")] == [503, 503, 200]


class TestAStream:
    def test_reaches_its_reader_piece_by_piece(self, server, records):
        second = threading.Event()
        server.next(Reply(gates={1: second}))

        @workflow
        def read():
            with requests.post(f"{server.url}/chat/completions", json=STREAMED, stream=True) as response:
                lines = response.iter_lines(chunk_size=None)
                first = next(lines)
                second.set()  # only now may the server send on: a capture that held the first piece back would hang
                return [first, *lines]

        lines = read()
        step = records.only()
        given = records.given(step)
        assert given.raw.splitlines() == lines
        assert len(given.chunks) > 1
        assert [chunk.after_ns for chunk in given.chunks] == sorted(chunk.after_ns for chunk in given.chunks)
        assert (step.call.streamed, step.call.usage.output_tokens, given.ended) == (True, 7, "complete")

    @pytest.mark.parametrize("how", ["stream", "read1", "read_chunked", "iter"])
    def test_may_be_read_in_any_of_urllib3s_ways(self, how, server, records):
        @workflow
        def read():
            with urllib3.PoolManager() as manager:
                url = f"{server.url}/chat/completions"
                response = manager.request("POST", url, json=STREAMED, preload_content=False)
                if how == "read1":
                    return b"".join(iter(response.read1, b""))
                return b"".join(response if how == "iter" else getattr(response, how)())

        whole = read()
        assert (records.given(records.only()).raw, records.given(records.only()).ended) == (whole, "complete")

    @WAYS
    def test_that_breaks_fails_with_what_there_was_of_it(self, post, server, records):
        server.next(Reply(cut_after=2))
        with pytest.raises((requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError)):
            ask(post, server.url, STREAMED)
        step = records.only()
        given = records.given(step)
        assert (step.outcome, step.failure.type, given.ended) == ("failed", "ProtocolError", "broken")
        assert b"Hello" in given.raw

    def test_that_is_closed_early_is_recorded_as_far_as_it_was_read(self, server, records):
        server.next(Reply(gates={2: threading.Event()}))

        @workflow
        def read():
            with requests.post(f"{server.url}/chat/completions", json=STREAMED, stream=True) as response:
                for piece in response.iter_content(None):
                    if b"Hello" in piece:
                        return

        read()
        step = records.only()
        assert (step.outcome, records.given(step).ended, step.call.usage.input_tokens) == ("ok", "closed", None)

    def test_that_is_dropped_without_being_closed_is_not_lost(self, server, records):
        server.next(Reply(gates={2: threading.Event()}))

        @workflow
        def read():
            response = requests.post(f"{server.url}/chat/completions", json=STREAMED, stream=True)
            next(response.iter_content(None))

        read()
        gc.collect()
        assert records.given(records.only()).ended == "closed"


class TestARecordedCall:
    @WAYS
    @pytest.mark.parametrize(
        "reply",
        [Reply(), Reply(status=429), Reply(compressed=True), Reply(cut_after=2), Reply(body=b"{bad")],
        ids=["ok", "429", "gzip", "cut", "bad"],
    )
    @pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "streamed"])
    def test_is_served_to_the_same_outcome_with_the_server_gone(self, post, reply, body, server, records):
        server.next(reply)
        first = outcome_of(lambda: ask(post, server.url, body))
        step = records.only()
        with under(Playing(chat=Answer(records.given(step), "recorded", step))):
            second = outcome_of(lambda: ask(post, GONE, body))
        assert second == first
        again = records.only()
        assert (again.origin, again.outcome, again.output) == ("recorded", step.outcome, step.output)
        assert again.call.usage == step.call.usage

    @WAYS
    @pytest.mark.parametrize("how", ["refused", "slow", "dropped"])
    def test_that_no_answer_came_to_fails_alike(self, post, how, server, records):
        if how == "slow":
            server.next(Reply(before=threading.Event()))
        url, options = server.url, {"timeout": 0.05} if how == "slow" else {}
        if how == "refused":
            with Loopback() as closed:
                url = closed.url
        if how == "dropped":
            server.next(Reply(hang_up=True))
        first = outcome_of(lambda: ask(post, url, **options))
        step = records.only()
        with under(Playing(chat=Answer(records.given(step), "recorded", step))):
            assert outcome_of(lambda: ask(post, GONE, **options)) == first
        assert (records.only().outcome, records.only().failure) == ("failed", step.failure)

    def test_that_streamed_streams_again_chunk_by_chunk(self, server, records):
        @workflow
        def read(url):
            with requests.post(f"{url}/chat/completions", json=STREAMED, stream=True) as response:
                return list(response.iter_content(None))

        pieces = read(server.url)
        step = records.only()
        with under(Playing(chat=Answer(records.given(step), "recorded", step))):
            assert read(GONE) == pieces
        assert len(pieces) == len(records.given(step).chunks) > 1

    @WAYS
    def test_that_is_edited_never_reaches_the_network(self, post, server, records):
        with under(Playing(chat=Answer("edited words", "edited"))):
            _, content = ask(post, server.url)
        assert b"edited words" in content
        assert server.seen == []

    def test_is_urllib3s_own_response_to_whoever_looks_inside(self, records):
        @workflow
        def read():
            return requests.post(f"{GONE}/chat/completions", json=QUESTION)

        with under(Playing(chat=Answer(RECORDED, "edited"))):
            response = read()
        assert isinstance(response.raw, urllib3.HTTPResponse)
        assert (response.json()["model"], response.headers["x-request-id"], response.reason) == ("old", "req-0", "OK")

    @WAYS
    @pytest.mark.parametrize(
        ("error", "name"),
        [
            (TimeoutError("x"), "ReadTimeoutError"),
            (ConnectionResetError("x"), "ProtocolError"),
            (ConnectionRefusedError("x"), "NewConnectionError"),
            (urllib3.exceptions.ConnectTimeoutError(None, "x"), "ConnectTimeoutError"),
        ],
        ids=["timeout", "reset", "refused", "own"],
    )
    def test_that_is_to_fail_raises_the_clients_own_exception(self, post, error, name, records):
        with (
            under(Playing(chat=Raise(error, "injected"))),
            pytest.raises((requests.RequestException, urllib3.exceptions.HTTPError)) as caught,
        ):
            ask(post, GONE)
        if post is by_urllib3:
            assert type(caught.value).__name__ == name
        assert (records.only().outcome, records.only().failure.type) == ("failed", name)

    @WAYS
    def test_may_stop_the_whole_replay_before_anything_is_sent(self, post, server, records):
        def stop(_call):
            raise ReplayStopped("here")

        with under(Playing(chat=stop)), pytest.raises(ReplayStopped):
            ask(post, server.url)
        assert server.seen == []


class TestASubstitutedCall:
    @WAYS
    @pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "streamed"])
    def test_goes_to_another_endpoint_with_its_own_credentials(self, post, body, server, records, monkeypatch):
        monkeypatch.setenv("OTHER_KEY", "other-secret")
        target = Target("other", model="other-7", base_url=server.url, api_key_env="OTHER_KEY", price=FREE)
        with under(Playing(chat=Run(target=target, origin="substituted"))):
            status, content = ask(
                post, GONE, body, headers={"authorization": "Bearer mine", "content-type": "application/json"}
            )
        (seen,) = server.seen
        assert (status, b"Hello" in content) == (200, True)
        assert (seen.path, seen.body["model"]) == ("/v1/chat/completions", "other-7")
        assert seen.headers["authorization"] == "Bearer other-secret"
        step = records.only()
        assert (step.origin, step.call.model_asked, step.call.model) == ("substituted", "gpt-9", MODEL)

    @WAYS
    @pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "streamed"])
    def test_to_another_model_of_the_same_provider_goes_where_it_was_going(self, post, body, server, records):
        target = Target("cheap", model="gpt-9-mini")
        with under(Playing(chat=Run(target=target, origin="substituted"))):
            _, content = ask(post, server.url, body, headers={"authorization": "Bearer mine"})
        (seen,) = server.seen
        assert b"Hello" in content
        assert (seen.body, seen.headers["authorization"]) == ({**body, "model": "gpt-9-mini"}, "Bearer mine")
        assert (records.only().origin, records.only().call.usage.input_tokens) == ("substituted", 11)

    @WAYS
    @pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
    def test_to_an_endpoint_of_another_format_is_translated(self, post, streamed, server, records):
        asked = {**QUESTION, "max_tokens": 9, "stream": streamed}
        said = {"type": "text", "text": "Hello"}
        answer = {"model": "claude", "role": "assistant", "content": [said], "stop_reason": "end_turn", "usage": {}}
        events = [
            {"type": "message_start", "message": {**answer, "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
        body = json.dumps(answer).encode()
        if streamed:
            body = b"".join(b"event: %s\ndata: %s\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)
        kind = "text/event-stream" if streamed else "application/json"
        server.next(Reply(body=body, headers={"content-type": kind}))
        target = Target("claude", base_url=server.url, format="anthropic")
        with under(Playing(chat=Run(target=target, origin="substituted"))):
            _, content = ask(post, GONE, asked)
        assert server.seen[0].path == "/v1/messages"
        assert b'"choices"' in content
        assert b"Hello" in content
        assert records.given(records.only()).raw == content

    @WAYS
    def test_asks_a_python_callable_and_wears_the_clients_format(self, post, records):
        with under(Playing(chat=Run(target=Target("mine", call=lambda _: "classified", price=FREE)))):
            _, content = ask(post, GONE)
        assert json.loads(content)["choices"][0]["message"]["content"] == "classified"


def event(kind: str, payload: dict[str, Any]) -> bytes:
    """One message of AWS's binary event stream."""
    headers = b""
    for name, value in ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event")):
        headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    body = json.dumps(payload).encode()
    head = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = head + struct.pack(">I", binascii.crc32(head)) + headers + body
    return message + struct.pack(">I", binascii.crc32(message))


CONVERSED = json.dumps(
    {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18},
        "metrics": {"latencyMs": 1},
    }
).encode()
EVENTS = (
    event("messageStart", {"role": "assistant"}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hello"}}),
    event("messageStop", {"stopReason": "end_turn"}),
    event(
        "metadata", {"usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}, "metrics": {"latencyMs": 1}}
    ),
)
SAID = [{"role": "user", "content": [{"text": "hi"}]}]


def bedrock(url: str, **options: Any) -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=url.removesuffix("/v1"),
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="secret-of-aws",
        config=Config(**{"retries": {"mode": "standard", "total_max_attempts": 1}, **options}),
    )


@workflow
def converse(url: str, **options: Any) -> str:
    given = bedrock(url, **options).converse(modelId="anthropic.claude-9-v1:0", messages=SAID)
    return given["output"]["message"]["content"][0]["text"]


@workflow
def converse_streamed(url: str) -> list[str]:
    return [next(iter(part)) for part in bedrock(url).converse_stream(modelId="m-1", messages=SAID)["stream"]]


class TestBoto3:
    def test_has_its_converse_calls_recorded_and_served(self, server, records):
        server.next(Reply(body=CONVERSED))
        assert converse(server.url) == "Hello"
        step = records.only()
        assert (step.kind, step.call.model_asked) == ("llm", "anthropic.claude-9-v1:0")
        assert (step.call.usage.input_tokens, step.call.usage.output_tokens) == (11, 7)
        with under(Playing(**{step.name: Answer(records.given(step), "recorded", step)})):
            assert converse("http://gone.example") == "Hello"
        assert records.only().output == step.output

    def test_has_its_event_streams_recorded_and_served(self, server, records):
        framed = {"content-type": "application/vnd.amazon.eventstream"}
        server.next(Reply(body=b"".join(EVENTS), headers=framed))
        parts = converse_streamed(server.url)
        assert parts == ["messageStart", "contentBlockDelta", "messageStop", "metadata"]
        step = records.only()
        assert (step.call.streamed, step.call.usage.output_tokens) == (True, 7)
        with under(Playing(**{step.name: Answer(records.given(step), "recorded", step)})):
            assert converse_streamed("http://gone.example") == parts

    def test_keeps_its_credentials_to_itself(self, server, records, tmp_path):
        server.next(Reply(body=CONVERSED))
        converse(server.url)
        written = records.everything_on_disk(tmp_path)
        assert b"AKIAIOSFODNN7EXAMPLE" not in written
        assert b"Signature=" not in written

    def test_meets_recorded_failures_as_its_own(self, server, records):
        with Loopback() as closed:
            url = closed.url
        with pytest.raises(botocore.exceptions.EndpointConnectionError):
            converse(url)
        step = records.only()
        with (
            under(Playing(**{step.name: Answer(records.given(step), "recorded", step)})),
            pytest.raises(botocore.exceptions.EndpointConnectionError),
        ):
            converse("http://gone.example")


class TestTheHook:
    def test_is_taken_away_again(self, records):
        http.install()
        ours = urllib3.HTTPConnectionPool._make_request
        http.uninstall()
        try:
            assert urllib3.HTTPConnectionPool._make_request is ours.__wrapped__
        finally:
            http.install()
