"""Bedrock's invoke and invoke-with-response-stream: the body is in the vendor's own format, known by its fields.

Anthropic's messages and completions, Nova (as in converse), Titan, Llama, Cohere, Mistral, AI21 and others that speak
OpenAI's chat; embeddings of Titan, Nova and Cohere. Every answer bears its token counts in its headers, and every
stream in its last event, which is where they come from if the vendor's format has none.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace
from typing import Any, Iterable, Iterator, Mapping

from tracer.messages import ChatAnswer, ChatRequest, Message
from tracer.model import Kind, Usage
from tracer.providers import anthropic_messages, bedrock_converse
from tracer.providers.base import count, mapping, parse, sequence, text, total_of
from tracer.providers.completions import prompts_of
from tracer.providers.headers import Headers
from tracer.providers.openai_chat import OpenAIChat
from tracer.providers.reader import Json, Reader

_METRICS = "amazon-bedrock-invocationMetrics"
_OWN_FIELDS = ("prompt", "inputText", "texts", "inputs", "messages", "system", "tools", "message")
#: Where the vendors' formats have the text that the model gave, and why it ended.
_TEXTS = ("outputText", "generation", "completion", "text")
_FINISHED = ("completionReason", "stop_reason", "finish_reason", "finishReason", "stopReason")
_RESULTS = ("results", "outputs", "generations", "completions", "choices")
#: Where they count: the vendors' fields first, then Amazon's metrics and headers.
_HEADER = "x-amzn-bedrock-"
_ASKED = ("prompt_token_count", "inputTextTokenCount", "inputTokenCount", f"{_HEADER}input-token-count")
_SAID = ("generation_token_count", "tokenCount", "outputTokenCount", f"{_HEADER}output-token-count")
_COUNTS = ("prompt_token_count", "generation_token_count", "inputTextTokenCount")
_CHAT = OpenAIChat()


@dataclass(frozen=True, slots=True)
class BedrockInvoke(Reader):
    """``model`` and ``stream`` are what the address says. A model that gives vectors is known by its name."""

    model: str | None = None
    stream: bool = False
    kind: Kind = "llm"
    operation: str = "chat"

    @property
    def path(self) -> str:  # type: ignore[override]
        return self.path_for(self.model or "")

    def path_for(self, model: str) -> str:
        return f"/model/{model}/{'invoke-with-response-stream' if self.stream else 'invoke'}"

    def readdress(self, body: bytes, model: str) -> bytes:  # noqa: ARG002 - the address names it
        return body

    def request(self, body: bytes) -> ChatRequest:
        asked = parse(body)
        if "anthropic_version" in asked and "messages" in asked:
            return anthropic_messages.AnthropicMessages(self.model, self.stream).request(body)
        if _is_nova(asked):
            return bedrock_converse.request_of(asked, self.model, stream=self.stream)
        if "messages" in asked:
            return replace(_CHAT.request(body), model=self.model, stream=self.stream)
        return ChatRequest(
            model=self.model,
            messages=tuple(_prompts(asked)),
            parameters={key: value for key, value in asked.items() if key not in _OWN_FIELDS},
            stream=self.stream,
        )

    def said(self, given: Json, headers: Headers) -> ChatAnswer:
        if given.get("type") == "message":
            answer = anthropic_messages.AnthropicMessages().said(given, headers)
        elif "output" in given and "message" in mapping(given["output"]):
            answer = bedrock_converse.answer_of(given)
        elif any("message" in mapping(choice) for choice in sequence(given.get("choices"))):
            answer = _CHAT.said(given, headers)
        else:
            answer = _plain(given)
        if answer.usage.raw is None:
            answer = replace(answer, usage=_counted(given, headers))
        if self.kind == "embedding":
            without_output = replace(answer.usage, output_tokens=0 if answer.usage.raw is not None else None)
            answer = replace(answer, message=Message("assistant", ""), finish_reason=None, usage=without_output)
        return answer

    def joined(self, events: Iterable[Json]) -> Json:
        inner = [_inner(event) for event in events]
        metrics = next((mapping(event[_METRICS]) for event in inner if _METRICS in event), {})
        errors = [event for event in inner if "exception" in event]
        whole: dict[str, Any]
        if any(event.get("type") == "message_start" for event in inner):
            whole = anthropic_messages.joined(inner)
        elif any("messageStart" in event or "contentBlockDelta" in event for event in inner):
            whole = bedrock_converse.joined(inner)
        elif any("choices" in event and "delta" in str(event["choices"]) for event in inner):
            whole = dict(_CHAT.joined(inner))
        else:
            whole = _joined(inner)
        return {**whole, _METRICS: metrics, **({"error": errors[0]["exception"]} if errors else {})}

    def speaks(self, data: str) -> bool:
        event = _inner(parse(data))
        if bedrock_converse.speaks(event) or any(piece for _, piece in _texts(event)):
            return True
        written = json.dumps(event)
        return anthropic_messages.AnthropicMessages().speaks(written) or _CHAT.speaks(written)

    def ends(self, data: str) -> bool:
        event = _inner(parse(data))
        return _METRICS in event or "exception" in event


def _inner(event: Mapping[str, Any]) -> dict[str, Any]:
    """The vendor's event inside of Amazon's, where it is in base64."""
    wrapped = mapping(event.get("chunk")).get("bytes")
    if not isinstance(wrapped, str):
        return dict(event)
    try:
        return parse(base64.b64decode(wrapped))
    except (binascii.Error, ValueError):
        return {}


def _is_nova(asked: Mapping[str, Any]) -> bool:
    return "schemaVersion" in asked or "inferenceConfig" in asked or "toolConfig" in asked


def _prompts(asked: Mapping[str, Any]) -> Iterator[Message]:
    for field in ("prompt", "inputText", "message", "texts"):
        yield from prompts_of(asked.get(field))
    words = mapping(mapping(asked.get("singleEmbeddingParams")).get("text")).get("value")
    yield from prompts_of(words)


def _texts(given: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each text in an answer or an event, with what it stands in."""
    results = [mapping(result) for field in _RESULTS for result in sequence(given.get(field))]
    for result in (given, *results):
        data = mapping(result.get("data"))  # AI21's
        said = (result.get(field) for field in _TEXTS)
        found = next((words for words in (*said, data.get("text")) if isinstance(words, str)), None)
        if found is not None:
            yield result, found


def _finish(result: Mapping[str, Any]) -> str | None:
    reasons = (result.get(field) for field in _FINISHED)
    return next((text(mapping(reason).get("reason") or reason) for reason in reasons if reason), None)


def _plain(given: Mapping[str, Any]) -> ChatAnswer:
    found = list(_texts(given))
    result, said = found[0] if found else (given, "")
    return ChatAnswer(
        message=Message("assistant", said),
        finish_reason=_finish(result) or _finish(given),
        response_id=text(given.get("id")),
        choices=max(1, len(found)),
    )


def _joined(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {"text": ""}
    for event in events:
        for result, piece in _texts(event):
            whole["text"] += piece
            if reason := _finish(result) or _finish(event):
                whole["finish_reason"] = reason
        counts = ("prompt_token_count", "generation_token_count", "inputTextTokenCount")
        whole |= {key: event[key] for key in (*counts, "id") if event.get(key) is not None}
    return whole


def _counted(given: Mapping[str, Any], headers: Headers) -> Usage:
    """What the vendor's own fields count, else Amazon's metrics and headers."""
    raw: dict[str, Any] = {key: given[key] for key in _COUNTS if isinstance(given.get(key), int | float)}
    tokens = [count(mapping(result).get("tokenCount")) for result in sequence(given.get("results"))]
    raw |= {"tokenCount": total_of(*tokens)} if any(tokens) else {}
    raw |= {key: value for key, value in mapping(given.get(_METRICS)).items() if "TokenCount" in key}
    raw |= {key: int(value) for key, value in headers.items() if _is_count(key, value)}
    read = count(raw.get("cacheReadInputTokenCount"), raw.get(f"{_HEADER}cache-read-input-token-count"))
    written = count(raw.get("cacheWriteInputTokenCount"), raw.get(f"{_HEADER}cache-write-input-token-count"))
    asked, said = (count(*(raw.get(name) for name in names)) for names in (_ASKED, _SAID))
    inputs = None if asked is None else total_of(asked, read, written)
    return Usage(inputs, said, read, written, raw=raw) if raw else Usage()


def _is_count(name: str, value: str) -> bool:
    return name.startswith(_HEADER) and name.endswith("-token-count") and value.isascii() and value.isdigit()
