"""An answer in OpenAI's chat format, plain or streamed, as its SDK parses it."""

from __future__ import annotations

from typing import Any, Iterator

from tracer.messages import ChatAnswer, ChatRequest
from tracer.model import Usage
from tracer.providers.base import mapping
from tracer.providers.dressing import JSON, STREAM, encoded, status_of
from tracer.providers.stream import DONE, event
from tracer.wire import Chunk, HttpResponse

#: Anthropic's words for how an answer ended, in OpenAI's; its own stay as they are.
FINISHED = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
FINISHED |= {"refusal": "content_filter", "pause_turn": "stop", "model_context_window_exceeded": "length"}


def finish_of(answer: ChatAnswer) -> str | None:
    if answer.message.tool_calls and answer.finish_reason in {None, "stop"}:
        return "tool_calls"
    return FINISHED.get(answer.finish_reason or "", answer.finish_reason)


def dressed(request: ChatRequest, answer: ChatAnswer) -> HttpResponse:
    if answer.error is not None:
        return HttpResponse(status_of(answer), JSON, (Chunk(0, encoded({"error": answer.error})),))
    if not request.stream:
        return HttpResponse(200, JSON, (Chunk(0, encoded(_plain(request, answer))),))
    asked_for_usage = mapping(request.parameters.get("stream_options")).get("include_usage") is True
    events = (*(encoded(chunk).decode() for chunk in _streamed(request, answer, with_usage=asked_for_usage)), DONE)
    return HttpResponse(200, STREAM, tuple(Chunk(0, event(data)) for data in events))


def _plain(request: ChatRequest, answer: ChatAnswer) -> dict[str, Any]:
    choice = {"index": 0, "message": _message(answer), "finish_reason": finish_of(answer), "logprobs": None}
    return {**_head(request, answer, "chat.completion"), "choices": [choice], "usage": usage(answer.usage)}


def _streamed(request: ChatRequest, answer: ChatAnswer, *, with_usage: bool) -> Iterator[dict[str, Any]]:
    head = _head(request, answer, "chat.completion.chunk")
    message = _message(answer)
    calls = message.pop("tool_calls", [])
    # The role comes first and alone, as OpenAI sends it; then each thing that was said.
    deltas = [{"role": message.pop("role"), "content": ""}]
    deltas += [{field: said} for field, said in message.items() if said]
    deltas += [{"tool_calls": [{"index": place, **call}]} for place, call in enumerate(calls)]
    for delta in deltas:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish_of(answer)}]}
    if with_usage:
        yield {**head, "choices": [], "usage": usage(answer.usage)}


def _head(request: ChatRequest, answer: ChatAnswer, kind: str) -> dict[str, Any]:
    model = answer.model or request.model or ""
    return {"id": answer.response_id or "chatcmpl-playhead", "object": kind, "created": 0, "model": model}


def _message(answer: ChatAnswer) -> dict[str, Any]:
    message = answer.message
    worn: dict[str, Any] = {"role": "assistant", "content": message.content or (None if message.tool_calls else "")}
    if message.reasoning:
        worn["reasoning_content"] = message.reasoning
    if message.tool_calls:
        worn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return worn


def usage(counted: Usage) -> dict[str, Any] | None:
    """None where nothing was counted: an SDK reads that as unknown, and zeros would be a claim."""
    if counted.input_tokens is None and counted.output_tokens is None:
        return None
    asked, said = counted.input_tokens or 0, counted.output_tokens or 0
    worn: dict[str, Any] = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
    if counted.cache_read_tokens is not None:
        worn["prompt_tokens_details"] = {"cached_tokens": counted.cache_read_tokens}
    if counted.reasoning_tokens is not None:
        worn["completion_tokens_details"] = {"reasoning_tokens": counted.reasoning_tokens}
    return worn
