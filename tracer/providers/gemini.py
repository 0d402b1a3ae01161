"""Google's generateContent and streamGenerateContent, on the Gemini API and on Vertex, in either spelling of names.

Its ``promptTokenCount`` includes what came from a cache. Thoughts are counted beside the candidates, and what the
provider's own tools put before the model beside the prompt: both are inside the totals here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Mapping

from tracer.messages import ChatAnswer, ChatRequest, Message, ToolCall
from tracer.model import Usage
from tracer.providers.base import count, mapping, parse, sequence, text, total_of
from tracer.providers.gemini_dress import dressed
from tracer.providers.headers import Headers
from tracer.providers.reader import Json, Reader
from tracer.wire import HttpResponse

_OWN_FIELDS = ("contents", "systemInstruction", "system_instruction", "tools", "model")
#: As an SDK asks for them with ``enum-encoding=int``.
_FINISHED = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
_AUDIO = ("AUDIO", 4)


@dataclass(frozen=True, slots=True)
class Gemini(Reader):
    """``model`` and ``stream`` are what the address says."""

    model: str | None = None
    stream: bool = False
    operation = "chat"

    @property
    def path(self) -> str:  # type: ignore[override]
        return self.path_for(self.model or "")

    def path_for(self, model: str) -> str:
        return f"/models/{model}:{'streamGenerateContent' if self.stream else 'generateContent'}"

    def readdress(self, body: bytes, model: str) -> bytes:
        asked = parse(body)
        return json.dumps({**asked, "model": f"models/{model}"}).encode() if "model" in asked else body

    def request(self, body: bytes) -> ChatRequest:
        asked = parse(body)
        system, _ = _text_of(_get(asked, "systemInstruction"))
        contents = asked.get("contents")
        return ChatRequest(
            model=self.model,
            messages=(
                *([Message("system", system)] if system else []),
                *(turn for item in sequence(contents) or [contents] for turn in _turns(item)),
            ),
            parameters={key: value for key, value in asked.items() if key not in _OWN_FIELDS},
            tools=tuple(_tools_of(asked.get("tools"))),
            stream=self.stream,
        )

    def said(self, given: Json, headers: Headers) -> ChatAnswer:  # noqa: ARG002 - the format's shape
        candidates = [candidate for candidate in sequence(given.get("candidates")) if isinstance(candidate, dict)]
        first = candidates[0] if candidates else {}
        finished = first.get("finishReason")
        # A prompt that was refused has no candidate: why stands beside.
        blocked = mapping(given.get("promptFeedback")).get("blockReason")
        return ChatAnswer(
            message=_message_of("assistant", sequence(mapping(first.get("content")).get("parts"))),
            model=text(given.get("modelVersion")),
            finish_reason=text(_FINISHED.get(finished) if isinstance(finished, int) else finished) or text(blocked),
            usage=usage_of(given.get("usageMetadata")),
            response_id=text(given.get("responseId")),
            choices=max(1, len(candidates)),
        )

    def joined(self, events: Iterable[Json]) -> Json:
        whole: dict[str, Any] = {}
        candidates: dict[int, dict[str, Any]] = {}
        for chunk in events:
            whole |= {key: value for key, value in chunk.items() if key != "candidates" and value is not None}
            for raw in sequence(chunk.get("candidates")):
                given = mapping(raw)
                index = given.get("index")
                candidate = candidates.setdefault(index if isinstance(index, int) else 0, {"content": {"parts": []}})
                candidate["content"]["parts"] += sequence(mapping(given.get("content")).get("parts"))
                candidate |= {key: value for key, value in given.items() if key != "content"}
        return {**whole, "candidates": [candidates[index] for index in sorted(candidates)]}

    def dress(self, request: ChatRequest, answer: ChatAnswer) -> HttpResponse:
        return dressed(request, answer)

    def speaks(self, data: str) -> bool:
        candidates = (mapping(candidate) for candidate in sequence(parse(data).get("candidates")))
        parts = (part for each in candidates for part in sequence(mapping(each.get("content")).get("parts")))
        return any(value for part in parts for key, value in mapping(part).items() if key != "thoughtSignature")

    def ends(self, data: str) -> bool:
        given = parse(data)
        candidates = sequence(given.get("candidates"))
        return "error" in given or any(mapping(candidate).get("finishReason") for candidate in candidates)


def _get(value: Mapping[str, Any], name: str) -> Any:
    """A field by its name in camelCase, or as the SDKs of one generation spell it, in snake_case."""
    return value[name] if name in value else value.get(re.sub("([A-Z])", r"_\1", name).lower())


def _turns(raw: Any) -> Iterator[Message]:
    """One content as turns: each function's response in it is one of its own, before the rest."""
    content = mapping(raw)
    if isinstance(raw, str):
        yield Message("user", raw)
        return
    parts, rest = sequence(content.get("parts")), []
    for part in parts:
        given = mapping(_get(mapping(part), "functionResponse"))
        if not given:
            rest.append(part)
            continue
        answer = given.get("response")
        said = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        called = text(given.get("id")) or text(given.get("name"))
        attached = tuple(each for each in sequence(given.get("parts")) if isinstance(each, dict))
        yield Message("tool", said, name=text(given.get("name")), tool_call_id=called, parts=attached)
    if rest or (content and not parts):
        role = text(content.get("role")) or "user"
        yield _message_of("assistant" if role == "model" else role, rest)


def _text_of(content: Any) -> tuple[str, tuple[Mapping[str, Any], ...]]:
    if isinstance(content, str):
        return content, ()
    parts = sequence(mapping(content).get("parts")) or ([content] if mapping(content) else [])
    message = _message_of("system", parts)
    return message.content, message.parts


def _message_of(role: str, raw_parts: Iterable[Any]) -> Message:
    said, thoughts = "", ""
    calls: list[ToolCall] = []
    parts: list[Mapping[str, Any]] = []
    for raw in raw_parts:
        part = mapping(raw)
        call = mapping(_get(part, "functionCall"))
        if isinstance(part.get("text"), str):
            said, thoughts = (said, thoughts + part["text"]) if part.get("thought") else (said + part["text"], thoughts)
        elif call:
            arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
            calls.append(ToolCall(text(call.get("id")) or "", text(call.get("name")) or "", arguments))
        elif part:
            parts.append(part)
    return Message(role, said, reasoning=thoughts or None, tool_calls=tuple(calls), parts=tuple(parts))


def _tools_of(tools: Any) -> Iterator[Mapping[str, Any]]:
    """Each function that is offered, and each tool of the provider's own."""
    for raw in sequence(tools) or [tools]:
        tool = mapping(raw)
        functions = sequence(_get(tool, "functionDeclarations"))
        yield from (function for function in functions if isinstance(function, dict))
        others = {key: value for key, value in tool.items() if not key.startswith("function")}
        if others:
            yield others


def usage_of(raw: Any) -> Usage:
    if not isinstance(raw, dict) or not raw:
        return Usage()
    prompt, aside = count(raw.get("promptTokenCount")), count(raw.get("toolUsePromptTokenCount"))
    thoughts, total = count(raw.get("thoughtsTokenCount")), count(raw.get("totalTokenCount"))
    said = count(raw.get("candidatesTokenCount"))
    asked = total_of(prompt, aside)
    answered = total_of(said, thoughts)
    if answered is None and asked is not None and total is not None:
        answered = total - asked  # a zero is left out
    return Usage(
        input_tokens=asked,
        output_tokens=answered,
        cache_read_tokens=count(raw.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
        input_audio_tokens=_audio(raw.get("promptTokensDetails")),
        output_audio_tokens=_audio(raw.get("candidatesTokensDetails")),
        cache_audio_tokens=_audio(raw.get("cacheTokensDetails")),
        raw=raw,
    )


def _audio(details: Any) -> int | None:
    heard = (mapping(detail) for detail in sequence(details) if mapping(detail).get("modality") in _AUDIO)
    return total_of(*(count(detail.get("tokenCount")) for detail in heard))
