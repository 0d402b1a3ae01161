"""Cohere's chat, version 1 (one message, and a history) and version 2 (messages).

It counts twice: ``tokens`` is what the model saw, ``billed_units`` what is paid for. The usage here is what is paid;
what was cached is a part of the other count, and stays in the raw usage.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.model import Usage
from tracer.providers.base import count, mapping, parse, sequence, text
from tracer.providers.headers import Headers
from tracer.providers.openai_chat import message_of
from tracer.providers.reader import Json, Reader

_OWN_FIELDS = ("model", "messages", "message", "chat_history", "preamble", "tool_results", "tools", "stream")
_ROLES = {"CHATBOT": "assistant", "USER": "user", "SYSTEM": "system", "TOOL": "tool"}


@dataclass(frozen=True, slots=True)
class CohereChat(Reader):
    path = "/chat"

    def request(self, body: bytes) -> ChatRequest:
        asked = parse(body)
        return ChatRequest(
            model=text(asked.get("model")),
            messages=tuple(_messages(asked)),
            parameters={key: value for key, value in asked.items() if key not in _OWN_FIELDS},
            tools=tuple(tool for tool in sequence(asked.get("tools")) if isinstance(tool, dict)),
            stream=asked.get("stream") is True,
        )

    def said(self, given: Json, headers: Headers) -> ChatAnswer:  # noqa: ARG002 - the format's shape
        usage = given.get("usage") or {
            key: value for key, value in mapping(given.get("meta")).items() if key in {"tokens", "billed_units"}
        }
        # An error's words stand where version 1 has its answer's.
        message = given.get("message")
        return ChatAnswer(
            message=_answer_of(message if isinstance(message, dict) else given),
            finish_reason=text(given.get("finish_reason")),
            usage=_usage_of(usage),
            response_id=text(given.get("id")) or text(given.get("response_id")),
        )

    def joined(self, events: Iterable[Json]) -> Json:
        whole: dict[str, Any] = {}
        message: dict[str, Any] = {}
        calls: dict[Any, dict[str, Any]] = {}
        for event in events:
            if ended := mapping(event.get("response")):  # version 1 repeats the whole at its end
                return {**ended, "finish_reason": event.get("finish_reason") or ended.get("finish_reason")}
            whole |= {key: event[key] for key in ("id", "response_id", "error") if event.get(key)}
            message["text"] = str(message.get("text", "")) + (text(event.get("text")) or "")
            delta = mapping(event.get("delta"))
            whole |= {key: delta[key] for key in ("finish_reason", "usage", "error") if delta.get(key)}
            said = mapping(delta.get("message"))
            message["tool_plan"] = str(message.get("tool_plan", "")) + (text(said.get("tool_plan")) or "")
            spoken = mapping(said.get("content"))
            for field in ("text", "thinking"):
                message[field] = str(message.get(field, "")) + (text(spoken.get(field)) or "")
            if call := mapping(said.get("tool_calls")):
                index = event.get("index")
                _add(calls.setdefault(index if isinstance(index, int) else 0, {}), call)
        content = [{"type": field, field: message[field]} for field in ("thinking", "text") if message.get(field)]
        return {**whole, "message": {**message, "content": content, "tool_calls": list(calls.values())}}

    def speaks(self, data: str) -> bool:
        event = parse(data)
        said = mapping(mapping(event.get("delta")).get("message"))
        content = mapping(said.get("content"))
        spoken = (event.get("text"), said.get("tool_plan"), content.get("text"), content.get("thinking"))
        return any(spoken) or bool(mapping(said.get("tool_calls")))

    def ends(self, data: str) -> bool:
        event = parse(data)
        ended = event.get("type") == "message-end" or event.get("event_type") == "stream-end"
        return ended or data.strip() == "[DONE]" or "error" in event


def _messages(asked: Mapping[str, Any]) -> Iterable[Message]:
    if preamble := text(asked.get("preamble")):
        yield Message("system", preamble)
    for raw in sequence(asked.get("chat_history")):
        turn = mapping(raw)
        role = str(turn.get("role", ""))
        yield Message(_ROLES.get(role, role.lower()), text(turn.get("message")) or "", tool_calls=_calls_of(turn))
    for raw in sequence(asked.get("messages")):
        turn = mapping(raw)
        yield message_of(turn) if text(turn.get("role")) != "assistant" else _answer_of(turn)
    if (said := text(asked.get("message"))) is not None:
        yield Message("user", said)
    for raw in sequence(asked.get("tool_results")):
        result = mapping(raw)
        name = text(mapping(result.get("call")).get("name"))
        yield Message("tool", json.dumps(result.get("outputs"), ensure_ascii=False), name=name)


def _answer_of(raw: Mapping[str, Any]) -> Message:
    """A turn of the model. Its plan for the tools it calls is what it thought."""
    message = message_of({"role": "assistant", "content": raw.get("content", raw.get("text"))})
    reasoning = message.reasoning or text(raw.get("tool_plan"))
    return Message("assistant", message.content, reasoning=reasoning, tool_calls=_calls_of(raw), parts=message.parts)


def _calls_of(raw: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """Version 1 names a call by its tool alone, and gives its parameters as an object."""
    calls = []
    for given in sequence(raw.get("tool_calls")):
        call = mapping(given)
        function = mapping(call.get("function")) or call
        arguments = function.get("arguments", function.get("parameters", {}))
        written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        calls.append(ToolCall(text(call.get("id")) or "", text(function.get("name")) or "", written))
    return tuple(calls)


def _add(call: dict[str, Any], piece: Mapping[str, Any]) -> None:
    if piece.get("id"):
        call["id"] = piece["id"]
    given = mapping(piece.get("function"))
    function = call.setdefault("function", {"name": "", "arguments": ""})
    for field in ("name", "arguments"):
        function[field] += text(given.get(field)) or ""


def _usage_of(raw: Any) -> Usage:
    if not isinstance(raw, dict) or not raw:
        return Usage()
    billed, seen = mapping(raw.get("billed_units")), mapping(raw.get("tokens"))
    return Usage(
        input_tokens=count(billed.get("input_tokens"), seen.get("input_tokens")),
        output_tokens=count(billed.get("output_tokens"), seen.get("output_tokens")),
        raw=raw,
    )
