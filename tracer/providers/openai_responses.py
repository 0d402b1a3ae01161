"""OpenAI's responses: OpenAI, Azure, OpenRouter, DeepSeek, Bedrock's OpenAI endpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Iterable, Iterator, Mapping

from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.model import Usage
from tracer.providers.base import count, mapping, parse, sequence, text, type_of
from tracer.providers.headers import Headers
from tracer.providers.reader import Json, Reader
from tracer.providers.responses_dress import dressed
from tracer.wire import HttpResponse

_OWN_FIELDS = ("model", "input", "instructions", "tools", "stream")
_CALLS = ("function_call", "custom_tool_call")
_RESULTS = ("function_call_output", "custom_tool_call_output")
#: The events that carry the whole answer as far as it has come.
_WHOLE = ("response.created", "response.queued", "response.in_progress", "response.completed", "response.incomplete")
_LAST = ("response.completed", "response.incomplete", "response.failed", "error")
_DELTAS = ("output_text", "refusal", "reasoning_text", "reasoning_summary_text", "function_call_arguments")
_SPEAKING = tuple(f"response.{said}.delta" for said in (*_DELTAS, "custom_tool_call_input"))


@dataclass(frozen=True, slots=True)
class OpenAIResponses(Reader):
    """``/responses/compact``, which shortens a conversation, is read alike."""

    path: str = "/responses"

    def request(self, body: bytes) -> ChatRequest:
        asked = parse(body)
        system, given = text(asked.get("instructions")), asked.get("input")
        items = [{"content": given}] if isinstance(given, str) else map(mapping, sequence(given))
        return ChatRequest(
            model=text(asked.get("model")),
            messages=(*([Message("system", system)] if system else []), *_turns(items)),
            parameters={key: value for key, value in asked.items() if key not in _OWN_FIELDS},
            tools=tuple(tool for tool in sequence(asked.get("tools")) if isinstance(tool, dict)),
            stream=asked.get("stream") is True,
        )

    def said(self, given: Json, headers: Headers) -> ChatAnswer:  # noqa: ARG002 - the format's shape
        output = [item for item in sequence(given.get("output")) if isinstance(item, dict)]
        usage = _usage_of(given.get("usage"))
        if usage.raw is not None:
            # Billed beside the tokens and counted nowhere else. Opening a page that was found is free.
            usage = replace(usage, web_searches=sum(map(_is_search, output)))
        return ChatAnswer(
            message=_answer_of(output),
            model=text(given.get("model")),
            # It has no word of its own for how an answer ended but this one, and the reason where it was cut off.
            finish_reason=text(mapping(given.get("incomplete_details")).get("reason")) or text(given.get("status")),
            usage=usage,
            response_id=text(given.get("id")),
        )

    def joined(self, events: Iterable[Json]) -> Json:
        return _joined(events)

    def dress(self, request: ChatRequest, answer: ChatAnswer) -> HttpResponse:
        return dressed(request, answer)

    def speaks(self, data: str) -> bool:
        event = parse(data)
        return type_of(event) in _SPEAKING and bool(event.get("delta"))

    def ends(self, data: str) -> bool:
        return type_of(parse(data)) in _LAST or data.strip() == "[DONE]"


def _turns(items: Iterable[Mapping[str, Any]]) -> Iterator[Message]:
    """Input items as turns: what an assistant thought, said and called stands in one turn, as it came in one answer."""
    held: list[Mapping[str, Any]] = []
    for item in items:
        kind, role = type_of(item), text(item.get("role"))
        if kind in _RESULTS or role not in {None, "assistant"} or (not kind and role is None):
            if held:
                yield _answer_of(held)
                held = []
            yield _turn(item)
        else:
            held.append(item)
    if held:
        yield _answer_of(held)


def _turn(item: Mapping[str, Any]) -> Message:
    if type_of(item) in _RESULTS:
        said, parts = _text_of(item.get("output"))
        return Message("tool", said, tool_call_id=text(item.get("call_id")), parts=parts)
    said, parts = _text_of(item.get("content"))
    if type_of(item) not in {"", "message"}:
        parts = (*parts, item)
    return Message(text(item.get("role")) or "user", said, parts=parts)


def _text_of(content: Any) -> tuple[str, tuple[Mapping[str, Any], ...]]:
    if isinstance(content, str):
        return content, ()
    said: list[str] = []
    parts: list[Mapping[str, Any]] = []
    for part in sequence(content):
        words = mapping(part).get("text", mapping(part).get("refusal"))
        if isinstance(words, str):
            said.append(words)
        elif isinstance(part, dict):
            parts.append(part)
    return "".join(said), tuple(parts)


def _answer_of(items: Iterable[Mapping[str, Any]]) -> Message:
    said, thoughts, calls = "", "", []
    parts: list[Mapping[str, Any]] = []
    for item in items:
        kind = type_of(item)
        if kind in _CALLS:
            calls.append(_tool_call_of(item))
        elif kind == "reasoning":
            thought = _text_of(item.get("content"))[0] or _text_of(item.get("summary"))[0]
            thoughts += thought
        elif kind == "message" or (not kind and item.get("role") == "assistant"):
            words, others = _text_of(item.get("content"))
            said += words
            parts += others
        else:
            parts.append(item)  # a tool of the provider's own, say: nobody has to answer it
    return Message("assistant", said, reasoning=thoughts or None, tool_calls=tuple(calls), parts=tuple(parts))


def _tool_call_of(item: Mapping[str, Any]) -> ToolCall:
    arguments = item.get("arguments", item.get("input", ""))
    return ToolCall(
        id=text(item.get("call_id")) or text(item.get("id")) or "",
        name=text(item.get("name")) or "",
        arguments=arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False),
    )


def _is_search(item: Mapping[str, Any]) -> bool:
    return item.get("type") == "web_search_call" and mapping(item.get("action")).get("type", "search") == "search"


def _usage_of(raw: Any) -> Usage:
    if not isinstance(raw, dict) or not raw:
        return Usage()
    inputs, outputs = mapping(raw.get("input_tokens_details")), mapping(raw.get("output_tokens_details"))
    return Usage(
        input_tokens=count(raw.get("input_tokens")),
        output_tokens=count(raw.get("output_tokens")),
        cache_read_tokens=count(inputs.get("cached_tokens")),
        cache_write_tokens=count(inputs.get("cache_write_tokens")),
        reasoning_tokens=count(outputs.get("reasoning_tokens")),
        raw=raw,
    )


def _joined(events: Iterable[Json]) -> dict[str, Any]:
    """The last event that carries the whole answer; until one does, what its items said."""
    whole: dict[str, Any] = {}
    items: dict[Any, dict[str, Any]] = {}
    for event in events:
        kind, index = type_of(event), event.get("output_index")
        index = index if isinstance(index, int) else 0
        if kind in _WHOLE or kind == "response.failed":
            whole = {**whole, **mapping(event.get("response"))}
        elif kind in {"response.output_item.added", "response.output_item.done"}:
            items[index] = dict(mapping(event.get("item")))
        elif kind in _SPEAKING:
            _add(items.setdefault(index, {}), kind, event.get("delta"))
        elif kind == "error" or "error" in event:
            error = event.get("error")
            whole["error"] = error or {**event, "type": text(event.get("code"))}
    if not sequence(whole.get("output")):
        whole["output"] = [items[index] for index in sorted(items)]
    return whole


def _add(item: dict[str, Any], kind: str, piece: Any) -> None:
    if not isinstance(piece, str):
        return
    if "function_call" in kind or "custom_tool_call" in kind:
        field = "arguments" if "function_call" in kind else "input"
        before = item.get(field)
        item[field] = (before if isinstance(before, str) else "") + piece
        return
    place = "summary" if "summary" in kind else "content"
    item.setdefault("type", "reasoning" if "reasoning" in kind else "message")
    item[place] = [*sequence(item.get(place)), {"text": piece}]
