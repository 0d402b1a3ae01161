"""An answer in Google's generateContent format, plain or streamed (as ``alt=sse``), as its SDK parses it."""

from __future__ import annotations

from typing import Any

from tracer.messages import ChatAnswer, ChatRequest
from tracer.model import Usage
from tracer.providers.dressing import JSON, STREAM, arguments_of, encoded, status_of
from tracer.providers.stream import event
from tracer.wire import Chunk, HttpResponse

#: The words of other formats for how an answer ended, in Google's; its own stay as they are.
_FINISHED = {"stop": "STOP", "tool_calls": "STOP", "end_turn": "STOP", "tool_use": "STOP", "stop_sequence": "STOP"}
_FINISHED |= {"length": "MAX_TOKENS", "max_tokens": "MAX_TOKENS", "content_filter": "SAFETY", "refusal": "SAFETY"}
_STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
_STATUSES |= {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}


def dressed(request: ChatRequest, answer: ChatAnswer) -> HttpResponse:
    if answer.error is not None:
        status = status_of(answer)
        error = {"code": status, "status": answer.error_type or _STATUSES.get(status, "INTERNAL"), **answer.error}
        return HttpResponse(status, JSON, (Chunk(0, encoded({"error": error})),))
    head = {"responseId": answer.response_id or "playhead", "modelVersion": answer.model or request.model or ""}
    parts, finished = _parts(answer), _FINISHED.get(answer.finish_reason or "", answer.finish_reason or "STOP")
    last = {"finishReason": finished, "index": 0}
    usage = _usage(answer.usage)
    if not request.stream:
        whole = {"candidates": [{"content": {"role": "model", "parts": parts}, **last}], **usage, **head}
        return HttpResponse(200, JSON, (Chunk(0, encoded(whole)),))
    said: list[dict[str, Any]] = [
        {"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}], **head} for part in parts
    ]
    said.append({"candidates": [{"content": {"role": "model", "parts": []}, **last}], **usage, **head})
    return HttpResponse(200, STREAM, tuple(Chunk(0, event(encoded(each).decode())) for each in said))


def _parts(answer: ChatAnswer) -> list[dict[str, Any]]:
    message = answer.message
    parts: list[dict[str, Any]] = [{"text": message.reasoning, "thought": True}] if message.reasoning else []
    parts += [{"text": message.content}] if message.content or not message.tool_calls else []
    for call in message.tool_calls:
        named = {"id": call.id} if call.id else {}
        parts.append({"functionCall": {**named, "name": call.name, "args": arguments_of(call)}})
    return parts


def _usage(usage: Usage) -> dict[str, Any]:
    """What was counted, and no more. What was thought stands beside what was said."""
    asked, said, thought = usage.input_tokens, usage.output_tokens, usage.reasoning_tokens
    counts = {
        "promptTokenCount": asked,
        "candidatesTokenCount": None if said is None else said - (thought or 0),
        "totalTokenCount": None if asked is None or said is None else asked + said,
        "thoughtsTokenCount": thought,
        "cachedContentTokenCount": usage.cache_read_tokens,
    }
    known = {name: tokens for name, tokens in counts.items() if tokens is not None}
    return {"usageMetadata": known} if known else {}
