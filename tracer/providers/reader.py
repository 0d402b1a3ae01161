"""What the formats have in common: a stream is joined into the plain form, so that one reader serves both."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import replace
from typing import Any, Iterable, Mapping

from tracer.errors import ConfigError
from tracer.messages import ChatAnswer, ChatRequest
from tracer.model import Kind
from tracer.providers.base import error_of, error_type_of, parse
from tracer.providers.headers import Headers, content_type_of, request_id_of, retry_after_s
from tracer.providers.stream import DONE, data_of, framing
from tracer.wire import HttpResponse

Json = Mapping[str, Any]


class Reader(ABC):
    """A base.Format but for ``request``, ``said`` and, where it streams, ``joined``."""

    kind: Kind = "llm"
    operation = "chat"
    path = ""

    @abstractmethod
    def request(self, body: bytes) -> ChatRequest: ...

    @abstractmethod
    def said(self, given: Json, headers: Headers) -> ChatAnswer:
        """The answer in a plain body; what the protocol around it says is added by ``answer``."""

    def joined(self, events: Iterable[Json]) -> Json:
        """A stream's events as the one object that the same call would have given without streaming."""
        return next(iter(events), {})

    def answer(self, status: int, headers: Headers, body: bytes) -> ChatAnswer:
        how = framing(content_type_of(headers), body)
        given = parse(body) if how is None else self.joined(map(parse, data_of(body, how)))
        error = error_of(status, given, body)
        return replace(
            self.said(given, headers),
            error=error,
            error_type=None if error is None else error_type_of(error, headers),
            retry_after_s=None if error is None else retry_after_s(status, headers, error),
            request_id=request_id_of(headers, given),
        )

    def path_for(self, model: str) -> str:  # noqa: ARG002 - most name the model in the body
        return self.path

    def readdress(self, body: bytes, model: str) -> bytes:
        return json.dumps({**parse(body), "model": model}).encode()

    def dress(self, request: ChatRequest, answer: ChatAnswer) -> HttpResponse:  # noqa: ARG002
        what = "an embeddings call" if self.kind == "embedding" else f"a call to {self.path}"
        raise ConfigError(f"a Python callable can't answer {what}: give that target a base_url")

    def speaks(self, data: str) -> bool:  # noqa: ARG002 - embeddings don't stream
        return False

    def ends(self, data: str) -> bool:
        """Whether an event is a stream's last."""
        return data.strip() == DONE or "error" in parse(data)

    def is_whole(self, headers: Headers, body: bytes) -> bool:
        how = framing(content_type_of(headers), body)
        if how is None:
            return bool(parse(body))
        return any(self.ends(data) for data in deque(data_of(body, how), maxlen=1))
