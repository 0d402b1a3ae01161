"""An HTTP exchange without what is another at every recording, so that a cassette changes only where the answer does.

Taken out: when each chunk came and how the network cut them, compression, and headers that tell of one moment (a date,
a request's number, what is left of a rate limit). What a client acts upon stays: status, content type, ``retry-after``,
how the body ended, and the body itself, to the byte. Pure.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from typing import Any

from tracer.wire import Chunk, HttpRequest, HttpResponse

_OF_A_MOMENT = re.compile(
    r"date|age|via|etag|last-modified|expires|server-timing|traceparent|tracestate|traceresponse|nel|report-to|alt-svc"
    r"|cf-.*|(x-)?(.*-)?request-?id|x-amzn-trace-id|x-cloud-trace-context|x-served-by|x-timer|.*-processing-ms"
    r"|.*-(upstream-)?(service|response)-(time|ms)|(x-|anthropic-)?rate-?limit-.*|x-stainless-retry-count",
    re.IGNORECASE,
)
_OF_COMPRESSED = frozenset({"content-encoding", "content-length"})
#: zlib's own: take the format, gzip or deflate, from the first bytes.
_ANY_FORMAT = zlib.MAX_WBITS | 32


def settled(value: Any) -> Any:
    """The value without what is of the moment; anything but an exchange is given back as it is."""
    if isinstance(value, HttpRequest):
        return replace(value, headers=_lasting(value.headers))
    if not isinstance(value, HttpResponse):
        return value
    raw, headers = value.raw, _lasting(value.headers)
    plain = _decompressed(raw, headers)
    if plain is not None:
        raw, headers = plain, tuple(pair for pair in headers if pair[0].lower() not in _OF_COMPRESSED)
    return replace(value, headers=headers, chunks=(Chunk(0, raw),) if raw else ())


def _lasting(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in headers if not _OF_A_MOMENT.fullmatch(pair[0]))


def _decompressed(raw: bytes, headers: tuple[tuple[str, str], ...]) -> bytes | None:
    """The body as it was before it was compressed; None where it was not, or that can't be undone here."""
    encodings = [value.strip().lower() for name, value in headers if name.lower() == "content-encoding"]
    if encodings not in (["gzip"], ["deflate"]):
        return None
    unpacker = zlib.decompressobj(_ANY_FORMAT)
    try:
        plain = unpacker.decompress(raw)
    except zlib.error:
        return None
    return plain if unpacker.eof and not unpacker.unused_data else None
