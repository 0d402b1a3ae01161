"""Requests caught at the transport of httpx and httpx2."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import httpx2
import pytest

import tracer
from tests.loopback import MODEL, Loopback, Reply
from tests.tracer.http_support import Playing, Records, under
from tracer import http, recorder, step, workflow
from tracer.catalogue import FREE, Target
from tracer.http import clean
from tracer.messages import ChatAnswer, ChatRequest, Message
from tracer.model import Usage
from tracer.player import Answer, Raise, ReplayStopped, Run
from tracer.store import open_store
from tracer.wire import Chunk, HttpResponse

CLIENTS = pytest.mark.parametrize("client", [httpx, httpx2], ids=lambda module: module.__name__)
QUESTION = {"model": "gpt-9", "messages": [{"role": "user", "content": "hi"}]}
STREAMED = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
def server():
    with Loopback() as running:
        yield running


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYHEAD_STRICT", "1")
    yield Records(tmp_path)
    tracer.shutdown()


@workflow
def ask(module: Any, url: str, body: Any = None, **options: Any) -> Any:
    """Post a question with a fresh client; gives the whole response."""
    with module.Client(**options) as client:
        return client.post(f"{url}/chat/completions", json=QUESTION if body is None else body)


@workflow
async def ask_async(module: Any, url: str, body: Any = None, **options: Any) -> Any:
    async with module.AsyncClient(**options) as client:
        return await client.post(f"{url}/chat/completions", json=QUESTION if body is None else body)


def ask_either(how: str, *args: Any, **kwargs: Any) -> Any:
    return ask(*args, **kwargs) if how == "sync" else asyncio.run(ask_async(*args, **kwargs))


EITHER = pytest.mark.parametrize("how", ["sync", "async"])


class TestAModelCall:
    @CLIENTS
    @EITHER
    def test_is_recorded_with_who_answered_and_what_it_used(self, client, how, server, records):
        ask_either(how, client, server.url)
        step = records.only()
        assert (step.name, step.kind, step.outcome) == ("chat", "llm", "ok")
        assert (step.call.provider, step.call.model_asked, step.call.model) == ("local", "gpt-9", MODEL)
        assert (step.call.usage.input_tokens, step.call.usage.output_tokens) == (11, 7)
        assert (step.call.usage.cache_read_tokens, step.call.usage.reasoning_tokens) == (4, 2)
        assert (step.call.finish_reason, step.call.response_id, step.call.status_code) == ("stop", "chatcmpl-1", 200)
        assert not step.call.streamed
        assert 0 < step.call.first_token_ns <= step.duration_ns

    @CLIENTS
    @EITHER
    def test_keeps_the_request_as_json_and_the_response_as_bytes(self, client, how, server, records):
        response = ask_either(how, client, server.url)
        step = records.only()
        sent, given = records.sent(step), records.given(step)
        assert (sent.method, sent.url, sent.body) == ("POST", f"{server.url}/chat/completions", QUESTION)
        assert (given.status, given.raw, given.ended) == (200, response.content, "complete")
        assert dict(given.headers)["x-request-id"] == "req-1"

    @CLIENTS
    @EITHER
    def test_that_fails_is_a_failed_step_that_keeps_the_answer(self, client, how, server, records):
        server.next(Reply(status=429, headers={"retry-after": "0"}))
        assert ask_either(how, client, server.url).status_code == 429
        step = records.only()
        assert (step.outcome, step.call.status_code) == ("failed", 429)
        assert (step.failure.type, step.failure.message) == ("HttpError", "429 Too Many Requests: no, 429")
        assert step.call.retry_after_s == 0
        assert json.loads(records.given(step).raw)["error"]["message"] == "no, 429"
        assert step.call.first_token_ns is None

    @CLIENTS
    @EITHER
    def test_whose_body_cannot_be_read_has_no_usage_and_no_failure(self, client, how, server, records):
        server.next(Reply(body=b'{"choices": [cut'))
        assert ask_either(how, client, server.url).content == b'{"choices": [cut'
        step = records.only()
        assert (step.outcome, step.call.usage.input_tokens, step.call.model) == ("ok", None, None)
        assert step.call.model_asked == "gpt-9"

    @CLIENTS
    @EITHER
    def test_that_is_compressed_is_read_plain_and_kept_compressed(self, client, how, server, records):
        server.next(Reply(compressed=True))
        response = ask_either(how, client, server.url)
        step = records.only()
        assert response.json()["model"] == step.call.model == MODEL
        assert gzip.decompress(records.given(step).raw) == response.content

    @CLIENTS
    def test_that_claims_a_compression_it_does_not_have_still_reaches_its_reader_as_it_is(
        self, client, server, records
    ):
        server.next(Reply(body=b"not gzip", headers={"content-encoding": "gzip"}))
        with pytest.raises(client.DecodingError):
            ask(client, server.url)
        step = records.only()
        assert (records.given(step).raw, step.call.usage.input_tokens) == (b"not gzip", None)

    @CLIENTS
    @EITHER
    def test_that_nobody_answers_fails_with_the_clients_exception(self, client, how, records):
        with Loopback() as closed:
            url = closed.url
        with pytest.raises(client.ConnectError):
            ask_either(how, client, url)
        step = records.only()
        assert (step.outcome, step.failure.type) == ("failed", "ConnectError")
        assert step.call.model_asked == "gpt-9"
        assert step.output.exact

    @CLIENTS
    @EITHER
    def test_that_takes_too_long_fails_with_the_clients_timeout(self, client, how, server, records):
        server.next(Reply(before=threading.Event()))
        with pytest.raises(client.ReadTimeout):
            ask_either(how, client, server.url, timeout=0.05)
        assert records.only().failure.type == "ReadTimeout"

    def test_is_a_child_of_the_step_that_made_it(self, server, records):
        @step
        def draft(url):
            with httpx2.Client() as client:
                return client.post(f"{url}/chat/completions", json=QUESTION).json()

        @workflow
        def pipeline(url):
            draft(url)
            return draft(url)

        pipeline(server.url)
        assert [s.path for s in records.steps("llm")] == ["pipeline/draft/chat", "pipeline/draft[1]/chat"]

    def test_for_vectors_is_an_embedding(self, server, records):
        @workflow
        def embed(url):
            with httpx2.Client() as client:
                client.post(f"{url}/embeddings", json={"model": "e-1", "input": ["a", "b"]})

        embed(server.url)
        step = records.only()
        assert (step.name, step.kind, step.call.model_asked) == ("embeddings", "embedding", "e-1")
        assert (step.call.usage.input_tokens, step.call.usage.output_tokens) == (6, 0)

    def test_with_several_choices_says_how_many(self, server, records):
        choices = [{"index": place, "message": {"role": "assistant", "content": "x"}} for place in range(3)]
        server.next(Reply(body=json.dumps({"model": "m", "choices": choices}).encode()))
        ask(httpx2, server.url)
        assert records.only().tags["choices"] == 3


class TestAStream:
    @CLIENTS
    def test_reaches_its_reader_piece_by_piece(self, client, server, records):
        second = threading.Event()
        server.next(Reply(gates={1: second}))

        @workflow
        def read():
            with client.Client() as c, c.stream("POST", f"{server.url}/chat/completions", json=STREAMED) as response:
                pieces = response.iter_raw()
                first = next(pieces)
                second.set()  # only now may the server send on: a capture that held the first piece back would hang
                return first + b"".join(pieces)

        whole = read()
        step = records.only()
        given = records.given(step)
        assert given.raw == whole
        assert len(given.chunks) > 1
        assert [chunk.after_ns for chunk in given.chunks] == sorted(chunk.after_ns for chunk in given.chunks)
        assert (step.call.streamed, step.call.usage.output_tokens, given.ended) == (True, 7, "complete")

    @CLIENTS
    def test_reaches_its_reader_piece_by_piece_in_async_code(self, client, server, records):
        second = threading.Event()
        server.next(Reply(gates={1: second}))

        @workflow
        async def read():
            url = f"{server.url}/chat/completions"
            async with client.AsyncClient() as c, c.stream("POST", url, json=STREAMED) as response:
                pieces = response.aiter_raw()
                first = await anext(pieces)
                second.set()
                return first + b"".join([piece async for piece in pieces])

        assert asyncio.run(read()) == records.given(records.only()).raw

    @CLIENTS
    @EITHER
    def test_has_its_first_token_when_the_first_word_came_and_not_when_the_role_came(
        self, client, how, server, records
    ):
        word = threading.Event()
        server.next(Reply(gates={1: word}))
        sent = []

        def release(_response):
            sent.append(True)
            word.set()

        async def release_async(response):
            release(response)

        hooks = {"response": [release if how == "sync" else release_async]}
        ask_either(how, client, server.url, STREAMED, event_hooks=hooks)
        step = records.only()
        chunks = records.given(step).chunks
        assert sent
        assert b"Hello" not in chunks[0].data
        assert step.call.first_token_ns == next(chunk.after_ns for chunk in chunks if b"Hello" in chunk.data)

    @CLIENTS
    @EITHER
    def test_that_is_compressed_is_read_with_its_times(self, client, how, server, records):
        server.next(Reply(compressed=True))
        response = ask_either(how, client, server.url, STREAMED)
        step = records.only()
        assert b"data: [DONE]" in response.content
        assert step.call.usage.input_tokens == 11
        assert step.call.first_token_ns in [chunk.after_ns for chunk in records.given(step).chunks]

    @CLIENTS
    @EITHER
    def test_that_breaks_fails_with_what_there_was_of_it(self, client, how, server, records):
        server.next(Reply(cut_after=2))
        with pytest.raises(client.RemoteProtocolError) as caught:
            ask_either(how, client, server.url, STREAMED)
        step = records.only()
        given = records.given(step)
        assert (step.outcome, step.failure.type) == ("failed", "RemoteProtocolError")
        assert (given.ended, given.error) == ("broken", f"RemoteProtocolError: {caught.value}")
        assert b"Hello" in given.raw
        assert step.call.first_token_ns is not None

    @CLIENTS
    def test_that_is_closed_early_is_recorded_as_far_as_it_was_read(self, client, server, records):
        rest = threading.Event()
        server.next(Reply(gates={2: rest}))

        @workflow
        def read():
            with client.Client() as c, c.stream("POST", f"{server.url}/chat/completions", json=STREAMED) as response:
                for piece in response.iter_raw():
                    if b"Hello" in piece:
                        return

        read()
        step = records.only()
        assert (step.outcome, records.given(step).ended, step.call.usage.input_tokens) == ("ok", "closed", None)

    def test_that_an_async_reader_leaves_early_is_recorded_as_far_as_it_was_read(self, server, records):
        server.next(Reply(gates={2: threading.Event()}))

        @workflow
        async def read():
            url = f"{server.url}/chat/completions"
            async with httpx2.AsyncClient() as c, c.stream("POST", url, json=STREAMED) as response:
                async for piece in response.aiter_raw():
                    if b"Hello" in piece:
                        return

        asyncio.run(read())
        assert records.given(records.only()).ended == "closed"

    def test_whose_task_is_cancelled_is_a_cancelled_step(self, server, records):
        server.next(Reply(gates={2: threading.Event()}))
        reading = threading.Event()

        @workflow
        async def read():
            url = f"{server.url}/chat/completions"
            async with httpx2.AsyncClient() as c, c.stream("POST", url, json=STREAMED) as response:
                async for piece in response.aiter_raw():
                    if b"Hello" in piece:
                        reading.set()

        async def main():
            task = asyncio.create_task(read())
            await asyncio.to_thread(reading.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        step = records.only()
        assert (step.outcome, records.given(step).ended) == ("cancelled", "broken")

    def test_whose_reader_holds_on_to_it_after_its_last_word_ends_with_the_trace(self, server, records):
        held = []

        @workflow
        async def read() -> str:
            client = httpx2.AsyncClient()
            request = client.build_request("POST", f"{server.url}/chat/completions", json=STREAMED)
            response = await client.send(request, stream=True)
            lines = response.aiter_lines()
            held.extend([client, response, lines])
            async for line in lines:
                if line == "data: [DONE]":
                    return "done"
            return "never"

        async def run() -> None:
            assert await read() == "done"
            step = records.only()
            assert (step.outcome, step.call.usage.input_tokens) == ("ok", 11)
            await held[0].aclose()

        asyncio.run(run())

    @pytest.mark.parametrize("begun", [False, True])
    def test_that_is_dropped_without_being_closed_is_not_lost(self, begun, server, records):
        server.next(Reply(gates={2: threading.Event()}))

        @workflow
        def read(client):
            request = client.build_request("POST", f"{server.url}/chat/completions", json=STREAMED)
            response = client.send(request, stream=True)
            if begun:
                next(response.iter_raw())

        with httpx2.Client() as client:
            read(client)
            gc.collect()
            given = records.given(records.only())
            assert (given.ended, bool(given.chunks)) == ("closed", begun)

    def test_that_an_async_reader_leaves_early_is_closed_there_and_then(self, records):
        closed = []

        class Pieces(httpx2.AsyncByteStream):
            async def __aiter__(self):
                try:
                    yield b"one"
                    yield b"two"
                finally:
                    closed.append(asyncio.current_task())

        @workflow
        async def read():
            transport = httpx2.MockTransport(lambda _: httpx2.Response(200, stream=Pieces()))
            url = "http://m.example/chat/completions"
            async with httpx2.AsyncClient(transport=transport) as c, c.stream("POST", url, json=STREAMED) as response:
                pieces = response.aiter_raw()
                await anext(pieces)
                await pieces.aclose()
                return closed == [asyncio.current_task()]

        assert asyncio.run(read())


class TestWhatTheUserSees:
    @CLIENTS
    @EITHER
    @pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "streamed"])
    @pytest.mark.parametrize("reply", [Reply(), Reply(compressed=True), Reply(status=500)], ids=["ok", "gzip", "500"])
    def test_is_the_same_with_and_without_capture(self, client, how, body, reply, server, records):  # noqa: PLR0913, PLR0917
        server.next(reply, reply)
        recorded = ask_either(how, client, server.url, body)
        http.uninstall()
        try:
            plain = (
                ask.__wrapped__(client, server.url, body)
                if how == "sync"
                else asyncio.run(ask_async.__wrapped__(client, server.url, body))
            )
        finally:
            http.install()
        without_date = [[pair for pair in r.headers.multi_items() if pair[0] != "date"] for r in (recorded, plain)]
        assert without_date[0] == without_date[1]
        assert recorded.content == plain.content
        assert set(recorded.extensions) == set(plain.extensions)
        assert (type(recorded), recorded.http_version) == (type(plain), plain.http_version)
        assert server.seen[0].headers.keys() == server.seen[1].headers.keys()
        assert server.seen[0].body == server.seen[1].body

    @CLIENTS
    @EITHER
    def test_comes_from_a_transport_of_ones_own_as_it_gives_it(self, client, how, records):
        said = {"model": "mine", "choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1}}
        given = []

        def handle(request):
            given.append(client.Response(200, json=said, request=request))
            return given[-1]

        response = ask_either(how, client, "http://model.example/v1", transport=client.MockTransport(handle))
        assert response is given[0]
        assert response.json() == said
        step = records.only()
        assert (step.call.model, step.call.provider) == ("mine", "openai-compatible")
        assert records.given(step).raw == response.content

    def test_comes_compressed_from_memory_as_it_is(self, records):
        said = gzip.compress(json.dumps({"model": "mine"}).encode())

        def handle(_request):
            return httpx2.Response(200, content=said, headers={"content-encoding": "gzip"})

        assert ask(httpx2, "http://m.example", transport=httpx2.MockTransport(handle)).json() == {"model": "mine"}
        assert records.only().call.model == "mine"
        assert records.given(records.only()).raw == said

    def test_is_an_exception_of_their_transport_as_it_was_raised(self, records):
        mine = RuntimeError("my transport")

        def handle(_request):
            raise mine

        with pytest.raises(RuntimeError) as caught:
            ask(httpx2, "http://m.example", transport=httpx2.MockTransport(handle))
        assert caught.value is mine
        assert records.only().failure.message == "my transport"

    def test_is_an_upload_that_is_sent_in_pieces_and_never_read_ahead(self, server, records):
        @workflow
        def upload():
            pieces = iter([json.dumps(QUESTION).encode()])
            with httpx2.Client() as client:
                size = str(len(json.dumps(QUESTION)))
                return client.post(f"{server.url}/chat/completions", content=pieces, headers={"content-length": size})

        assert upload().status_code == 200
        assert server.seen[0].body == QUESTION
        step = records.only()
        assert (step.kind, records.sent(step).body, step.call.model) == ("llm", None, MODEL)


class TestOtherRequests:
    def test_are_steps_of_kind_http_with_no_model(self, server, records):
        @workflow
        def fetch():
            with httpx2.Client() as client:
                return client.get(f"{server.url}/status?deep=1").json()

        assert fetch() == {"path": "/v1/status?deep=1"}
        step = records.only()
        assert (step.name, step.kind, step.call) == ("GET 127.0.0.1", "http", None)
        assert records.sent(step).body is None

    def test_that_answer_with_an_error_status_have_not_failed(self, records):
        @workflow
        def fetch():
            transport = httpx2.MockTransport(lambda _: httpx2.Response(404, text="none"))
            with httpx2.Client(transport=transport) as client:
                return client.get("http://shop.example/7").status_code

        assert fetch() == 404
        assert (records.only().outcome, records.given(records.only()).status) == ("ok", 404)

    def test_that_give_more_than_is_kept_pass_through_whole_and_are_marked(self, records, monkeypatch):
        monkeypatch.setattr("tracer.http.exchange.KEPT_BYTES", 1000)

        @workflow
        def download():
            pieces = iter([b"x" * 600] * 5)
            transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=pieces))
            with httpx2.Client(transport=transport) as client:
                return len(client.get("http://files.example/model").content)

        assert download() == 3000
        step = records.only()
        assert (len(records.given(step).raw), records.given(step).ended, step.output.exact) == (600, "cut", False)

    def test_follow_redirects_step_by_step(self, records):
        def handle(request):
            if request.url.path == "/old":
                return httpx2.Response(302, headers={"location": "/new?token=hidden-1234"})
            return httpx2.Response(200, text="here")

        @workflow
        def fetch():
            with httpx2.Client(transport=httpx2.MockTransport(handle), follow_redirects=True) as client:
                return client.get("http://shop.example/old").text

        assert fetch() == "here"
        assert [records.given(step).status for step in records.steps()] == [302, 200]

    def test_outside_a_workflow_do_not_meet_us(self, server, records):
        ask(httpx2, server.url)  # the first workflow installs the hooks
        client = httpx2.Client()
        url = httpx2.URL(server.url)
        assert client._transport_for_url(url) is client._transport
        client.close()

    def test_in_a_workflow_that_is_sampled_out_are_not_recorded(self, server, tmp_path, monkeypatch):
        monkeypatch.setenv("PLAYHEAD_STRICT", "1")
        tracer.configure(database_url=str(tmp_path / "none.db"), home=tmp_path, sample=0.0)
        try:
            assert ask(httpx2, server.url).status_code == 200
        finally:
            tracer.shutdown()
            tracer.configure(sample=1.0)
        assert b"chat/completions" not in b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())


class TestCredentials:
    @EITHER
    def test_never_reach_the_disk(self, how, server, records, tmp_path):
        secret = "zq83-not-a-known-shape"
        headers = {
            "authorization": f"Basic {secret}",
            "api-key": secret,
            "x-api-key": secret,
            "x-goog-api-key": secret,
            "cookie": f"session={secret}",
            "x-my-token": secret,
            "x-client-secret": secret,
        }
        url = server.url.replace("http://", f"http://user:{secret}@")

        async def send_async():
            async with httpx2.AsyncClient(headers=headers) as client:
                await client.post(f"{url}/chat/completions?key={secret}&api-version=1#{secret}", json=QUESTION)

        def send():
            with httpx2.Client(headers=headers) as client:
                client.post(f"{url}/chat/completions?key={secret}&api-version=1#{secret}", json=QUESTION)

        workflow(name="send")(send)() if how == "sync" else asyncio.run(workflow(name="send")(send_async)())
        assert server.seen[0].headers["x-api-key"] == secret
        kept = records.everything_on_disk(tmp_path)
        assert b"gpt-9" in kept
        assert secret.encode() not in kept
        assert b"secret-of-the-server" not in kept
        assert records.sent(records.only()).url == f"{server.url}/chat/completions?api-version=1"

    @pytest.mark.parametrize(
        ("name", "is_secret"),
        [
            ("Authorization", True),
            ("Proxy-Authorization", True),
            ("Set-Cookie", True),
            ("X-Auth-Token", True),
            ("X-Amz-Security-Token", True),
            ("x-ratelimit-remaining-tokens", False),
            ("anthropic-ratelimit-tokens-remaining", False),
            ("x-request-id", False),
            ("retry-after", False),
        ],
    )
    def test_are_known_by_the_header_that_carries_them(self, name, is_secret):
        assert clean.is_credential(name) is is_secret

    @pytest.mark.parametrize(
        ("url", "cleaned"),
        [
            ("https://u:p@h.example:8/a?x=1&sig=abc&y=#f", "https://h.example:8/a?x=1&y="),
            ("https://h.example/a?X-Amz-Signature=1&X-Amz-Credential=2", "https://h.example/a"),
            ("https://h.example/a?api_key=1&page=2&access_token=3", "https://h.example/a?page=2"),
            ("https://h.example/a?b", "https://h.example/a?b"),
        ],
    )
    def test_are_taken_out_of_urls(self, url, cleaned):
        assert clean.url(url) == cleaned

    @pytest.mark.parametrize("compressed", [False, True])
    def test_in_a_compressed_answer_are_found_as_in_a_plain_one(self, compressed, server, records, tmp_path):
        server.next(Reply(body=b'{"access_token": "zq83notaknownshape"}', compressed=compressed))

        @workflow
        def log_in():
            with httpx2.Client() as client:
                form = {"client_secret": "zq84notaknownshape", "grant_type": "x"}
                assert client.post(f"{server.url}/token", data=form).json() == {"access_token": "zq83notaknownshape"}

        log_in()
        kept = records.everything_on_disk(tmp_path)
        given = records.given(records.only())
        assert b"zq83notaknownshape" not in kept
        assert b"zq84notaknownshape" not in kept
        assert b"access_token" in given.raw
        assert records.sent(records.only()).body == "client_secret=[redacted]&grant_type=x"

    def test_of_other_requests_may_be_what_tells_them_apart(self, server, records):
        @workflow
        def look_up():
            with httpx2.Client() as client:
                for key in ("users", "orders", "users"):
                    client.get(f"{server.url}/kv?key={key}")

        with under(Playing()) as player:
            look_up()
        users, orders, again = [call.identity for call in player.asked if call.kind == "http"]
        assert users == again != orders

    def test_do_not_change_what_a_replay_matches_by(self, server, records):
        bodies = []
        for key in ("a", "b"):
            player = Playing()
            with under(player):
                ask(httpx2, server.url, headers={"authorization": f"Bearer {key}"}, params={"key": key})
            bodies.append(next(call.identity for call in player.asked if call.name == "chat"))
        assert bodies[0] == bodies[1]


_AT_ONCE = """
import sys, threading
import httpx2
import tracer

tracer.configure(home=sys.argv[2])
ready = threading.Barrier(8)
client = httpx2.Client()

@tracer.workflow
def ask():
    return client.post(sys.argv[1] + "/chat/completions", json={"model": "m", "messages": []}).status_code

def run():
    ready.wait(30)
    assert ask() == 200

threads = [threading.Thread(target=run) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert tracer.flush()
"""


class TestTheHooks:
    def test_are_in_place_for_every_one_of_the_workflows_that_begin_first(self, server, tmp_path):
        command = [sys.executable, "-c", _AT_ONCE, server.url, str(tmp_path)]
        subprocess.run(command, check=True, timeout=60)
        with open_store(tmp_path / "playhead.db") as store:
            traces = [store.trace(row.trace_id) for row in store.traces()]
        assert [[each.kind for each in trace.steps] for trace in traces] == [["workflow", "llm"]] * 8

    def test_are_put_once_and_taken_away_again(self, records):
        http.uninstall()
        originals = [getattr(c, "_transport_for_url") for c in (httpx.Client, httpx2.AsyncClient)]  # noqa: B009
        http.install()
        hooked = [c._transport_for_url for c in (httpx.Client, httpx2.AsyncClient)]
        http.install()
        assert [c._transport_for_url for c in (httpx.Client, httpx2.AsyncClient)] == hooked
        assert [method.__wrapped__ for method in hooked] == originals
        http.uninstall()
        assert [c._transport_for_url for c in (httpx.Client, httpx2.AsyncClient)] == originals
        http.install()

    def test_leave_the_wrapper_that_somebody_else_put_on_top(self, records):
        http.install()
        ours = httpx2.Client._transport_for_url

        def theirs(self, url):
            return ours(self, url)

        httpx2.Client._transport_for_url = theirs
        http.uninstall()
        try:
            assert httpx2.Client._transport_for_url is theirs
            http.install()
            assert httpx2.Client._transport_for_url is theirs
        finally:
            httpx2.Client._transport_for_url = ours
        assert (
            ask(httpx2, "http://m.example", transport=httpx2.MockTransport(lambda _: httpx2.Response(200))).status_code
            == 200
        )
        assert records.only().name == "chat"

    def run(self, script: str) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_import_no_client_and_wait_for_it(self):
        self.run(
            "import sys; from tracer import http; http.install()\n"
            "assert 'httpx' not in sys.modules and 'httpx2' not in sys.modules\n"
            "import httpx2\n"
            "assert hasattr(httpx2.Client._transport_for_url, '__wrapped__')\n"
            "http.uninstall()\n"
            "assert not hasattr(httpx2.Client._transport_for_url, '__wrapped__')\n"
            "import httpx\n"
            "assert not hasattr(httpx.Client._transport_for_url, '__wrapped__')\n"
            "http.install()\n"
            "assert hasattr(httpx.AsyncClient._transport_for_url, '__wrapped__')\n"
        )

    @pytest.mark.parametrize("first", ["http.install(); httpx2.alias_httpx()", "httpx2.alias_httpx(); http.install()"])
    def test_are_put_once_where_httpx_is_an_alias_of_httpx2(self, first):
        self.run(
            f"import httpx2; from tracer import http; {first}\n"
            "import httpx\n"
            "assert httpx is httpx2\n"
            "assert not hasattr(httpx.Client._transport_for_url.__wrapped__, '__wrapped__')\n"
        )

    def test_count_a_client_that_they_do_not_fit_and_leave_it_alone(self):
        self.run(
            "import warnings, httpx2\n"
            "del httpx2.Client._transport_for_url\n"
            "from tracer import http; from tracer.guard import degraded\n"
            "with warnings.catch_warnings(record=True) as said:\n"
            "    warnings.simplefilter('always')\n"
            "    http.install()\n"
            "assert len(said) == 1 and 'httpx2' in str(said[0].message), said\n"
            "assert degraded['catch the requests of httpx2'] == 1\n"
        )

    def test_keep_a_stream_that_is_open_when_the_process_ends(self, server, tmp_path):
        self.run(
            "import httpx2, tracer\n"
            f"tracer.configure(database_url={str(tmp_path / 't.db')!r}, home={str(tmp_path)!r})\n"
            "client = httpx2.Client()\n"
            "@tracer.workflow\n"
            "def read():\n"
            f"    request = client.build_request('POST', {server.url!r} + '/chat/completions', json={STREAMED!r})\n"
            "    response = client.send(request, stream=True)\n"
            "    pieces = response.iter_raw()\n"
            "    return response, pieces, next(pieces)\n"
            "kept = read()\n"
            "import warnings; warnings.simplefilter('ignore')\n"
            # The client closes the stream among the last things of all, and looks at a clock for that. CPython 3.13.0
            # crashes when a finalizer uses datetime so late, with or without us, unless something holds its C half.
            "import _datetime, sys; sys.held = _datetime\n"
        )
        records = Records(tmp_path)
        records.url = f"sqlite:///{tmp_path / 't.db'}"
        (step,) = [s for s in records.trace().steps if s.kind == "llm"]
        assert (step.outcome, records.given(step).ended) == ("ok", "closed")
        tracer.shutdown()


RECORDED = HttpResponse(
    200,
    (("content-type", "application/json"), ("x-request-id", "req-0")),
    (Chunk(5, b'{"model": "old", "choices": [{"message": {"content": "fr'), Chunk(9, b'om the record"}}]}')),
)


class TestAnAnsweredCall:
    @CLIENTS
    @EITHER
    def test_never_reaches_the_network_and_looks_as_it_did(self, client, how, server, records):
        with under(Playing(chat=Answer(RECORDED, "edited"))):
            response = ask_either(how, client, server.url)
        assert server.seen == []
        assert isinstance(response, client.Response)
        assert (response.content, response.headers["x-request-id"]) == (RECORDED.raw, "req-0")
        step = records.only()
        assert (step.origin, step.call.model, records.given(step)) == ("edited", "old", RECORDED)

    @CLIENTS
    def test_gives_its_chunks_one_by_one(self, client, records):
        @workflow
        def read():
            with client.Client() as c, c.stream("POST", "http://m.example/chat/completions", json=QUESTION) as response:
                return list(response.iter_raw())

        with under(Playing(chat=Answer(RECORDED, "edited"))):
            assert read() == [chunk.data for chunk in RECORDED.chunks]

    @CLIENTS
    @EITHER
    def test_breaks_where_the_recorded_one_broke(self, client, how, records):
        broken = HttpResponse(200, (), RECORDED.chunks[:1], "broken", "RemoteProtocolError: peer went away")
        with (
            under(Playing(chat=Answer(broken, "edited"))),
            pytest.raises(client.RemoteProtocolError, match="went away"),
        ):
            ask_either(how, client, "http://m.example")

    @CLIENTS
    @EITHER
    def test_whose_connection_failed_fails_alike_with_the_request_on_it(self, client, how, records):
        failed = HttpResponse(0, (), (), "broken", "ConnectTimeout: too slow")
        with (
            under(Playing(chat=Answer(failed, "edited"))),
            pytest.raises(client.ConnectTimeout, match="too slow") as caught,
        ):
            ask_either(how, client, "http://m.example")
        assert caught.value.request.url.host == "m.example"

    def test_may_be_a_text_which_is_dressed_as_the_client_asked(self, records):
        with under(Playing(chat=Answer("edited words", "edited"))):
            streamed = ask(httpx2, "http://m.example", STREAMED)
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert b"edited words" in streamed.content

    def test_with_an_error_status_is_a_failed_step(self, records):
        refused = HttpResponse(429, (), (Chunk(0, b'{"error": {"message": "slow down"}}'),))
        with under(Playing(chat=Answer(refused, "injected"))):
            assert ask(httpx2, "http://m.example").status_code == 429
        assert (records.only().outcome, records.only().origin) == ("failed", "injected")

    @CLIENTS
    @EITHER
    @pytest.mark.parametrize(
        ("error", "name"),
        [
            (TimeoutError("x"), "ReadTimeout"),
            (ConnectionResetError("x"), "ReadError"),
            (ConnectionRefusedError("x"), "ConnectError"),
            (httpx.ConnectTimeout("x"), "ConnectTimeout"),
            (httpx2.PoolTimeout("x"), "PoolTimeout"),
        ],
    )
    def test_that_is_to_fail_raises_the_clients_own_exception(self, client, how, error, name, records):
        with under(Playing(chat=Raise(error, "injected"))), pytest.raises(getattr(client, name), match="x") as caught:
            ask_either(how, client, "http://m.example")
        assert caught.value.request.url.host == "m.example"
        assert (records.only().outcome, records.only().failure.type) == ("failed", name)

    def test_that_is_to_fail_with_anything_else_raises_that(self, records):
        mine = KeyError("mine")
        with under(Playing(chat=Raise(mine, "injected"))), pytest.raises(KeyError) as caught:
            ask(httpx2, "http://m.example")
        assert caught.value is mine

    @EITHER
    def test_may_stop_the_whole_replay_before_anything_is_sent(self, how, server, records):
        def stop(_call):
            raise ReplayStopped("here")

        with under(Playing(chat=stop)), pytest.raises(ReplayStopped):
            ask_either(how, httpx2, server.url)
        assert server.seen == []
        assert records.only().outcome == "stopped"


class TestARecordedCall:
    @CLIENTS
    @EITHER
    @pytest.mark.parametrize(
        "reply",
        [Reply(), Reply(status=429), Reply(compressed=True), Reply(cut_after=2), Reply(body=b"{bad")],
        ids=["ok", "429", "gzip", "cut", "bad"],
    )
    @pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "streamed"])
    def test_is_served_to_the_same_outcome_with_the_server_gone(self, client, how, reply, body, server, records):  # noqa: PLR0913, PLR0917
        server.next(reply)
        first = outcome_of(lambda: ask_either(how, client, server.url, body))
        step = records.only()
        served = Answer(records.given(step), "recorded", step)
        with under(Playing(chat=served)):
            second = outcome_of(lambda: ask_either(how, client, "http://gone.example/v1", body))
        assert second == first
        again = records.only()
        assert (again.origin, again.outcome, again.output) == ("recorded", step.outcome, step.output)
        assert again.call.usage == step.call.usage

    @CLIENTS
    def test_that_was_refused_is_served_as_refused(self, client, records):
        with Loopback() as closed:
            url = closed.url
        first = outcome_of(lambda: ask(client, url))
        step = records.only()
        with under(Playing(chat=Answer(records.given(step), "recorded", step))):
            assert outcome_of(lambda: ask(client, "http://gone.example/v1")) == first
        assert records.only().outcome == "failed"


def outcome_of(act: Any) -> Any:
    try:
        response = act()
    except (httpx.HTTPError, httpx2.HTTPError) as error:
        return type(error), str(error)
    return response.status_code, response.content, response.headers.get("content-type")


class TestASubstitutedCall:
    @CLIENTS
    @EITHER
    def test_is_readdressed_to_another_endpoint_with_its_own_credentials(
        self, client, how, server, records, monkeypatch
    ):
        monkeypatch.setenv("OTHER_KEY", "other-secret")
        target = Target("other", model="other-7", base_url=server.url, api_key_env="OTHER_KEY", price=FREE)
        player = Playing(chat=Run(target=target, origin="substituted"))
        with under(player):
            response = ask_either(
                how, client, "http://gone.example/v1", headers={"authorization": "Bearer mine", "api-key": "m"}
            )
        (seen,) = server.seen
        assert response.json()["model"] == MODEL
        assert (seen.path, seen.body) == ("/v1/chat/completions", {**QUESTION, "model": "other-7"})
        assert seen.headers["authorization"] == "Bearer other-secret"
        assert "api-key" not in seen.headers
        assert seen.headers["host"] in server.url
        step = records.only()
        assert (step.origin, step.call.model_asked, step.call.model) == ("substituted", "gpt-9", MODEL)
        assert player.ended[0]["price"] == {"input_nusd": 0, "output_nusd": 0}
        assert records.sent(step).url == "http://gone.example/v1/chat/completions"

    @CLIENTS
    def test_streams_from_the_other_endpoint_piece_by_piece(self, client, server, records):
        second = threading.Event()
        server.next(Reply(gates={1: second}))

        @workflow
        def read():
            with (
                client.Client() as c,
                c.stream("POST", "http://gone.example/chat/completions", json=STREAMED) as response,
            ):
                pieces = response.iter_bytes()
                first = next(pieces)
                second.set()
                return first + b"".join(pieces)

        with under(Playing(chat=Run(target=Target("other", base_url=server.url)))):
            assert b"Hello" in read()
        assert records.only().call.usage.input_tokens == 11

    @CLIENTS
    @EITHER
    @pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "streamed"])
    def test_asks_a_python_callable_and_wears_the_clients_format(self, client, how, body, records):
        asked = []

        def model(request: ChatRequest) -> ChatAnswer:
            asked.append(request)
            return ChatAnswer.of("classified", usage=Usage(3, 1))

        with under(Playing(chat=Run(target=Target("intent-lr", call=model, price=FREE), origin="substituted"))):
            response = ask_either(how, client, "http://gone.example/v1", body)
        assert b"classified" in response.content
        assert asked[0].messages == (Message("user", "hi"),)
        step = records.only()
        assert (step.call.model_asked, step.call.model, step.call.provider) == ("gpt-9", "intent-lr", "local")
        assert (step.call.usage.input_tokens, step.call.streamed) == (3, body is STREAMED)

    @EITHER
    def test_raises_what_the_callable_raises(self, how, records):
        mine = ValueError("no such label")

        def model(_request):
            raise mine

        with under(Playing(chat=Run(target=Target("t", call=model)))), pytest.raises(ValueError) as caught:
            ask_either(how, httpx2, "http://gone.example/v1")
        assert caught.value is mine
        assert records.only().failure.message == "no such label"

    def test_does_not_record_what_the_callable_itself_calls(self, server, records):
        def model(_request):
            with httpx2.Client() as client:
                return client.post(f"{server.url}/chat/completions", json=QUESTION).json()["model"]

        with under(Playing(chat=Run(target=Target("t", call=model)))):
            ask(httpx2, "http://gone.example/v1")
        assert len(server.seen) == 1
        assert records.only().call.model == "t"

    def test_leaves_other_requests_alone(self, server, records):
        @workflow
        def fetch():
            with httpx2.Client() as client:
                return client.get(f"{server.url}/status").json()

        with under(Playing(**{"GET 127.0.0.1": Run(target=Target("t", call=lambda _: "x"))})):
            assert fetch() == {"path": "/v1/status"}


class Launched:
    """A launcher of a real server."""

    def __init__(self) -> None:
        self.server = Loopback()
        self.starts: list[str] = []
        self.took_ns = 0

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        began_ns = time.perf_counter_ns()
        self.starts.append(threading.current_thread().name)
        self.server.__enter__()
        with httpx2.Client() as client:  # as a launcher asks until its server is well
            for _ in range(20):
                client.get(self.url)
        self.took_ns = time.perf_counter_ns() - began_ns

    def stop(self) -> None:
        self.server.__exit__()


class TestALauncher:
    @EITHER
    def test_is_started_once_when_a_live_call_first_needs_it(self, how, records):
        launcher = Launched()
        recorder.catalogue().add([Target("tiny", launcher=launcher)])
        try:
            assert ask_either(how, httpx2, launcher.url).status_code == 200
            first = records.steps("llm")[-1]
            assert launcher.took_ns + first.call.first_token_ns <= first.duration_ns
            assert ask_either(how, httpx2, launcher.url).status_code == 200
            assert len(launcher.starts) == 1
            # A start blocks: the event loop must not.
            assert (launcher.starts[0] == threading.main_thread().name) is (how == "sync")
        finally:
            recorder.catalogue().stop()

    def test_is_not_started_for_a_call_that_is_served(self, records):
        launcher = Launched()
        recorder.catalogue().add([Target("tiny", launcher=launcher)])
        with under(Playing(chat=Answer(RECORDED, "edited"))):
            ask(httpx2, launcher.url)
        assert launcher.starts == []
        launcher.server._server.server_close()
