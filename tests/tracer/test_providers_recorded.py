"""Recorded exchanges sent through a real client again: what the store then says is what the format read."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

import tracer
from tests.loopback import Loopback, Reply
from tests.tracer.corpus import Exchange, model_calls
from tests.tracer.http_support import Records
from tracer import providers, workflow
from tracer.http.read import facts_of
from tracer.messages import ChatAnswer
from tracer.providers import MESSAGES
from tracer.wire import HttpResponse


def one_of_each() -> dict[str, Exchange]:
    """By format, framing and whether it failed, the smallest exchange."""
    found: dict[str, Exchange] = {}
    for exchange in sorted(
        (each for group in model_calls().values() for each in group), key=lambda e: (len(e.answered), e.id)
    ):
        if exchange.asked.startswith(b"{") and exchange.answered and _is_json(exchange.asked):
            ended = "failed" if exchange.status >= 400 else exchange.how or "plain"
            found.setdefault(f"{type(exchange.format).__name__}-{ended}", exchange)
    return dict(sorted(found.items()))


def _is_json(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYHEAD_STRICT", "1")
    yield Records(tmp_path)
    tracer.shutdown()


@workflow
def ask(url: str, body: bytes) -> Any:
    with httpx.Client() as client:
        return client.post(url, content=body, headers={"content-type": "application/json"})


@pytest.mark.parametrize("name", one_of_each())
class TestACallInEveryFormat:
    def test_is_recorded_as_its_format_reads_it(self, name, records):
        exchange = one_of_each()[name]
        answer = exchange.answer
        told = {"content-type": exchange.headers.get("content-type", "application/json")}
        told |= {key: value for key, value in exchange.headers.items() if key.startswith("x-amzn-bedrock")}
        with Loopback() as server:
            server.next(Reply(status=exchange.status, headers=told, body=exchange.answered))
            given = ask(server.url.removesuffix("/v1") + exchange.path, exchange.asked)
        assert given.content == exchange.answered
        step = records.only()
        call = step.call
        assert (step.kind, step.outcome) == (exchange.format.kind, "failed" if answer.error else "ok")
        assert (call.model_asked, call.model) == (exchange.request.model, answer.model)
        assert (call.usage.input_tokens, call.usage.output_tokens) == (
            answer.usage.input_tokens,
            answer.usage.output_tokens,
        )
        assert (call.finish_reason, call.response_id) == (answer.finish_reason, answer.response_id)
        # only a first word has a time, and only what speaks is a first word
        is_timed = answer.error is None and (
            exchange.how is None or bool(answer.message.content or answer.message.tool_calls)
        )
        assert (call.first_token_ns is not None) is is_timed
        if answer.error is not None:
            assert answer.error["message"] in step.failure.message
        again = providers.read(records.sent(step), records.given(step))
        assert again.message == answer.message

    def test_can_be_answered_from_an_edit_where_the_format_has_a_dress(self, name, records):
        exchange = one_of_each()[name]
        with Loopback() as server:
            server.next(Reply(body=exchange.answered))
            ask(server.url.removesuffix("/v1") + exchange.path, exchange.asked)
        worn = providers.dress(records.sent(records.only()), ChatAnswer.of("edited"))
        has_dress = type(exchange.format).__name__ in {
            "OpenAIChat",
            "OpenAIResponses",
            "AnthropicMessages",
            "Gemini",
            "Ollama",
        }
        assert (worn is not None) is has_dress
        if worn is not None:
            assert providers.read(records.sent(records.only()), worn).message.content == "edited"


class TestTheFactsOfACall:
    def test_hold_the_error_how_long_to_wait_and_the_providers_id(self):
        headers = (("Content-Type", "application/json"), ("Retry-After", "7"), ("Request-Id", "req_1"))
        body = b'{"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}'
        facts = facts_of(MESSAGES, HttpResponse(429, headers, ()), [(1, body)], after_ns=1)
        assert {name: facts.call[name] for name in ("error_type", "retry_after_s", "request_id")} == {
            "error_type": "rate_limit_error",
            "retry_after_s": 7.0,
            "request_id": "req_1",
        }

    def test_hold_only_what_is_known(self):
        facts = facts_of(MESSAGES, HttpResponse(200, (), ()), [(1, b'{"type": "message"}')], after_ns=1)
        assert not {"error_type", "retry_after_s", "request_id", "usage", "model"} & facts.call.keys()
