"""OpenAI's chat completions, the lingua franca: OpenAI, Azure, Groq, Mistral, DeepSeek, OpenRouter, llama.cpp, vLLM."""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping

from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.providers.base import mapping, parse, sequence, text, usage_of
from tracer.providers.headers import Headers
from tracer.providers.openai_dress import dressed
from tracer.providers.reader import Json, Reader
from tracer.wire import HttpResponse

_OWN_FIELDS = ("model", "messages", "tools", "stream")
#: What a model says, field by field; strings that a stream gives in pieces.
_SAID = ("content", "reasoning_content", "reasoning", "reasoning_details", "refusal")
_CALLED = ("tool_calls", "function_call")


class OpenAIChat(Reader):
    path = "/chat/completions"

    def request(self, body: bytes) -> ChatRequest:
        asked = parse(body)
        return ChatRequest(
            model=text(asked.get("model")),
            messages=tuple(message_of(mapping(item)) for item in sequence(asked.get("messages"))),
            parameters={key: value for key, value in asked.items() if key not in _OWN_FIELDS},
            tools=tuple(tool for tool in sequence(asked.get("tools")) if isinstance(tool, dict)),
            stream=asked.get("stream") is True,
        )

    def said(self, given: Json, headers: Headers) -> ChatAnswer:  # noqa: ARG002 - the format's shape
        choices = [choice for choice in sequence(given.get("choices")) if isinstance(choice, dict)]
        first = min(choices, key=lambda choice: _index(choice, 0), default={})
        return ChatAnswer(
            message=message_of({"role": "assistant", **mapping(first.get("message"))}),
            model=text(given.get("model")),
            finish_reason=text(first.get("finish_reason")),
            usage=usage_of(given.get("usage")),
            response_id=text(given.get("id")),
            choices=max(1, len(choices)),
        )

    def joined(self, events: Iterable[Json]) -> Json:
        return _joined(events)

    def dress(self, request: ChatRequest, answer: ChatAnswer) -> HttpResponse:
        return dressed(request, answer)

    def speaks(self, data: str) -> bool:
        deltas = (mapping(mapping(choice).get("delta")) for choice in sequence(parse(data).get("choices")))
        return any(delta.get(field) for delta in deltas for field in (*_SAID, *_CALLED, "audio"))


def message_of(raw: Mapping[str, Any]) -> Message:
    """One turn, asked or answered, in normal form."""
    content, thoughts, parts = _content_of(raw.get("content"))
    audio = mapping(raw.get("audio"))
    if any(audio.values()):
        parts.append({"type": "audio", "audio": audio})
    said = content or text(raw.get("refusal")) or text(audio.get("transcript")) or ""
    return Message(
        role=text(raw.get("role")) or "user",
        content=said,
        name=text(raw.get("name")),
        tool_calls=_tool_calls_of(raw),
        tool_call_id=text(raw.get("tool_call_id")),
        reasoning=text(raw.get("reasoning_content")) or text(raw.get("reasoning")) or thoughts or _details(raw) or None,
        parts=tuple(parts),
    )


def _details(raw: Mapping[str, Any]) -> str:
    """Reasoning as OpenRouter and Snowflake give it beside, or instead of, the plain field."""
    details = [mapping(detail) for detail in sequence(raw.get("reasoning_details"))]
    return "".join(text(detail.get("text")) or text(detail.get("summary")) or "" for detail in details)


def _content_of(content: Any) -> tuple[str, str, list[Mapping[str, Any]]]:
    """Text, thoughts, and the parts that are neither."""
    if isinstance(content, str):
        return content, "", []
    said: list[str] = []
    thoughts: list[str] = []
    parts: list[Mapping[str, Any]] = []
    for part in sequence(content):
        if isinstance(part, str):
            said.append(part)
        elif not isinstance(part, dict):
            continue
        elif part.get("type") == "thinking":
            thoughts.append(_content_of(part.get("thinking"))[0])
        elif (words := text(part.get("text")) or text(part.get("refusal"))) is not None:
            said.append(words)
        else:
            parts.append(part)
    return "".join(said), "".join(thoughts), parts


def _tool_calls_of(raw: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    calls = [mapping(call) for call in sequence(raw.get("tool_calls"))]
    if mapping(raw.get("function_call")):  # what tool calls were before 2023-11; some servers still speak it
        calls.append({"function": raw["function_call"]})
    read = (_tool_call_of(call) for call in calls)
    # Snowflake fills in an empty one where there is none.
    return tuple(call for call in read if call.id or call.name or call.arguments)


def _tool_call_of(call: Mapping[str, Any]) -> ToolCall:
    function = mapping(call.get("function") or call.get("custom"))
    arguments = function.get("arguments", function.get("input", ""))
    return ToolCall(
        id=text(call.get("id")) or "",
        name=text(function.get("name")) or "",
        arguments=arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False),
    )


def _joined(events: Iterable[Json]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in events:
        groq = mapping(chunk.get("x_groq"))
        for key in ("id", "model", "error"):
            if found := chunk.get(key) or (key == "error" and groq.get(key)):
                whole.setdefault(key, found)
        if usage := chunk.get("usage") or groq.get("usage"):
            whole["usage"] = usage
        for raw in sequence(chunk.get("choices")):
            given = mapping(raw)
            choice = choices.setdefault(_index(given, 0), {"index": _index(given, 0), "message": {}})
            if given.get("finish_reason"):
                choice["finish_reason"] = given["finish_reason"]
            _add_delta(choice["message"], mapping(given.get("delta") or given.get("message")))
    return {**whole, "choices": list(choices.values())}


def _add_delta(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    if role := text(delta.get("role")):
        message["role"] = role
    for field in _SAID:
        if piece := delta.get(field):
            message[field] = _appended(message.get(field), piece)
    for raw in sequence(delta.get("tool_calls")):
        calls = message.setdefault("tool_calls", [])
        call = mapping(raw)
        _add_call(_call_for(calls, call), call)
    if function := mapping(delta.get("function_call")):
        _add_function(message.setdefault("function_call", {}), function)
    if audio := mapping(delta.get("audio")):
        heard = message.setdefault("audio", {})
        for key, value in audio.items():
            heard[key] = _appended(heard.get(key), value) if key in {"data", "transcript"} else value


def _appended(before: Any, piece: Any) -> Any:
    """Text after text; where either is a list of parts, both are parts."""
    if isinstance(piece, str) and isinstance(before, str | None):
        return (before or "") + piece
    return [*(before if isinstance(before, list) else [before or ""]), *(piece if isinstance(piece, list) else [piece])]


def _call_for(calls: list[dict[str, Any]], delta: Mapping[str, Any]) -> dict[str, Any]:
    """The tool call that a delta continues: by index, or (some servers send none) the last unless a new id begins."""
    if isinstance(delta.get("index"), int):
        found = next((call for call in calls if call.get("index") == delta["index"]), None)
    else:
        found = calls[-1] if calls and delta.get("id") in (None, "", calls[-1].get("id")) else None
    if found is None:
        found = {"index": delta.get("index"), "function": {}}
        calls.append(found)
    return found


def _add_call(call: dict[str, Any], delta: Mapping[str, Any]) -> None:
    if delta.get("id"):
        call["id"] = delta["id"]
    _add_function(call["function"], mapping(delta.get("function") or delta.get("custom")))


def _add_function(function: dict[str, Any], delta: Mapping[str, Any]) -> None:
    if name := text(delta.get("name")):
        function["name"] = name
    if arguments := delta.get("arguments", delta.get("input")):
        piece = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        function["arguments"] = function.get("arguments", "") + piece


def _index(choice: Mapping[str, Any], otherwise: int) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else otherwise
