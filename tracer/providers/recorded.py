"""Formats over what a store holds: a recorded request and its response, as wire values."""

from __future__ import annotations

import json
import zlib
from urllib.parse import urlsplit

import zstandard

from tracer.errors import ConfigError
from tracer.messages import ChatAnswer, ChatRequest
from tracer.providers.base import Format
from tracer.providers.formats import find
from tracer.providers.headers import lowered
from tracer.wire import HttpRequest, HttpResponse

#: The most that a compressed body may grow to: a recorded one may be hostile.
_INFLATE_LIMIT = 64 << 20


def read(request: HttpRequest, response: HttpResponse) -> ChatAnswer | None:
    """What a recorded response says; None where the request is no model call, or the body can't be decompressed."""
    wire_format = _format_of(request)
    body = plain_body(response)
    if wire_format is None or body is None:
        return None
    return wire_format.answer(response.status, lowered(response.headers), body)


def asked(request: HttpRequest) -> ChatRequest | None:
    """What a recorded request asks; None where it is no call of a chat model."""
    wire_format = _format_of(request)
    return wire_format.request(_content(request)) if wire_format is not None and wire_format.kind == "llm" else None


def dress(request: HttpRequest, answer: ChatAnswer) -> HttpResponse | None:
    """An answer as the sender of ``request`` expects it; None where its format is unknown or can't say it."""
    wire_format = _format_of(request)
    if wire_format is None:
        return None
    try:
        return wire_format.dress(wire_format.request(_content(request)), answer)
    except ConfigError:
        return None


def plain_body(response: HttpResponse) -> bytes | None:
    """The body decompressed, as far as it came; None where its compression is unknown or its bytes are not that."""
    body = response.raw
    try:
        match lowered(response.headers).get("content-encoding", "").strip().lower():
            case "" | "identity":
                return body
            case "gzip" | "x-gzip":
                return zlib.decompressobj(31).decompress(body, _INFLATE_LIMIT)
            case "deflate":
                return zlib.decompressobj().decompress(body, _INFLATE_LIMIT)
            case "zstd":
                with zstandard.ZstdDecompressor().stream_reader(body) as reader:
                    return reader.read(_INFLATE_LIMIT)
    except (zlib.error, zstandard.ZstdError):
        return None
    return None


def _format_of(request: HttpRequest) -> Format | None:
    parts = urlsplit(request.url)
    return find(request.method, parts.hostname or "", parts.path, _content(request))


def _content(request: HttpRequest) -> bytes:
    body = request.body
    if isinstance(body, bytes):
        return body
    return b"" if body is None or isinstance(body, str) else json.dumps(body, default=repr).encode()
