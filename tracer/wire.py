"""An HTTP exchange as a recorded value: what was sent, and what came back, chunk by chunk.

These are the input and the output of a step of kind llm, embedding or http. Credentials are gone before one is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """``body`` is the parsed JSON where the body is JSON, text where it is text, bytes otherwise, None where empty."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: Any


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes as the client received them, and when: nanoseconds after the request was sent."""

    after_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The bytes are as they came over the wire: still compressed where ``headers`` say so.

    ``ended`` says how the body came to its end: ``complete``, ``closed`` (the reader stopped early) or ``broken``
    (the connection failed mid-way; ``error`` then names the exception). Status 0: it failed before any response came.
    ``cut``: it was larger than is kept, and can't be served (the codec marks it lossy).
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: tuple[Chunk, ...]
    ended: str = "complete"
    error: str | None = None

    @property
    def raw(self) -> bytes:
        return b"".join(chunk.data for chunk in self.chunks)
