"""OTLP in protobuf, written: requests of spans, and what a server answers."""

from __future__ import annotations

import struct
from itertools import groupby
from typing import Any, Mapping, Sequence

from tracer.otlp.span import DEEPEST, Link, Span, SpanEvent

_VARINT, _FIXED64, _BYTES = 0, 1, 2
_double = struct.Struct("<d").pack
_I64 = 1 << 63


def write(spans: Sequence[Span]) -> bytes:
    """An ExportTraceServiceRequest; neighbours of one source share its resource and scope."""
    parts = []
    for _, group in groupby(spans, lambda span: id(span.source)):
        mine = list(group)
        source = mine[0].source
        resource = _key_values(1, source.resource)
        scope = _string(1, source.scope) + _string(2, source.version)
        scoped = _bytes(1, scope) + b"".join(_bytes(2, _span(span)) for span in mine)
        parts.append(_bytes(1, _bytes(1, resource) + _bytes(2, scoped)))
    return b"".join(parts)


def answer(rejected: int, message: str) -> bytes:
    """An ExportTraceServiceResponse: empty where all was taken."""
    if not rejected and not message:
        return b""
    return _bytes(1, _number(1, rejected) + _string(2, message))


def status(code: int, message: str) -> bytes:
    """A google.rpc.Status, which a refused request is answered with."""
    return _number(1, code) + _string(2, message)


def _span(span: Span) -> bytes:
    ended = _number(3, span.status)
    told = _string(2, span.status_message) + ended
    return b"".join(
        (
            _bytes(1, span.trace_id),
            _bytes(2, span.span_id),
            _string(3, span.trace_state),
            _bytes(4, span.parent_id) if span.parent_id else b"",
            _string(5, span.name),
            _number(6, span.kind),
            _fixed(7, span.start_ns),
            _fixed(8, span.end_ns),
            _key_values(9, span.attributes),
            *(_bytes(11, _event(event)) for event in span.events),
            *(_bytes(13, _link(link)) for link in span.links),
            _bytes(15, told) if told else b"",
        )
    )


def _event(event: SpanEvent) -> bytes:
    return _fixed(1, event.at_ns) + _string(2, event.name) + _key_values(3, event.attributes)


def _link(link: Link) -> bytes:
    return _bytes(1, link.trace_id) + _bytes(2, link.span_id) + _key_values(4, link.attributes)


def _key_values(number: int, attributes: Mapping[str, Any], depth: int = 0) -> bytes:
    return b"".join(
        _bytes(number, _string(1, key) + _bytes(2, _value(value, depth))) for key, value in attributes.items()
    )


def _value(value: Any, depth: int) -> bytes:
    """An AnyValue, those of False, 0 and an empty text written out: which of them it is counts."""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        in_range = -_I64 <= value < _I64
        return _tag(3, _VARINT) + _varint(value & (2 * _I64 - 1)) if in_range else _bytes(1, str(value).encode())
    if isinstance(value, float):
        return _tag(4, _FIXED64) + _double(value)
    if isinstance(value, bytes):
        return _bytes(7, value)
    if value is None:
        return b""
    if isinstance(value, Mapping) and depth < DEEPEST:
        return _bytes(6, _key_values(1, {str(key): item for key, item in value.items()}, depth + 1))
    if isinstance(value, list | tuple) and depth < DEEPEST:
        return _bytes(5, b"".join(_bytes(1, _value(item, depth + 1)) for item in value))
    return _bytes(1, _utf8(str(value)))


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _bytes(number: int, data: bytes) -> bytes:
    return _tag(number, _BYTES) + _varint(len(data)) + data


def _string(number: int, text: str) -> bytes:
    return _bytes(number, _utf8(text)) if text else b""


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _number(number: int, value: int) -> bytes:
    return _tag(number, _VARINT) + _varint(value) if value else b""


def _fixed(number: int, value: int) -> bytes:
    return _tag(number, _FIXED64) + value.to_bytes(8, "little") if value else b""


def _varint(value: int) -> bytes:
    pieces: list[int] = []
    while value > 127:
        pieces.append(value & 127 | 128)
        value >>= 7
    return bytes((*pieces, value))
