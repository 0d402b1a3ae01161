"""Faults on purpose: what ``fail(step, fault)`` makes of a call.

At the wire a fault is what the network or the provider would have given: an exception of the HTTP client, an error
answer, or a body that is not what was asked for. A step that makes no model call raises the nearest plain exception.
"""

from __future__ import annotations

import json
from typing import Any, Callable

from tracer import providers
from tracer.messages import ChatAnswer
from tracer.model import Step
from tracer.player import Answer, Call, Decision, Raise
from tracer.wire import Chunk, HttpRequest, HttpResponse

_JSON = (("content-type", "application/json"),)


def injected(fault: str, call: Call, source: Step | None) -> Decision:
    """The decision that makes this call fail with ``fault``."""
    request = call.arguments[0][0] if call.arguments[0] else None
    if fault == "timeout":
        return Raise(TimeoutError("injected: the call timed out"), "injected", source)
    if fault == "connection_reset":
        return Raise(ConnectionResetError("injected: the connection was reset"), "injected", source)
    if not isinstance(request, HttpRequest):
        return Raise(RuntimeError(f"injected: {fault.replace('_', ' ')}"), "injected", source)
    return Answer(_ANSWERS[fault](request), "injected", source)


def _refused(status: int, kind: str, *headers: tuple[str, str]) -> Callable[[HttpRequest], HttpResponse]:
    body = json.dumps({"error": {"message": f"injected: {kind}", "type": kind, "code": kind}}).encode()
    return lambda _: HttpResponse(status, (*_JSON, *headers), (Chunk(0, body),))


def _said(text: str) -> Callable[[HttpRequest], HttpResponse]:
    def answer(request: HttpRequest) -> HttpResponse:
        return providers.dress(request, ChatAnswer.of(text)) or HttpResponse(200, _JSON, (Chunk(0, text.encode()),))

    return answer


_ANSWERS: dict[str, Callable[[HttpRequest], Any]] = {
    "rate_limited": _refused(429, "rate_limit_exceeded", ("retry-after", "1")),
    "server_error": _refused(500, "server_error"),
    "bad_json": _said('{"this": "is cut o'),
    "empty": _said(""),
}
