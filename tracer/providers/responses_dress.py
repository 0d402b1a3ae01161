"""An answer in the format of OpenAI's responses, plain or streamed, as its SDK parses it."""

from __future__ import annotations

import json
from typing import Any, Iterator

from tracer.messages import ChatAnswer, ChatRequest
from tracer.model import Usage
from tracer.providers.dressing import JSON, STREAM, encoded, status_of
from tracer.providers.stream import event
from tracer.wire import Chunk, HttpResponse

#: Why an answer is not complete, by the words for it elsewhere.
_CUT_OFF = {"length": "max_output_tokens", "max_tokens": "max_output_tokens", "max_output_tokens": "max_output_tokens"}
_CUT_OFF |= {"content_filter": "content_filter", "refusal": "content_filter"}


def dressed(request: ChatRequest, answer: ChatAnswer) -> HttpResponse:
    if answer.error is not None:
        return HttpResponse(status_of(answer), JSON, (Chunk(0, encoded({"error": answer.error})),))
    whole = _whole(request, answer)
    if not request.stream:
        return HttpResponse(200, JSON, (Chunk(0, encoded(whole)),))
    events = [{**each, "sequence_number": number} for number, each in enumerate(_streamed(whole))]
    sent = (event(json.dumps(each, ensure_ascii=False), each["type"]) for each in events)
    return HttpResponse(200, STREAM, tuple(Chunk(0, each) for each in sent))


def _whole(request: ChatRequest, answer: ChatAnswer) -> dict[str, Any]:
    reason = _CUT_OFF.get(answer.finish_reason or "")
    return {
        "id": answer.response_id or "resp_playhead",
        "object": "response",
        "created_at": 0,
        "status": "completed" if reason is None else "incomplete",
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "instructions": None,
        "metadata": {},
        "model": answer.model or request.model or "",
        "output": list(_items(answer)),
        "parallel_tool_calls": True,
        "temperature": request.parameters.get("temperature"),
        "tool_choice": request.parameters.get("tool_choice", "auto"),
        "tools": list(request.tools),
        "top_p": request.parameters.get("top_p"),
        "usage": _usage(answer.usage),
    }


def _items(answer: ChatAnswer) -> Iterator[dict[str, Any]]:
    message = answer.message
    content: list[dict[str, Any]]
    if message.reasoning:
        content = [{"type": "reasoning_text", "text": message.reasoning}]
        yield {"type": "reasoning", "id": "rs_playhead", "summary": [], "content": content}
    if message.content or not message.tool_calls:
        content = [{"type": "output_text", "text": message.content, "annotations": [], "logprobs": []}]
        done = {"type": "message", "id": "msg_playhead", "status": "completed"}
        yield {**done, "role": "assistant", "content": content}
    for place, call in enumerate(message.tool_calls):
        done = {"type": "function_call", "id": f"fc_playhead_{place}", "status": "completed"}
        yield {**done, "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _streamed(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun = {**whole, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(whole["output"]):
        at = {"output_index": index}
        empty = {**item, "content": []} if "content" in item else {**item, "arguments": ""}
        yield {"type": "response.output_item.added", **at, "item": {**empty, "status": "in_progress"}}
        yield from _pieces(item, {**at, "item_id": item["id"]})
        yield {"type": "response.output_item.done", **at, "item": item}
    yield {"type": f"response.{whole['status']}", "response": whole}


def _pieces(item: dict[str, Any], at: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What an item says, in one piece."""
    if item["type"] == "function_call":
        arguments = item["arguments"]
        yield {"type": "response.function_call_arguments.delta", **at, "delta": arguments}
        yield {"type": "response.function_call_arguments.done", **at, "name": item["name"], "arguments": arguments}
        return
    at = {**at, "content_index": 0}
    part = item["content"][0]
    name, said = part["type"], part["text"]
    logged: dict[str, Any] = {"logprobs": []} if name == "output_text" else {}
    yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
    yield {"type": f"response.{name}.delta", **at, "delta": said, **logged}
    yield {"type": f"response.{name}.done", **at, "text": said, **logged}
    yield {"type": "response.content_part.done", **at, "part": part}


def _usage(usage: Usage) -> dict[str, Any] | None:
    """None where nothing was counted: an SDK reads that as unknown, and zeros would be a claim."""
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    asked, said = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens or 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": asked + said,
    }
