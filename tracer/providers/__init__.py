"""Wire formats of model providers: one module each, pure functions over bytes."""

from __future__ import annotations

from tracer.providers.base import Format
from tracer.providers.formats import CHAT, EMBEDDINGS, MESSAGES, RESPONSES, find
from tracer.providers.hosts import provider_of
from tracer.providers.recorded import dress, plain_body, read

__all__ = [
    "CHAT",
    "EMBEDDINGS",
    "MESSAGES",
    "RESPONSES",
    "Format",
    "dress",
    "find",
    "plain_body",
    "provider_of",
    "read",
]
