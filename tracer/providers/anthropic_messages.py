"""Anthropic's messages: its own API, Vertex, Bedrock's invoke, and servers that speak it.

Its ``input_tokens`` leave out what was read from and written to the cache; the totals here include both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Mapping

from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.model import Usage
from tracer.providers.anthropic_dress import dressed
from tracer.providers.base import count, mapping, parse, sequence, text, total_of, type_of
from tracer.providers.headers import Headers
from tracer.providers.reader import Json, Reader
from tracer.wire import HttpResponse

_OWN_FIELDS = ("model", "messages", "system", "tools", "stream")
#: What a delta carries, by its type, and the field of its block that this is added to.
_DELTAS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "partial_json"),
}


@dataclass(frozen=True, slots=True)
class AnthropicMessages(Reader):
    """``model`` and ``stream`` are what the address says, on Vertex; elsewhere the body does."""

    model: str | None = None
    stream: bool = False
    path = "/messages"

    def request(self, body: bytes) -> ChatRequest:
        asked = parse(body)
        system, _ = text_of(asked.get("system"))
        turns = (turn for item in sequence(asked.get("messages")) for turn in turns_of(mapping(item)))
        return ChatRequest(
            model=text(asked.get("model")) or self.model,
            messages=(*([Message("system", system)] if system else []), *turns),
            parameters={key: value for key, value in asked.items() if key not in _OWN_FIELDS},
            tools=tuple(tool for tool in sequence(asked.get("tools")) if isinstance(tool, dict)),
            stream=asked.get("stream") is True or self.stream,
        )

    def said(self, given: Json, headers: Headers) -> ChatAnswer:  # noqa: ARG002 - the format's shape
        return ChatAnswer(
            message=answer_of(given.get("content")),
            model=text(given.get("model")),
            finish_reason=text(given.get("stop_reason")),
            usage=usage_of(given.get("usage")),
            response_id=text(given.get("id")),
        )

    def joined(self, events: Iterable[Json]) -> Json:
        return joined(events)

    def dress(self, request: ChatRequest, answer: ChatAnswer) -> HttpResponse:
        return dressed(request, answer)

    def speaks(self, data: str) -> bool:
        given = parse(data)
        delta, block = mapping(given.get("delta")), mapping(given.get("content_block"))
        said = (delta.get(field) for field in ("text", "thinking", "partial_json"))
        return any(said) or type_of(block) not in {"", "text", "thinking"} or bool(block.get("text"))

    def ends(self, data: str) -> bool:
        return type_of(parse(data)) in {"message_stop", "error"}


def turns_of(raw: Mapping[str, Any]) -> Iterator[Message]:
    """One message as turns: the tool results in it are turns of their own, before what the user adds."""
    role, content = text(raw.get("role")) or "user", raw.get("content")
    if role == "assistant":
        yield answer_of(content)
        return
    rest = [part for part in sequence(content) if mapping(part).get("type") != "tool_result"]
    for part in sequence(content):
        if mapping(part).get("type") == "tool_result":
            said, parts = text_of(part.get("content"))
            yield Message("tool", said, tool_call_id=text(part.get("tool_use_id")), parts=parts)
    if rest or not sequence(content):
        said, parts = text_of(content if isinstance(content, str) else rest)
        yield Message(role, said, parts=parts)


def text_of(content: Any) -> tuple[str, tuple[Mapping[str, Any], ...]]:
    """The text of a content, and the parts that are none."""
    if isinstance(content, str):
        return content, ()
    blocks = [part for part in sequence(content) if isinstance(part, dict)]
    said = "".join(text(block.get("text")) or "" for block in blocks if block.get("type") == "text")
    return said, tuple(block for block in blocks if block.get("type") != "text")


def answer_of(content: Any) -> Message:
    said, parts = text_of(content)
    return Message(
        "assistant",
        said,
        reasoning="".join(text(part.get("thinking")) or "" for part in parts if part.get("type") == "thinking") or None,
        tool_calls=tuple(_tool_call_of(part) for part in parts if part.get("type") == "tool_use"),
        # Tools that run at the provider's are no calls that anyone has to answer.
        parts=tuple(part for part in parts if type_of(part) not in {"thinking", "tool_use"}),
    )


def _tool_call_of(block: Mapping[str, Any]) -> ToolCall:
    # An empty piece is all that a stream has for a tool without parameters.
    written = text(block.get("partial_json")) or json.dumps(block.get("input", {}), ensure_ascii=False)
    return ToolCall(id=text(block.get("id")) or "", name=text(block.get("name")) or "", arguments=written)


def usage_of(raw: Any) -> Usage:
    if not isinstance(raw, dict) or not raw or raw.get("uncounted"):
        return Usage()
    # What was spent on compacting a conversation stands in its iteration alone. (An advisor's is another model's.)
    compacted = [mapping(turn) for turn in sequence(raw.get("iterations")) if mapping(turn).get("type") == "compaction"]
    read, written, fresh, said = (
        total_of(*(count(part.get(name)) for part in (raw, *compacted)))
        for name in ("cache_read_input_tokens", "cache_creation_input_tokens", "input_tokens", "output_tokens")
    )
    return Usage(
        input_tokens=None if fresh is None else total_of(fresh, read, written),
        output_tokens=said,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=count(mapping(raw.get("cache_creation")).get("ephemeral_1h_input_tokens")),
        reasoning_tokens=count(mapping(raw.get("output_tokens_details")).get("thinking_tokens")),
        web_searches=count(mapping(raw.get("server_tool_use")).get("web_search_requests")),
        raw=raw,
    )


def joined(events: Iterable[Json]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    usage: dict[str, Any] = {}
    blocks: dict[Any, dict[str, Any]] = {}
    for event in events:
        index = event.get("index") if isinstance(event.get("index"), int) else 0
        match event.get("type"):
            case "message_start":
                whole = {**whole, **mapping(event.get("message"))}
                usage |= mapping(whole.get("usage"))
            case "content_block_start":
                blocks[index] = dict(mapping(event.get("content_block")))
            case "content_block_delta":
                _add(blocks.setdefault(index, {"type": "text"}), mapping(event.get("delta")))
            case "message_delta":
                whole |= {key: value for key, value in mapping(event.get("delta")).items() if value is not None}
                usage |= {key: value for key, value in mapping(event.get("usage")).items() if value is not None}
        if event.get("type") == "error" or "error" in event or "exception" in event:
            whole["error"] = event.get("error") or event.get("exception")
    return {**whole, "content": list(blocks.values()), "usage": usage}


def _add(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    carried, kept = _DELTAS.get(str(delta.get("type")), ("", ""))
    piece = delta.get(carried)
    if isinstance(piece, str):
        before = block.get(kept)
        block[kept] = (before if isinstance(before, str) else "") + piece
