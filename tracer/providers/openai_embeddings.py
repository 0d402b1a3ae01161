"""OpenAI's embeddings, as OpenAI, Azure, Mistral and many servers speak them."""

from __future__ import annotations

from dataclasses import replace

from tracer.messages import ChatAnswer, ChatRequest, Message
from tracer.model import Kind
from tracer.providers.base import parse, sequence, text, usage_of
from tracer.providers.headers import Headers
from tracer.providers.reader import Json, Reader

_OWN_FIELDS = ("model", "input")


class OpenAIEmbeddings(Reader):
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

    def said(self, given: Json, headers: Headers) -> ChatAnswer:  # noqa: ARG002 - the format's shape
        usage = usage_of(given.get("usage"))
        if usage.input_tokens is not None and usage.output_tokens is None:
            usage = replace(usage, output_tokens=0)  # a vector is not made of tokens
        return ChatAnswer(
            message=Message("assistant", ""),
            model=text(given.get("model")),
            finish_reason=None,
            usage=usage,
            response_id=text(given.get("id")),
        )
