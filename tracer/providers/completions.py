"""Completions of a text, before there were messages: OpenAI's (also vLLM, Together, Writer) and Anthropic's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable

from tracer.messages import ChatAnswer, ChatRequest, Message
from tracer.providers.base import mapping, parse, sequence, text, usage_of
from tracer.providers.headers import Headers
from tracer.providers.reader import Json, Reader

_OWN_FIELDS = ("model", "prompt", "stream")


def prompts_of(prompt: Any) -> tuple[Message, ...]:
    """Each text to be completed as a message; token ids are left out, for nobody can read them."""
    texts = [prompt] if isinstance(prompt, str) else [item for item in sequence(prompt) if isinstance(item, str)]
    return tuple(Message("user", item) for item in texts)


def request_of(body: bytes) -> ChatRequest:
    asked = parse(body)
    return ChatRequest(
        model=text(asked.get("model")),
        messages=prompts_of(asked.get("prompt")),
        parameters={key: value for key, value in asked.items() if key not in _OWN_FIELDS},
        stream=asked.get("stream") is True,
    )


@dataclass(frozen=True, slots=True)
class OpenAICompletions(Reader):
    path = "/completions"

    def request(self, body: bytes) -> ChatRequest:
        return request_of(body)

    def said(self, given: Json, headers: Headers) -> ChatAnswer:  # noqa: ARG002 - the format's shape
        choices = [choice for choice in sequence(given.get("choices")) if isinstance(choice, dict)]
        first = choices[0] if choices else {}
        return ChatAnswer(
            message=Message("assistant", text(first.get("text")) or ""),
            model=text(given.get("model")),
            finish_reason=text(first.get("finish_reason")),
            usage=usage_of(given.get("usage")),
            response_id=text(given.get("id")),
            choices=max(1, len(choices)),
        )

    def joined(self, events: Iterable[Json]) -> Json:
        whole: dict[str, Any] = {}
        choices: dict[int, dict[str, Any]] = {}
        for chunk in events:
            whole |= {key: chunk[key] for key in ("id", "model", "usage", "error") if chunk.get(key)}
            # Writer streams {"value": "..."} and nothing else.
            bare = [{"text": chunk["value"]}] if isinstance(chunk.get("value"), str) else []
            for raw in (*sequence(chunk.get("choices")), *bare):
                given = mapping(raw)
                index = given.get("index")
                choice = choices.setdefault(index if isinstance(index, int) else 0, {"text": ""})
                choice["text"] += text(given.get("text")) or ""
                choice |= {"finish_reason": given["finish_reason"]} if given.get("finish_reason") else {}
        return {**whole, "choices": [choices[index] for index in sorted(choices)]}

    def speaks(self, data: str) -> bool:
        chunk = parse(data)
        return bool(chunk.get("value")) or any(mapping(c).get("text") for c in sequence(chunk.get("choices")))


@dataclass(frozen=True, slots=True)
class AnthropicComplete(Reader):
    """It counts no tokens."""

    path = "/complete"

    def request(self, body: bytes) -> ChatRequest:
        return request_of(body)

    def said(self, given: Json, headers: Headers) -> ChatAnswer:  # noqa: ARG002 - the format's shape
        return ChatAnswer(
            message=Message("assistant", text(given.get("completion")) or ""),
            model=text(given.get("model")),
            finish_reason=text(given.get("stop_reason")),
            response_id=text(given.get("id")),
        )

    def joined(self, events: Iterable[Json]) -> Json:
        whole: dict[str, Any] = {"completion": ""}
        for event in events:
            whole["completion"] += text(event.get("completion")) or ""
            whole |= {key: event[key] for key in ("id", "model", "stop_reason", "error") if event.get(key)}
        return whole

    def speaks(self, data: str) -> bool:
        return bool(parse(data).get("completion"))

    def ends(self, data: str) -> bool:
        given = parse(data)
        return bool(given.get("stop_reason")) or given.get("type") == "error"
