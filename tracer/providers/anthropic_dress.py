"""An answer in the format of Anthropic's messages, plain or streamed, as its SDK parses it."""

from __future__ import annotations

import json
from typing import Any, Iterator

from tracer.messages import ChatAnswer, ChatRequest
from tracer.model import Usage
from tracer.providers.dressing import JSON, STREAM, arguments_of, encoded, status_of
from tracer.providers.stream import event
from tracer.wire import Chunk, HttpResponse

#: OpenAI's words for how an answer ended, in Anthropic's; its own stay as they are.
STOPPED = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
_TYPES |= {413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error"}


def dressed(request: ChatRequest, answer: ChatAnswer) -> HttpResponse:
    if answer.error is not None:
        status = status_of(answer)
        error = {"type": answer.error_type or _TYPES.get(status, "api_error"), **answer.error}
        return HttpResponse(status, JSON, (Chunk(0, encoded({"type": "error", "error": error})),))
    if not request.stream:
        return HttpResponse(200, JSON, (Chunk(0, encoded(_plain(request, answer))),))
    events = (event(json.dumps(each, ensure_ascii=False), each["type"]) for each in _streamed(request, answer))
    return HttpResponse(200, STREAM, tuple(Chunk(0, each) for each in events))


def _plain(request: ChatRequest, answer: ChatAnswer) -> dict[str, Any]:
    asks = bool(answer.message.tool_calls) and answer.finish_reason in {None, "stop"}
    return {
        "id": answer.response_id or "msg_playhead",
        "type": "message",
        "role": "assistant",
        "model": answer.model or request.model or "",
        "content": list(_blocks(answer)),
        "stop_reason": "tool_use" if asks else STOPPED.get(answer.finish_reason or "", answer.finish_reason),
        "stop_sequence": None,
        "usage": usage(answer.usage),
    }


def _blocks(answer: ChatAnswer) -> Iterator[dict[str, Any]]:
    message = answer.message
    if message.reasoning:
        yield {"type": "thinking", "thinking": message.reasoning, "signature": ""}
    if message.content or not message.tool_calls:
        yield {"type": "text", "text": message.content}
    for call in message.tool_calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments_of(call)}


def _streamed(request: ChatRequest, answer: ChatAnswer) -> Iterator[dict[str, Any]]:
    whole = _plain(request, answer)
    at_first = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 0}}
    yield {"type": "message_start", "message": at_first}
    for index, block in enumerate(whole["content"]):
        empty, deltas = _pieces(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ending, "usage": {"output_tokens": whole["usage"]["output_tokens"]}}
    yield {"type": "message_stop"}


def _pieces(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it begins, and what is added to it."""
    match block["type"]:
        case "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": block["text"]}]
        case "thinking":
            return {**block, "thinking": ""}, [{"type": "thinking_delta", "thinking": block["thinking"]}]
    written = json.dumps(block["input"], ensure_ascii=False)
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": written}]


def usage(counted: Usage) -> dict[str, Any]:
    """Its SDK adds these up, so what nobody counted is a zero; ``uncounted`` keeps it from being read as one."""
    if counted.input_tokens is None and counted.output_tokens is None:
        return {"input_tokens": 0, "output_tokens": 0, "uncounted": True}
    if (counted.fresh_input_tokens or 0) < 0:  # parts that don't add up: the total is what can be said
        return {"input_tokens": counted.input_tokens, "output_tokens": counted.output_tokens or 0}
    parts = (
        ("cache_read_input_tokens", counted.cache_read_tokens),
        ("cache_creation_input_tokens", counted.cache_write_tokens),
    )
    return {
        "input_tokens": counted.fresh_input_tokens or 0,
        "output_tokens": counted.output_tokens or 0,
        **{name: tokens for name, tokens in parts if tokens is not None},
    }
