"""A recorded value as a reader compares it: a model call's bytes become the request's body and the answer's message."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tracer import providers
from tracer.model import Step
from tracer.wire import HttpRequest, HttpResponse


def readable(step: Step, request: Any, value: Any) -> Any:
    """``value``, or for an HTTP response of a known format what it says. ``request`` is the step's recorded input."""
    if isinstance(value, HttpRequest):
        return {"method": value.method, "path": urlsplit(value.url).path, "body": value.body}
    if not isinstance(value, HttpResponse) or not isinstance(request, HttpRequest):
        return value
    answer = providers.read(request, value)
    if answer is None:
        return {"status": value.status, "body": value.raw.decode("utf-8", "replace")}
    said = {"status": value.status, "text": answer.message.content, "tool_calls": answer.message.tool_calls}
    if answer.error is not None:
        said["error"] = answer.error
    return {key: part for key, part in said.items() if part not in ((), None)}
