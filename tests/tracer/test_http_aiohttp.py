"""Requests caught in aiohttp."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from typing import Any

import aiohttp
import httpx
import pytest

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


@pytest.fixture
def server():
    with Loopback() as running:
        yield running


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYHEAD_STRICT", "1")
    yield Records(tmp_path)
    tracer.shutdown()


async def post(url: str, body: Any = None, session: Any = None, **options: Any) -> tuple[int, bytes]:
    async with aiohttp.ClientSession(**(session or {})) as client:
        given = QUESTION if body is None else body
        async with client.post(f"{url}/chat/completions", json=given, **options) as response:
            return response.status, await response.read()


asked = workflow(name="ask")(post)


def ask(*args: Any, **kwargs: Any) -> Any:
    return asyncio.run(asked(*args, **kwargs))


def outcome_of(act: Any) -> Any:
    try:
        return act()
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error), getattr(error, "errno", None), str(error)


@tracer.step
async def looked_up(url: str) -> tuple[int, bytes]:
    return await post(url)


class TestAModelCall:
    def test_is_over_before_the_step_that_made_it_whenever_it_is_written_down(self, server, records):
        @workflow
        async def flow() -> None:
            await looked_up(server.url)
            await asyncio.sleep(0)
            await looked_up(server.url)

        asyncio.run(flow())
        steps = {step.step_id: step for step in records.trace().steps}
        called = [step for step in steps.values() if step.kind == "llm"]
        assert [step.outcome for step in called] == ["ok", "ok"]
        assert all(step.ended_ns <= steps[step.parent_id].ended_ns for step in called)

    def test_is_recorded_with_who_answered_and_what_it_used(self, server, records):
        status, content = ask(server.url)
        step = records.only()
        assert (status, json.loads(content)["model"]) == (200, MODEL)
        assert (step.name, step.kind, step.outcome) == ("chat", "llm", "ok")
        assert (step.call.provider, step.call.model_asked, step.call.model) == ("local", "gpt-9", MODEL)
        assert (step.call.usage.input_tokens, step.call.usage.output_tokens) == (11, 7)
        sent, given = records.sent(step), records.given(step)
        assert (sent.method, sent.url, sent.body) == ("POST", f"{server.url}/chat/completions", QUESTION)
        assert (given.status, given.raw, given.ended) == (200, content, "complete")
        assert records.sent(step).headers[0] == ("accept", "*/*")

    def test_that_is_compressed_is_kept_as_aiohttp_reads_it(self, server, records):
        server.next(Reply(compressed=True))
        _, content = ask(server.url)
        step = records.only()
        given = records.given(step)
        assert (given.raw, step.call.model) == (content, MODEL)
        assert not {name.lower() for name, _ in given.headers} & {"content-encoding", "content-length"}

    def test_of_a_session_that_does_not_decompress_is_kept_compressed(self, server, records):
        server.next(Reply(compressed=True))
        _, content = ask(server.url, session={"auto_decompress": False})
        step = records.only()
        assert (records.given(step).raw, step.call.model) == (content, MODEL)
        assert dict(records.given(step).headers)["Content-Encoding"] == "gzip"

    @pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "streamed"])
    @pytest.mark.parametrize("reply", [Reply(), Reply(compressed=True), Reply(status=500)], ids=["ok", "gzip", "500"])
    def test_looks_the_same_with_and_without_capture(self, body, reply, server, records):
        server.next(reply, reply)
        assert ask(server.url, body) == asyncio.run(post(server.url, body))
        assert server.seen[0].headers.keys() == server.seen[1].headers.keys()
        assert server.seen[0].body == server.seen[1].body

    def test_that_is_redirected_is_one_step_for_each_hop(self, server, records):
        server.next(Reply(status=302, headers={"location": "/v1/models"}, body=b""))

        @workflow
        async def look_up():
            async with aiohttp.ClientSession() as client, client.get(f"{server.url}/old") as response:
                return response.status, len(response.history)

        assert asyncio.run(look_up()) == (200, 1)
        assert [records.given(step).status for step in records.steps("http")] == [302, 200]

    def test_takes_the_trace_along_where_it_stays_at_home(self, server, records):
        @workflow
        async def look_up():
            async with aiohttp.ClientSession() as client:
                for sent in (
                    client.get(f"{server.url}/kv"),
                    client.get(f"{server.url}/kv", headers={"traceparent": "mine"}),
                    client.post(f"{server.url}/chat/completions", json=QUESTION),
                ):
                    async with sent as response:
                        await response.read()

        asyncio.run(look_up())
        told = [seen.headers.get("traceparent", "") for seen in server.seen]
        trace = records.trace()
        assert told == [f"00-{trace.trace_id}-{records.steps('http')[0].step_id}-01", "mine", ""]

    def test_goes_through_the_middlewares_of_the_session_first(self, server, records):
        async def signed(request, send):
            request.headers["x-signed"] = "yes"
            return await send(request)

        ask(server.url, session={"middlewares": (signed,)})
        assert server.seen[0].headers["x-signed"] == "yes"
        assert records.only().kind == "llm"

    def test_that_is_to_raise_for_its_status_raises_and_keeps_the_answer(self, server, records):
        server.next(Reply(status=429))
        with pytest.raises(aiohttp.ClientResponseError):
            ask(server.url, raise_for_status=True)
        step = records.only()
        assert (step.outcome, step.call.status_code) == ("failed", 429)

    def test_made_through_httpx_over_aiohttp_is_recorded_once(self, server, records):
        class Transport(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request):
                async with aiohttp.ClientSession() as session:
                    sent = session.post(str(request.url), data=request.content, headers=dict(request.headers))
                    async with sent as response:
                        return httpx.Response(response.status, content=await response.read())

        @workflow
        async def through():
            async with httpx.AsyncClient(transport=Transport()) as client:
                return (await client.post(f"{server.url}/chat/completions", json=QUESTION)).status_code

        assert asyncio.run(through()) == 200
        assert records.only().call.model == MODEL


class TestAStream:
    def test_reaches_its_reader_piece_by_piece(self, server, records):
        second = threading.Event()
        server.next(Reply(gates={1: second}))

        @workflow
        async def read():
            url = f"{server.url}/chat/completions"
            async with aiohttp.ClientSession() as client, client.post(url, json=STREAMED) as response:
                first = await response.content.readany()
                second.set()  # only now may the server send on
                return first + await response.content.read()

        whole = asyncio.run(read())
        step = records.only()
        given = records.given(step)
        assert (given.raw, given.ended) == (whole, "complete")
        assert len(given.chunks) > 1
        assert [chunk.after_ns for chunk in given.chunks] == sorted(chunk.after_ns for chunk in given.chunks)
        assert (step.call.streamed, step.call.usage.output_tokens) == (True, 7)

    def test_that_breaks_fails_with_what_there_was_of_it(self, server, records):
        server.next(Reply(cut_after=2))
        with pytest.raises(aiohttp.ClientPayloadError):
            ask(server.url, STREAMED)
        step = records.only()
        given = records.given(step)
        assert (step.outcome, step.failure.type, given.ended) == ("failed", "ClientPayloadError", "broken")
        assert b"Hello" in given.raw

    @pytest.mark.parametrize("limit", ["total", "sock_read"])
    def test_that_takes_too_long_fails_with_the_timeout(self, limit, server, records):
        server.next(Reply(gates={2: threading.Event()}))
        with pytest.raises(TimeoutError):
            ask(server.url, STREAMED, timeout=aiohttp.ClientTimeout(**{limit: 0.2}))
        step = records.only()
        assert (step.outcome, records.given(step).ended) == ("failed", "broken")
        assert step.failure.type in {"TimeoutError", "SocketTimeoutError"}

    def test_that_is_closed_early_is_recorded_as_far_as_it_came(self, server, records):
        server.next(Reply(gates={2: threading.Event()}))

        @workflow
        async def read():
            url = f"{server.url}/chat/completions"
            async with aiohttp.ClientSession() as client, client.post(url, json=STREAMED) as response:
                async for piece in response.content.iter_any():
                    if b"Hello" in piece:
                        return

        asyncio.run(read())
        step = records.only()
        assert (step.outcome, records.given(step).ended, step.call.usage.input_tokens) == ("ok", "closed", None)

    def test_whose_task_is_cancelled_is_a_cancelled_step(self, server, records):
        server.next(Reply(gates={2: threading.Event()}))
        reading = threading.Event()

        @workflow
        async def read():
            url = f"{server.url}/chat/completions"
            async with aiohttp.ClientSession() as client, client.post(url, json=STREAMED) as response:
                async for piece in response.content.iter_any():
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

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the connection is dropped as well
    def test_that_is_dropped_without_being_closed_is_not_lost(self, server, records):
        server.next(Reply(gates={2: threading.Event()}))

        @workflow
        async def read(client):
            response = await client.post(f"{server.url}/chat/completions", json=STREAMED)
            await response.content.readany()

        async def main():
            async with aiohttp.ClientSession() as client:
                await read(client)

        asyncio.run(main())
        deadline = time.monotonic() + 20
        gc.collect()
        while records.only().outcome is None and time.monotonic() < deadline:
            gc.collect()  # while another thread collects, it does nothing
        assert records.given(records.only()).ended in {"closed", "broken"}


class TestARecordedCall:
    @pytest.mark.parametrize(
        "reply",
        [Reply(), Reply(status=429), Reply(compressed=True), Reply(cut_after=2), Reply(body=b"{bad")],
        ids=["ok", "429", "gzip", "cut", "bad"],
    )
    @pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "streamed"])
    def test_is_served_to_the_same_outcome_with_the_server_gone(self, reply, body, server, records):
        server.next(reply)
        first = outcome_of(lambda: ask(server.url, body))
        step = records.only()
        with under(Playing(chat=Answer(records.given(step), "recorded", step))):
            assert outcome_of(lambda: ask(GONE, body)) == first
        again = records.only()
        assert (again.origin, again.outcome, again.output) == ("recorded", step.outcome, step.output)
        assert again.call.usage == step.call.usage

    @pytest.mark.parametrize("how", ["refused", "slow", "dropped"])
    def test_that_no_answer_came_to_fails_alike(self, how, server, records):
        url, options = server.url, {}
        if how == "slow":
            server.next(Reply(before=threading.Event()))
            options = {"timeout": aiohttp.ClientTimeout(sock_read=0.05)}
        if how == "refused":
            with Loopback() as closed:
                url = closed.url
        if how == "dropped":
            server.next(Reply(hang_up=True))
        first = outcome_of(lambda: ask(url, **options))
        step = records.only()
        assert (step.outcome, records.given(step).status) == ("failed", 0)
        with under(Playing(chat=Answer(records.given(step), "recorded", step))):
            assert outcome_of(lambda: ask(url, **options)) == first

    @pytest.mark.parametrize("how", ["iter_any", "iter_chunks", "iter_chunked", "readline", "wait_eof"])
    def test_may_be_read_in_any_of_aiohttps_ways(self, how, server, records):
        async def pieces_of(content):
            if how == "readline":
                return [line async for line in content]
            if how == "wait_eof":
                await content.wait_eof()
                return [content.read_nowait()]
            if how == "iter_chunks":
                return [data async for data, _ in content.iter_chunks() if data]
            return [data async for data in (content.iter_any() if how == "iter_any" else content.iter_chunked(64))]

        @workflow
        async def read(base):
            url = f"{base}/chat/completions"
            async with aiohttp.ClientSession() as client, client.post(url, json=STREAMED) as response:
                return await pieces_of(response.content)

        whole = b"".join(asyncio.run(read(server.url)))
        step = records.only()
        with under(Playing(chat=Answer(records.given(step), "recorded", step))):
            pieces = asyncio.run(read(GONE))
        assert b"".join(pieces) == whole == records.given(step).raw
        if how == "iter_any":
            assert pieces == [chunk.data for chunk in records.given(step).chunks]

    def test_is_aiohttps_own_response_to_whoever_looks_inside(self, records):
        recorded = HttpResponse(200, (("Content-Type", "application/json"), ("X-Id", "7")), (Chunk(5, b'{"a": 1}'),))

        @workflow
        async def read():
            async with aiohttp.ClientSession() as client, client.get(f"{GONE}/thing?x=1") as response:
                response.raise_for_status()
                return response, await response.json(), response.headers["x-id"], response.reason, str(response.url)

        with under(Playing(**{"GET gone.example": Answer(recorded, "edited")})):
            response, *told = asyncio.run(read())
        assert isinstance(response, aiohttp.ClientResponse)
        assert told == [{"a": 1}, "7", "OK", f"{GONE}/thing?x=1"]
        assert (response.closed, response.request_info.method) == (True, "GET")

    def test_made_by_another_client_is_decompressed_here_all_the_same(self, server, records):
        server.next(Reply(compressed=True))

        @workflow
        def ask_httpx():
            return httpx.post(f"{server.url}/chat/completions", json=QUESTION).content

        content = ask_httpx()
        step = records.only()
        with under(Playing(chat=Answer(records.given(step), "recorded", step))):
            assert ask(GONE)[1] == content

    @pytest.mark.parametrize(
        ("error", "name"),
        [
            (TimeoutError("x"), "SocketTimeoutError"),
            (ConnectionResetError("x"), "ServerDisconnectedError"),
            (ConnectionRefusedError("x"), "ClientConnectorError"),
            (aiohttp.ServerTimeoutError("x"), "ServerTimeoutError"),
        ],
        ids=["timeout", "reset", "refused", "own"],
    )
    def test_that_is_to_fail_raises_the_clients_own_exception(self, error, name, records):
        with under(Playing(chat=Raise(error, "injected"))), pytest.raises(getattr(aiohttp, name), match="x"):
            ask(GONE)
        assert (records.only().outcome, records.only().failure.type) == ("failed", name)

    def test_may_stop_the_whole_replay_before_anything_is_sent(self, server, records):
        def stop(_call):
            raise ReplayStopped("here")

        with under(Playing(chat=stop)), pytest.raises(ReplayStopped):
            ask(server.url)
        assert server.seen == []


class TestASubstitutedCall:
    @pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "streamed"])
    def test_goes_to_another_endpoint_with_its_own_credentials(self, body, server, records, monkeypatch):
        monkeypatch.setenv("OTHER_KEY", "other-secret")
        target = Target("other", model="other-7", base_url=server.url, api_key_env="OTHER_KEY", price=FREE)
        with under(Playing(chat=Run(target=target, origin="substituted"))):
            status, content = ask(GONE, body, session={"headers": {"authorization": "Bearer mine", "api-key": "m"}})
        (seen,) = server.seen
        assert (status, b"Hello" in content) == (200, True)
        assert (seen.path, seen.body["model"]) == ("/v1/chat/completions", "other-7")
        assert (seen.headers["authorization"], "api-key" in seen.headers) == ("Bearer other-secret", False)
        step = records.only()
        assert (step.origin, step.call.model_asked, step.call.model) == ("substituted", "gpt-9", MODEL)

    @pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "streamed"])
    def test_to_another_model_of_the_same_provider_goes_where_it_was_going(self, body, server, records):
        target = Target("cheap", model="gpt-9-mini")
        with under(Playing(chat=Run(target=target, origin="substituted"))):
            _, content = ask(server.url, body, headers={"authorization": "Bearer mine"})
        (seen,) = server.seen
        assert b"Hello" in content
        assert (seen.body, seen.headers["authorization"]) == ({**body, "model": "gpt-9-mini"}, "Bearer mine")
        assert (records.only().origin, records.only().call.usage.input_tokens) == ("substituted", 11)

    @pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
    def test_to_an_endpoint_of_another_format_is_translated(self, streamed, server, records):
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
            _, content = ask(GONE, asked)
        assert server.seen[0].path == "/v1/messages"
        assert b'"choices"' in content
        assert b"Hello" in content
        assert records.given(records.only()).raw == content

    def test_asks_a_python_callable_and_wears_the_clients_format(self, records):
        with under(Playing(chat=Run(target=Target("mine", call=lambda _: "classified", price=FREE)))):
            _, content = ask(GONE)
        assert json.loads(content)["choices"][0]["message"]["content"] == "classified"


class TestTheHook:
    def test_is_taken_away_again(self, records):
        http.install()
        ours = aiohttp.ClientSession._request
        http.uninstall()
        try:
            assert aiohttp.ClientSession._request is ours.__wrapped__
        finally:
            http.install()
