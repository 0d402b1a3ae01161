"""A model call in normal form: what every provider's wire format is read into, and what a Python callable gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from tracer.model import Usage


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asks for. ``arguments`` is the text the model wrote, which need not be valid JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Blob:
    """An image, a sound, a document. ``data`` where it came along; ``url`` where it lies elsewhere, which may also be
    a provider's id of a file."""

    media_type: str | None
    data: bytes | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``content`` is its text; what is not text (images, audio) stands in ``parts`` as it was sent."""

    role: str
    content: str
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None
    parts: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    model: str | None
    messages: tuple[Message, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[Mapping[str, Any], ...] = ()
    stream: bool = False


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """What a model said. A Python callable target may return one of these, or just its text."""

    message: Message
    model: str | None = None
    finish_reason: str | None = "stop"
    usage: Usage = field(default_factory=Usage)
    response_id: str | None = None
    #: A provider's error object, where it answered with one.
    error: Mapping[str, Any] | None = None
    #: How many answers the model gave (``n``); ``message`` is the first.
    choices: int = 1
    #: The provider's own word for the error: ``rate_limit_error``, ``RESOURCE_EXHAUSTED``.
    error_type: str | None = None
    #: How long the provider asks to wait before the next attempt.
    retry_after_s: float | None = None
    #: The provider's id for the exchange, which its support asks for.
    request_id: str | None = None

    @classmethod
    def of(cls, text: str, **fields: Any) -> ChatAnswer:
        return cls(message=Message(role="assistant", content=text), **fields)
