"""Ollama's own chat and generate. (It speaks OpenAI's chat as well, at another path.)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from tracer.messages import ChatAnswer, ChatRequest, Message
from tracer.model import Usage
from tracer.providers.base import count, mapping, parse, sequence, text
from tracer.providers.completions import prompts_of
from tracer.providers.dressing import encoded
from tracer.providers.headers import Headers
from tracer.providers.ollama_dress import dressed
from tracer.providers.openai_chat import message_of
from tracer.providers.reader import Json, Reader
from tracer.wire import HttpResponse

_OWN_FIELDS = ("model", "messages", "prompt", "system", "images", "tools", "stream")
_COUNTS = ("prompt_eval_count", "eval_count")
#: What a model says, field by field: of a message, and of generate's answer.
_SAID = ("content", "thinking", "response")


@dataclass(frozen=True, slots=True)
class Ollama(Reader):
    path: str = "/api/chat"

    def request(self, body: bytes) -> ChatRequest:
        """It streams unless it is told not to."""
        asked = parse(body)
        system = text(asked.get("system"))
        return ChatRequest(
            model=text(asked.get("model")),
            messages=(
                *([Message("system", system)] if system else []),
                *(_message_of(mapping(raw)) for raw in sequence(asked.get("messages"))),
                *(Message("user", turn.content, parts=_images(asked)) for turn in prompts_of(asked.get("prompt"))),
            ),
            parameters={key: value for key, value in asked.items() if key not in _OWN_FIELDS},
            tools=tuple(tool for tool in sequence(asked.get("tools")) if isinstance(tool, dict)),
            stream=asked.get("stream") is not False,
        )

    def said(self, given: Json, headers: Headers) -> ChatAnswer:  # noqa: ARG002 - the format's shape
        raw = mapping(given.get("message")) or {"content": given.get("response"), "thinking": given.get("thinking")}
        counts = {name: given[name] for name in _COUNTS if name in given}
        return ChatAnswer(
            message=_message_of({"role": "assistant", **raw}),
            model=text(given.get("model")),
            finish_reason=text(given.get("done_reason")),
            # A prompt that is still in memory from the call before is not counted: that it cost 0 would be a guess.
            usage=Usage(count(counts.get(_COUNTS[0])), count(counts.get(_COUNTS[1])), raw=counts)
            if counts
            else Usage(),
        )

    def joined(self, events: Iterable[Json]) -> Json:
        whole: dict[str, Any] = {}
        message: dict[str, Any] = {}
        for event in events:
            given = mapping(event.get("message"))
            for into, piece in ((message, given), (whole, event)):
                said = {field: str(into.get(field, "")) + str(piece[field]) for field in _SAID if piece.get(field)}
                others = {key: value for key, value in piece.items() if key not in (*_SAID, "tool_calls", "message")}
                into.update(others, **said)
            if calls := sequence(given.get("tool_calls")):
                message["tool_calls"] = [*sequence(message.get("tool_calls")), *calls]
        return {**whole, **({"message": message} if message else {})}

    def dress(self, request: ChatRequest, answer: ChatAnswer) -> HttpResponse:
        return dressed(request, answer, is_chat=self.path == "/api/chat")

    def readdress(self, body: bytes, model: str) -> bytes:
        return encoded({**parse(body), "model": model})

    def speaks(self, data: str) -> bool:
        event = parse(data)
        message = mapping(event.get("message"))
        said = (each.get(field) for each in (event, message) for field in (*_SAID, "tool_calls"))
        return any(said)

    def ends(self, data: str) -> bool:
        event = parse(data)
        return event.get("done") is True or "error" in event


def _message_of(raw: Mapping[str, Any]) -> Message:
    read = message_of(raw)
    return Message(
        read.role,
        read.content,
        name=text(raw.get("tool_name")) or read.name,
        tool_calls=read.tool_calls,
        tool_call_id=read.tool_call_id,
        reasoning=text(raw.get("thinking")),
        parts=(*read.parts, *_images(raw)),
    )


def _images(raw: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Base64 without any frame; here in one that says what it is."""
    given = (image for image in sequence(raw.get("images")) if isinstance(image, str))
    return tuple({"type": "image", "data": image} for image in given)
