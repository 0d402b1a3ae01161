"""A recorded model call read as a conversation: an HTTP exchange, or the normal form of one that came as a span.
Whatever can't be read that way is shown as the value that it is."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from tracer import providers
from tracer.messages import ChatAnswer, ChatRequest
from tracer.wire import HttpRequest, HttpResponse
from web.view.conversation import Conversation, answered, asked
from web.view.payload import PANEL, Limits


def said(value: Any, *, request: Any = None, limits: Limits = PANEL) -> Conversation | None:
    """The turns in a request or a response (which needs its request to know the format); None where there are none."""
    if isinstance(value, HttpRequest):
        return _asked(value, limits)
    if isinstance(value, ChatRequest) and value.messages:
        return asked(value, limits=limits)
    if isinstance(value, ChatAnswer):
        return answered(value, limits=limits)
    if isinstance(value, HttpResponse) and isinstance(request, HttpRequest):
        answer = providers.read(request, value)
        view = answered(answer, limits=limits) if answer is not None else None
        return view if view is not None and (view.turns or view.error) else None
    return None


def request_in(value: Any) -> ChatRequest | None:
    """What a recorded request asks a model, in normal form; None where it asks none."""
    if not isinstance(value, HttpRequest):
        return None
    parts, body = urlsplit(value.url), json.dumps(value.body, default=repr).encode()
    wire_format = providers.find(value.method, parts.hostname or "", parts.path, body)
    return None if wire_format is None or wire_format.kind != "llm" else wire_format.request(body)


def _asked(request: HttpRequest, limits: Limits) -> Conversation | None:
    told = request_in(request)
    view = None if told is None else asked(told, limits=limits)
    return view if view is not None and view.turns else None


def answer_text(request: Any, value: Any) -> str | None:
    """What a recorded response says in words; None where it is no model's answer."""
    answer = value if isinstance(value, ChatAnswer) else None
    if isinstance(value, HttpResponse) and isinstance(request, HttpRequest):
        answer = providers.read(request, value)
    if answer is None:
        return None
    calls = ", ".join(f"{call.name}({call.arguments})" for call in answer.message.tool_calls)
    return answer.message.content or calls
