"""Bedrock's converse and converse-stream; Nova speaks the same through invoke.

Its ``inputTokens`` leave out what was read from and written to the cache; the totals here include both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Mapping

from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.model import Usage
from tracer.providers.base import count, mapping, parse, sequence, text, total_of
from tracer.providers.headers import Headers
from tracer.providers.reader import Json, Reader

_OWN_FIELDS = ("messages", "system", "toolConfig")


@dataclass(frozen=True, slots=True)
class BedrockConverse(Reader):
    """``model`` and ``stream`` are what the address says."""

    model: str | None = None
    stream: bool = False

    @property
    def path(self) -> str:  # type: ignore[override]
        return self.path_for(self.model or "")

    def path_for(self, model: str) -> str:
        return f"/model/{model}/{'converse-stream' if self.stream else 'converse'}"

    def readdress(self, body: bytes, model: str) -> bytes:  # noqa: ARG002 - the address names it
        return body

    def request(self, body: bytes) -> ChatRequest:
        return request_of(parse(body), self.model, stream=self.stream)

    def said(self, given: Json, headers: Headers) -> ChatAnswer:  # noqa: ARG002 - the format's shape
        return answer_of(given)

    def joined(self, events: Iterable[Json]) -> Json:
        return joined(events)

    def speaks(self, data: str) -> bool:
        return speaks(parse(data))

    def ends(self, data: str) -> bool:
        return not {"metadata", "exception"}.isdisjoint(parse(data))


def request_of(asked: Mapping[str, Any], model: str | None, *, stream: bool) -> ChatRequest:
    system = "".join(text(mapping(part).get("text")) or "" for part in sequence(asked.get("system")))
    config = mapping(asked.get("toolConfig"))
    tools = (mapping(tool) for tool in sequence(config.get("tools")))
    parameters = {key: value for key, value in asked.items() if key not in _OWN_FIELDS}
    if "toolChoice" in config:
        parameters["toolChoice"] = config["toolChoice"]
    return ChatRequest(
        model=model,
        messages=(
            *([Message("system", system)] if system else []),
            *(turn for raw in sequence(asked.get("messages")) for turn in _turns(mapping(raw))),
        ),
        parameters=parameters,
        tools=tuple(mapping(tool.get("toolSpec")) or tool for tool in tools),
        stream=stream,
    )


def answer_of(given: Mapping[str, Any]) -> ChatAnswer:
    message = mapping(mapping(given.get("output")).get("message"))
    return ChatAnswer(
        message=_message_of("assistant", sequence(message.get("content"))),
        finish_reason=text(given.get("stopReason")),
        usage=usage_of(given.get("usage")),
    )


def _turns(raw: Mapping[str, Any]) -> Iterator[Message]:
    """One message as turns: the tool results in it are turns of their own, before what the user adds."""
    role, content = text(raw.get("role")) or "user", raw.get("content")
    if isinstance(content, str):
        yield Message(role, content)
        return
    rest = []
    for part in sequence(content):
        result = mapping(mapping(part).get("toolResult"))
        if not result:
            rest.append(part)
            continue
        said = _message_of("tool", sequence(result.get("content")))
        yield Message("tool", said.content, tool_call_id=text(result.get("toolUseId")), parts=said.parts)
    if rest or not sequence(content):
        yield _message_of(role, rest)


def _message_of(role: str, blocks: Iterable[Any]) -> Message:
    said, thoughts = "", ""
    calls: list[ToolCall] = []
    parts: list[Mapping[str, Any]] = []
    for raw in blocks:
        block = mapping(raw)
        reasoning = mapping(mapping(block.get("reasoningContent")).get("reasoningText"))
        # Text that a guardrail is to look at stands one level deeper.
        guarded = mapping(mapping(block.get("guardContent")).get("text"))
        if isinstance(words := block.get("text", guarded.get("text")), str):
            said += words
        elif use := mapping(block.get("toolUse")):
            calls.append(_tool_call_of(use))
        elif thought := text(reasoning.get("text")):
            thoughts += thought
        elif "json" in block:
            said += json.dumps(block["json"], ensure_ascii=False)
        elif block:
            parts.append(block)
    return Message(role, said, reasoning=thoughts or None, tool_calls=tuple(calls), parts=tuple(parts))


def _tool_call_of(use: Mapping[str, Any]) -> ToolCall:
    given = use.get("input", {})
    arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return ToolCall(text(use.get("toolUseId")) or "", text(use.get("name")) or "", arguments)


def usage_of(raw: Any) -> Usage:
    if not isinstance(raw, dict) or not raw:
        return Usage()
    read = count(raw.get("cacheReadInputTokens"), raw.get("cacheReadInputTokenCount"))
    written = count(raw.get("cacheWriteInputTokens"), raw.get("cacheWriteInputTokenCount"))
    fresh = count(raw.get("inputTokens"))
    details = (mapping(detail) for detail in sequence(raw.get("cacheDetails")))
    hours = [count(detail.get("inputTokens")) for detail in details if detail.get("ttl") == "1h"]
    return Usage(
        input_tokens=None if fresh is None else total_of(fresh, read, written),
        output_tokens=count(raw.get("outputTokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=total_of(*hours),
        raw=raw,
    )


def joined(events: Iterable[Json]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    blocks: dict[Any, dict[str, Any]] = {}
    for event in events:
        whole |= {"stopReason": mapping(event.get("messageStop")).get("stopReason")} if "messageStop" in event else {}
        whole |= mapping(event.get("metadata"))
        if "exception" in event or "error" in event:
            whole["error"] = event.get("exception") or event.get("error")
        for kind, key in (("contentBlockStart", "start"), ("contentBlockDelta", "delta")):
            given = mapping(event.get(kind))
            index = given.get("contentBlockIndex")
            if given:
                _add(blocks.setdefault(index if isinstance(index, int) else 0, {}), mapping(given.get(key)))
    content = [blocks[index] for index in sorted(blocks)]
    return {**whole, "output": {"message": {"role": "assistant", "content": content}}}


def _add(block: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for field, given in piece.items():
        before = block.get(field)
        if field == "toolUse":
            use, added = mapping(before), mapping(given)
            block[field] = {**use, **added, "input": _text(use.get("input")) + _text(added.get("input"))}
        elif field == "reasoningContent":
            added = mapping(given)
            thought = mapping(mapping(before).get("reasoningText"))
            named = {key: _text(thought.get(key)) + _text(added.get(key)) for key in ("text", "signature")}
            block[field] = {**added, "reasoningText": named}
        elif isinstance(given, str):
            block[field] = _text(before) + given
        else:
            block[field] = given


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def speaks(event: Mapping[str, Any]) -> bool:
    delta = mapping(mapping(event.get("contentBlockDelta")).get("delta"))
    return any(delta.values()) or bool(mapping(mapping(event.get("contentBlockStart")).get("start")))
