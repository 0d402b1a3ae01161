"""Beside others who stand in the same clients: respx, vcrpy, OpenTelemetry. Each works as it does alone, and a call is
recorded once, whoever came first and whoever leaves first."""

from __future__ import annotations

import asyncio
import importlib
import json
from contextlib import contextmanager
from typing import Any, Iterator

import aiohttp
import httpx
import pytest
import requests
import respx
import urllib3
import vcr
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tracer
from tests.loopback import Loopback
from tests.tracer.http_support import Playing, Records, under
from tracer import http, workflow
from tracer.player import Answer

QUESTION = {"model": "gpt-9", "messages": [{"role": "user", "content": "hi"}]}
SAID = {"model": "mocked", "choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1}}


@pytest.fixture
def server():
    with Loopback() as running:
        yield running


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYHEAD_STRICT", "1")
    http.uninstall()
    yield Records(tmp_path)
    tracer.shutdown()
    http.uninstall()
    http.install()


def by_httpx(url: str) -> Any:
    return httpx.post(f"{url}/chat/completions", json=QUESTION).json()


def by_httpx_async(url: str) -> Any:
    async def main() -> Any:
        async with httpx.AsyncClient() as client:
            return (await client.post(f"{url}/chat/completions", json=QUESTION)).json()

    return asyncio.run(main())


def by_requests(url: str) -> Any:
    return requests.post(f"{url}/chat/completions", json=QUESTION).json()


def by_urllib3(url: str) -> Any:
    with urllib3.PoolManager() as manager:
        return manager.request("POST", f"{url}/chat/completions", json=QUESTION).json()


def by_aiohttp(url: str) -> Any:
    async def main() -> Any:
        async with aiohttp.ClientSession() as client, client.post(f"{url}/chat/completions", json=QUESTION) as response:
            return await response.json()

    return asyncio.run(main())


@workflow
def ask(post: Any, url: str) -> Any:
    return post(url)


ORDERS = pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "theirs first"])


class TestRespx:
    @ORDERS
    @pytest.mark.parametrize("post", [by_httpx, by_httpx_async], ids=["sync", "async"])
    def test_answers_and_the_answer_is_recorded_once(self, post, ours_first, records):
        if ours_first:
            http.install()
        with respx.mock() as router:
            router.post("http://m.example/chat/completions").respond(json=SAID)
            assert ask(post, "http://m.example") == SAID
            assert router.calls.call_count == 1
        step = records.only()
        assert (step.kind, step.call.model, records.given(step).raw) == (
            "llm",
            "mocked",
            json.dumps(SAID, separators=(",", ":")).encode(),
        )

    def test_is_not_asked_where_a_replay_serves_the_call(self, records):
        with respx.mock(assert_all_called=False) as router:
            route = router.post("http://m.example/chat/completions").respond(json=SAID)
            with under(Playing(chat=Answer("edited", "edited"))):
                assert ask(by_httpx, "http://m.example")["choices"][0]["message"]["content"] == "edited"
            assert not route.called


CASSETTES = pytest.mark.parametrize("post", [by_httpx, by_requests, by_urllib3], ids=["httpx", "requests", "urllib3"])


class TestVcr:
    @ORDERS
    @CASSETTES
    def test_records_and_plays_and_each_is_recorded_once(self, post, ours_first, server, records, tmp_path):
        if ours_first:
            http.install()
        said = []
        for _ in ("from the network", "from the cassette"):
            with vcr.use_cassette(str(tmp_path / "cassette.yaml")):
                said.append(ask(post, server.url))
                step = records.only()
                assert (step.kind, step.call.usage.input_tokens) == ("llm", 11)
                assert json.loads(records.given(step).raw) == said[-1]
        assert said[0] == said[1]
        assert len(server.seen) == 1

    @CASSETTES
    def test_that_was_there_first_does_not_take_us_with_it(self, post, server, records, tmp_path):
        with vcr.use_cassette(str(tmp_path / "cassette.yaml")):
            ask(post, server.url)
        ask(post, server.url)
        assert records.only().kind == "llm"

    @CASSETTES
    def test_may_be_left_out_of_a_replay(self, post, server, records, tmp_path):
        with vcr.use_cassette(str(tmp_path / "cassette.yaml")) as cassette:
            with under(Playing(chat=Answer("edited", "edited"))):
                assert ask(post, server.url)["choices"][0]["message"]["content"] == "edited"
            assert len(cassette) == 0


@contextmanager
def instrumented(name: str) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    module, kind = {
        "httpx": ("httpx", "HTTPXClientInstrumentor"),
        "requests": ("requests", "RequestsInstrumentor"),
        "urllib3": ("urllib3", "URLLib3Instrumentor"),
        "aiohttp": ("aiohttp_client", "AioHttpClientInstrumentor"),
    }[name]
    instrumentor = getattr(importlib.import_module(f"opentelemetry.instrumentation.{module}"), kind)()
    instrumentor.instrument(tracer_provider=provider)
    try:
        yield exporter
    finally:
        instrumentor.uninstrument()


INSTRUMENTED = pytest.mark.parametrize(
    ("name", "post"),
    [
        ("httpx", by_httpx),
        ("httpx", by_httpx_async),
        ("requests", by_requests),
        ("urllib3", by_urllib3),
        ("aiohttp", by_aiohttp),
    ],
    ids=["httpx", "httpx-async", "requests", "urllib3", "aiohttp"],
)


class TestOpenTelemetry:
    @ORDERS
    @INSTRUMENTED
    def test_has_its_span_and_we_have_our_step(self, name, post, ours_first, server, records):
        if ours_first:
            http.install()
        with instrumented(name) as exporter:
            ask(post, server.url)
            (span,) = exporter.get_finished_spans()
        assert span.attributes.get("http.response.status_code", span.attributes.get("http.status_code")) == 200
        assert records.only().call.usage.input_tokens == 11
        assert len(server.seen) == 1

    @ORDERS
    @INSTRUMENTED
    def test_may_leave_before_us_or_after(self, name, post, ours_first, server, records):
        with instrumented(name) as exporter:
            http.install()
            if ours_first:
                http.uninstall()
                post(server.url)
                assert len(exporter.get_finished_spans()) == 1
        if not ours_first:
            ask(post, server.url)
            assert records.only().kind == "llm"
            assert exporter.get_finished_spans() == ()
        http.uninstall()
        assert post(server.url)["model"]

    @pytest.mark.parametrize(
        ("name", "post"),
        [("requests", by_requests), ("urllib3", by_urllib3), ("aiohttp", by_aiohttp)],
        ids=["requests", "urllib3", "aiohttp"],
    )
    def test_sees_a_served_call_where_it_stands_above_us(self, name, post, server, records):
        with instrumented(name) as exporter, under(Playing(chat=Answer("edited", "edited"))):
            assert ask(post, server.url)["choices"][0]["message"]["content"] == "edited"
            assert len(exporter.get_finished_spans()) == 1
        assert server.seen == []


class TestTheHooks:
    PLACES = (
        (httpx.Client, "_transport_for_url"),
        (httpx.AsyncClient, "_transport_for_url"),
        (urllib3.HTTPConnectionPool, "_make_request"),
        (aiohttp.ClientSession, "_request"),
    )

    def test_leave_every_client_as_it_was(self, records):
        before = [getattr(owner, name) for owner, name in self.PLACES]
        for _ in range(2):
            http.install()
            http.install()
            hooked = [getattr(owner, name) for owner, name in self.PLACES]
            assert [method.__wrapped__ for method in hooked] == before
            http.uninstall()
            assert [getattr(owner, name) for owner, name in self.PLACES] == before
