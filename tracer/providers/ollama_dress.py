"""An answer in Ollama's own format, plain or streamed, as its client parses it."""

from __future__ import annotations

from typing import Any, Iterator

from tracer.messages import ChatAnswer, ChatRequest
from tracer.providers.dressing import JSON, arguments_of, encoded, status_of
from tracer.wire import Chunk, HttpResponse

_LINES = (("content-type", "application/x-ndjson"),)


def dressed(request: ChatRequest, answer: ChatAnswer, *, is_chat: bool) -> HttpResponse:
    if answer.error is not None:
        error = {"error": str(answer.error.get("message", ""))}
        return HttpResponse(status_of(answer), JSON, (Chunk(0, encoded(error)),))
    head = {"model": answer.model or request.model or "", "created_at": "1970-01-01T00:00:00Z"}
    said, last = list(_said(answer, is_chat=is_chat)), _last(answer)
    if request.stream:
        lines = [{**head, **each, "done": False} for each in said] + [{**head, **_empty(is_chat=is_chat), **last}]
        return HttpResponse(200, _LINES, tuple(Chunk(0, encoded(line) + b"\n") for line in lines))
    whole: dict[str, Any] = {**head, **_empty(is_chat=is_chat), **last}
    for each in said:
        whole = {**whole, **each, "message": {**whole["message"], **each["message"]}} if is_chat else {**whole, **each}
    return HttpResponse(200, JSON, (Chunk(0, encoded(whole)),))


def _said(answer: ChatAnswer, *, is_chat: bool) -> Iterator[dict[str, Any]]:
    message = answer.message
    if not is_chat:
        yield from (
            {name: said} for name, said in (("thinking", message.reasoning), ("response", message.content)) if said
        )
        return
    calls = [
        {"id": call.id, "function": {"name": call.name, "arguments": arguments_of(call)}} for call in message.tool_calls
    ]
    for name, said in (("thinking", message.reasoning), ("content", message.content), ("tool_calls", calls)):
        if said:
            yield {"message": {"role": "assistant", name: said}}


def _empty(*, is_chat: bool) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": ""}} if is_chat else {"response": ""}


def _last(answer: ChatAnswer) -> dict[str, Any]:
    counts = (("prompt_eval_count", answer.usage.input_tokens), ("eval_count", answer.usage.output_tokens))
    counted = {name: tokens for name, tokens in counts if tokens is not None}
    return {"done": True, "done_reason": answer.finish_reason or "stop", **counted}
