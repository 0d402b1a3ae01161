"""An SDK that tries again: every attempt is a step, and together they are one call."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import requests
from requests.adapters import HTTPAdapter
from rich.console import Console
from urllib3.util import Retry

import tracer
from tests.loopback import Loopback, Reply
from tests.sources import REPOSITORY
from tests.tracer.http_support import Playing, Records, under
from tests.tracer.test_http_urllib3 import CONVERSED, converse
from tracer import render, workflow
from tracer.attempts import attempts_in, in_words
from tracer.player import Answer
from tracer.recover import recover
from tracer.store import open_store
from web.view.laid import laid_out
from web.view.waterfall import waterfall

QUESTION = {"model": "gpt-9", "messages": [{"role": "user", "content": "hi"}]}
REFUSED = Reply(status=429, headers={"retry-after": "0"})
BROKEN = Reply(status=503, headers={"retry-after": "0"})


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
def ask_openai(url: str, retries: int = 4) -> str:
    with openai.OpenAI(base_url=url, api_key="k", max_retries=retries) as client:
        return client.chat.completions.create(**QUESTION).choices[0].message.content


def by_requests(url: str) -> int:
    with requests.Session() as session:
        retries = Retry(4, status_forcelist=[429, 503], allowed_methods=None, backoff_factor=0)
        session.mount("http://", HTTPAdapter(max_retries=retries))
        return session.post(f"{url}/chat/completions", json=QUESTION).status_code


def by_hand(url: str) -> int:
    with httpx2.Client() as client:
        while (response := client.post(f"{url}/chat/completions", json=QUESTION)).status_code != 200:
            pass
        return response.status_code


def told(steps: Any) -> list[tuple[Any, Any]]:
    """Of each step, which attempt it is and after what."""
    return [(step.tags.get("attempt"), step.tags.get("after")) for step in steps]


class TestACallThatIsTriedAgain:
    def test_is_one_call_of_several_attempts(self, server, records):
        server.next(REFUSED, BROKEN)
        assert ask_openai(server.url) == "Hello, world"
        first, *later = records.steps("llm")
        assert told([first, *later]) == [(None, None), (2, 429), (3, 503)]
        assert {step.tags["retry_of"] for step in later} == {first.step_id}
        assert [step.call.status_code for step in (first, *later)] == [429, 503, 200]

    def test_counts_once_and_fails_no_trace(self, server, records):
        server.next(REFUSED, REFUSED)
        ask_openai(server.url)
        summary = records.trace().summary
        assert (summary.status, summary.model_calls, summary.steps) == ("completed", 1, 4)
        assert (summary.failed_step, summary.input_tokens) == (None, 11)
        with open_store(records.url) as store:
            assert store.verify_totals() == []

    def test_that_never_succeeds_fails_the_trace_with_its_last_attempt(self, server, records):
        server.next(REFUSED, BROKEN)
        with pytest.raises(openai.InternalServerError):
            ask_openai(server.url, 1)
        summary = records.trace().summary
        assert (summary.status, summary.model_calls) == ("failed", 1)
        assert summary.failed_step_id == records.steps("llm")[-1].step_id

    def test_because_the_connection_was_dropped_says_so(self, server, records):
        server.next(Reply(hang_up=True))
        ask_openai(server.url)
        assert told(records.steps("llm")) == [(None, None), (2, "RemoteProtocolError")]

    @pytest.mark.parametrize("post", [by_requests, by_hand], ids=["urllib3", "by hand"])
    def test_is_found_where_no_header_tells(self, post, server, records):
        server.next(REFUSED, BROKEN)
        workflow(post)(server.url)
        assert told(records.steps("llm")) == [(None, None), (2, 429), (3, 503)]

    def test_is_found_in_boto3(self, server, records):
        server.next(Reply(status=503, body=b"{}"), Reply(body=CONVERSED))
        assert converse(server.url, retries={"mode": "standard", "total_max_attempts": 3}) == "Hello"
        assert told(records.steps("llm")) == [(None, None), (2, 503)]

    def test_is_found_in_anthropics_sdk(self, server, records):
        server.next(REFUSED, REFUSED)

        @workflow
        def ask():
            with anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=1) as client:
                client.messages.create(model="m", max_tokens=1, messages=QUESTION["messages"])

        with pytest.raises(anthropic.RateLimitError):
            ask()
        assert told(records.steps("llm")) == [(None, None), (2, 429)]

    def test_is_told_from_an_equal_call_beside_it(self, server, records):
        server.next(REFUSED, REFUSED)

        @workflow
        async def both():
            async with openai.AsyncOpenAI(base_url=server.url, api_key="k") as client:
                await asyncio.gather(*(client.chat.completions.create(**QUESTION) for _ in range(2)))

        asyncio.run(both())
        steps = records.steps("llm")
        first = [step.step_id for step in steps if not step.tags]
        assert sorted(step.tags["retry_of"] for step in steps if step.tags) == sorted(first)
        assert records.trace().summary.model_calls == 2

    def test_ends_where_the_sdk_gave_up_and_the_code_called_anew(self, server, records):
        server.next(REFUSED)

        @workflow
        def twice():
            with openai.OpenAI(base_url=server.url, api_key="k", max_retries=0) as client:
                with pytest.raises(openai.RateLimitError):
                    client.chat.completions.create(**QUESTION)
                client.chat.completions.create(**QUESTION)

        twice()
        assert told(records.steps("llm")) == [(None, None), (None, None)]
        assert records.trace().summary.model_calls == 2

    def test_that_succeeded_and_is_made_again_is_two_calls(self, server, records):
        @workflow
        def twice():
            return [by_requests(server.url) for _ in range(2)]

        twice()
        assert told(records.steps("llm")) == [(None, None), (None, None)]

    def test_is_replayed_attempt_by_attempt_by_the_sdk_itself(self, server, records):
        server.next(REFUSED, BROKEN)
        said = ask_openai(server.url)
        recorded = records.steps("llm")

        def served(call):
            step = recorded[call.occurrence]
            return Answer(records.given(step), "recorded", step)

        server.seen.clear()
        with under(Playing(chat=served)) as player:
            assert ask_openai(server.url) == said
        assert server.seen == []
        assert [call.occurrence for call in player.asked if call.name == "chat"] == [0, 1, 2]
        assert told(records.steps("llm")) == told(recorded)

    def test_is_there_attempt_by_attempt_after_a_kill(self, server, records, tmp_path):
        server.next(REFUSED, Reply(before=threading.Event()))
        script = (
            "import openai, tracer\n"
            "@tracer.workflow\n"
            "def ask():\n"
            f"    client = openai.OpenAI(base_url={server.url!r}, api_key='k')\n"
            f"    client.chat.completions.create(**{QUESTION!r})\n"
            "ask()\n"
        )
        environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "PLAYHEAD_DATABASE_URL": records.url,
            "PLAYHEAD_HOME": str(tmp_path),
        }
        child = subprocess.Popen([sys.executable, "-c", script], env=environment)
        deadline = time.monotonic() + 60
        while len(server.seen) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert [each.events > 0 for each in recover()] == [True]
        steps = records.steps("llm")
        assert [step.status for step in steps] == ["failed", "interrupted"]
        assert told(steps) == [(None, None), (2, 429)]


class TestTheReaders:
    def test_show_the_attempts_as_one_call(self, server, records):
        server.next(REFUSED, REFUSED)
        ask_openai(server.url)
        trace = records.trace()
        (group,) = attempts_in(trace.steps).values()
        assert in_words(group) == "3 attempts: 429, 429, 200"
        console = Console(width=200)
        with console.capture() as captured:
            console.print(render.tree(trace))
        lines = captured.get().splitlines()
        assert any("3 attempts: 429, 429, 200" in line for line in lines)
        depths = [line.index("chat") for line in lines if "chat llm" in line or "chat[" in line]
        assert depths[0] < depths[1] == depths[2]
        rows = waterfall(laid_out(trace, now_ns=0)).rows
        assert [row.badge for row in rows[1:]] == ["3 attempts: 429, 429, 200", "attempt 2", "attempt 3"]
