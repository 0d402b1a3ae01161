"""What a wire format must be able to do, and the small readers that several formats share."""

from __future__ import annotations

import json
from typing import Any, Mapping, Protocol

from tracer.messages import ChatAnswer, ChatRequest
from tracer.model import Kind, Usage
from tracer.providers.headers import Headers
from tracer.wire import HttpResponse

#: More than any call can count; what is larger (or infinite) is no number of tokens.
_MOST = 2**53


class Format(Protocol):
    """One provider's wire format: pure functions over bytes. None of the readers raises, whatever the bytes are."""

    @property
    def kind(self) -> Kind: ...
    @property
    def operation(self) -> str:
        """The name of the step: ``chat``, ``embeddings``."""

    @property
    def path(self) -> str:
        """What follows an endpoint's base URL, for the model that was asked: ``/chat/completions``."""

    def path_for(self, model: str) -> str:
        """The same for another model: some formats name the model there, and not in the body."""

    def request(self, body: bytes) -> ChatRequest:
        """What was asked, in normal form."""

    def answer(self, status: int, headers: Headers, body: bytes) -> ChatAnswer:
        """What came back, in normal form. ``body`` is decompressed; a stream's events are joined here."""

    def dress(self, request: ChatRequest, answer: ChatAnswer) -> HttpResponse:
        """An answer as the SDK that sent ``request`` expects it. ConfigError where the format has no such form."""

    def readdress(self, body: bytes, model: str) -> bytes:
        """The same request, for another model."""

    def speaks(self, data: str) -> bool:
        """Whether one event of a stream carries something that the model said."""

    def is_whole(self, headers: Headers, body: bytes) -> bool:
        """Whether a body is all there, though its reader stopped before the connection's end."""


def parse(body: bytes | str) -> dict[str, Any]:
    """The JSON object in a body; an empty one where there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def type_of(value: Any) -> str:
    """The ``type`` that an object says it is; always a string, for whatever is looked up must be hashable."""
    return text(mapping(value).get("type")) or ""


def text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def count(*candidates: Any) -> int | None:
    """The first of these that is a number of tokens. (28.0 is one: Titan writes so.)"""
    for n in candidates:
        if isinstance(n, int | float) and not isinstance(n, bool) and n >= 0 and n == n // 1 and n < _MOST:
            return int(n)
    return None


def total_of(*parts: int | None) -> int | None:
    """The sum of what is known; None where nothing is."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def usage_of(raw: Any) -> Usage:
    """Token counts as OpenAI and those who speak its format give them."""
    if not isinstance(raw, dict) or not raw:
        return Usage()
    inputs = mapping(raw.get("prompt_tokens_details") or raw.get("prompt_token_details"))
    outputs = mapping(raw.get("completion_tokens_details") or raw.get("completion_token_details"))
    prompt, completion = count(raw.get("prompt_tokens")), count(raw.get("completion_tokens"))
    total, reasoning = count(raw.get("total_tokens")), count(outputs.get("reasoning_tokens"))
    if prompt is not None and completion is not None and total is not None and total > prompt + completion:
        # Gemini's and Grok's endpoints count thinking in the total alone, though it is billed as output.
        reasoning = reasoning or total - prompt - completion
        completion = total - prompt
    cached = (raw.get("prompt_cache_hit_tokens"), raw.get("cached_tokens"), raw.get("num_cached_tokens"))
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=count(inputs.get("cached_tokens"), *cached),
        cache_write_tokens=count(inputs.get("cache_write_tokens")),
        reasoning_tokens=reasoning,
        input_audio_tokens=count(inputs.get("audio_tokens")),
        output_audio_tokens=count(outputs.get("audio_tokens")),
        raw=raw,
    )


def error_of(status: int, body: Mapping[str, Any], fallback: bytes) -> Mapping[str, Any] | None:
    """A provider's error object. A status from 400 on always has one, made from the body's text if need be."""
    error = body.get("error")
    if isinstance(error, dict) and error:
        return error
    if isinstance(error, str) and error:
        return {"message": error}
    if status < 400:
        return None
    detail = text(body.get("message")) or text(body.get("detail")) or fallback.decode("utf-8", "replace")[:500]
    return {**body, "message": detail}


def error_type_of(error: Mapping[str, Any], headers: Headers) -> str | None:
    """The provider's own word for what went wrong: ``rate_limit_error``, ``RESOURCE_EXHAUSTED``."""
    # Amazon's goes on with a colon and an address.
    of_amazon = headers.get("x-amzn-errortype", "").partition(":")[0]
    words = (error.get("type"), error.get("status"), of_amazon, error.get("__type"), error.get("code"))
    return next((word for word in words if isinstance(word, str) and word), None)
