"""OpenAI's embeddings, as OpenAI, Azure, Mistral and many servers speak them."""

from __future__ import annotations

import json
from dataclasses import replace

from tracer.errors import ConfigError
from tracer.messages import ChatAnswer, ChatRequest, Message
from tracer.model import Kind
from tracer.providers.base import error_of, parse, sequence, text, usage_of
from tracer.wire import HttpResponse

_OWN_FIELDS = ("model", "input")


class OpenAIEmbeddings:
    kind: Kind = "embedding"
    operation = "embeddings"
    path = "/embeddings"

    def request(self, body: bytes) -> ChatRequest:
        """Each text to embed becomes one message; token ids are left out, for nobody can read them."""
        asked = parse(body)
        given = asked.get("input")
        texts = [given] if isinstance(given, str) else [item for item in sequence(given) if isinstance(item, str)]
        return ChatRequest(
            model=text(asked.get("model")),
            messages=tuple(Message("user", item) for item in texts),
            parameters={key: value for key, value in asked.items() if key not in _OWN_FIELDS},
        )

    def answer(self, status: int, content_type: str, body: bytes) -> ChatAnswer:  # noqa: ARG002 - the format's shape
        given = parse(body)
        usage = usage_of(given.get("usage"))
        if usage.input_tokens is not None and usage.output_tokens is None:
            usage = replace(usage, output_tokens=0)  # a vector is not made of tokens
        return ChatAnswer(
            message=Message("assistant", ""),
            model=text(given.get("model")),
            finish_reason=None,
            usage=usage,
            response_id=text(given.get("id")),
            error=error_of(status, given, body),
        )

    def dress(self, request: ChatRequest, answer: ChatAnswer) -> HttpResponse:  # noqa: ARG002
        raise ConfigError("a Python callable can't answer an embeddings call: give that target a base_url")

    def readdress(self, body: bytes, model: str) -> bytes:
        return json.dumps({**parse(body), "model": model}).encode()

    def speaks(self, data: str) -> bool:  # noqa: ARG002 - embeddings don't stream
        return False

    def is_whole(self, content_type: str, body: bytes) -> bool:  # noqa: ARG002
        return bool(parse(body))
