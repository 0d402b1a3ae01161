"""Which wire format a request speaks."""

from __future__ import annotations

from tracer.providers.base import Format
from tracer.providers.openai_chat import OpenAIChat
from tracer.providers.openai_embeddings import OpenAIEmbeddings

CHAT: Format = OpenAIChat()
EMBEDDINGS: Format = OpenAIEmbeddings()


def find(method: str, host: str, path: str, body: bytes | None) -> Format | None:  # noqa: ARG001 - other formats ask it
    """The format of a model call, or None for any other request.

    ``path`` is without query and fragment; ``body`` is None where it isn't known before it is sent.
    """
    if method.upper() != "POST":
        return None
    path = path.rstrip("/")
    if path.endswith(CHAT.path):
        return CHAT if body is None or b'"messages"' in body else None
    if path.endswith(EMBEDDINGS.path):
        # Vector stores have paths of that name too; only a request for vectors has an input.
        return EMBEDDINGS if body is None or b'"input"' in body else None
    return None
