"""A recorded HTTP exchange read as a conversation. Whatever can't be read that way is shown as the value that it is."""

from __future__ import annotations

import json
import zlib
from typing import Any
from urllib.parse import urlsplit

import zstandard

from tracer import providers
from tracer.providers import Format
from tracer.wire import HttpRequest, HttpResponse
from web.view.conversation import Conversation, answered, asked
from web.view.payload import PANEL, Limits

#: The most that a compressed body may grow to here.
_INFLATE_LIMIT = 8_000_000


def said(value: Any, *, request: Any = None, limits: Limits = PANEL) -> Conversation | None:
    """The turns in a request or a response (which needs its request to know the format); None where there are none."""
    if isinstance(value, HttpRequest):
        wire_format = _format(value)
        if wire_format is None or wire_format.kind != "llm":
            return None
        view = asked(wire_format.request(_body(value)), limits=limits)
        return view if view.turns else None
    if isinstance(value, HttpResponse) and isinstance(request, HttpRequest):
        wire_format = _format(request)
        if wire_format is None or wire_format.kind != "llm":
            return None
        headers = {name.lower(): text for name, text in value.headers}
        body = _inflate(value.raw, headers.get("content-encoding", ""))
        if body is None:
            return None
        view = answered(wire_format.answer(value.status, headers.get("content-type", ""), body), limits=limits)
        return view if view.turns or view.error else None
    return None


def _format(request: HttpRequest) -> Format | None:
    parts = urlsplit(request.url)
    return providers.find(request.method, parts.hostname or "", parts.path, _body(request))


def _body(request: HttpRequest) -> bytes:
    body = request.body
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    return b"" if body is None else json.dumps(body, default=repr).encode()


def _inflate(data: bytes, encoding: str) -> bytes | None:
    """The body as text bytes; None where its compression is unknown here or its bytes are not what they claim."""
    try:
        match encoding.strip().lower():
            case "" | "identity":
                return data
            case "gzip" | "x-gzip":
                return zlib.decompressobj(31).decompress(data, _INFLATE_LIMIT)
            case "deflate":
                return zlib.decompressobj().decompress(data, _INFLATE_LIMIT)
            case "zstd":
                return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except (zlib.error, zstandard.ZstdError):
        return None
    return None
