"""OTLP's requests in protobuf, read: by the numbers of ``opentelemetry/proto/trace/v1``, whatever else stands there.

Fields of a later version are passed over. Raises NotOtlp for bytes that are no protobuf.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Iterator, Mapping

from tracer.otlp.span import DEEPEST, Link, NotOtlp, Request, Source, Span, SpanEvent

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_double = struct.Struct("<d").unpack
_Field = tuple[int, Any]


def read(body: bytes) -> Request:
    """The spans of an ExportTraceServiceRequest."""
    request = Request()
    for number, value in _fields(body):
        if number == 1:
            _resource_spans(_message(value), request)
    return request


def read_answer(body: bytes) -> tuple[int, str]:
    """Of an ExportTraceServiceResponse: how many spans were rejected, and why."""
    partial = dict(_fields(_message(dict(_fields(body)).get(1, b""))))
    return _whole(partial.get(1, 0)), _text(partial.get(2, b""))


def _resource_spans(data: bytes, request: Request) -> None:
    resource: dict[str, Any] = {}
    scoped = []
    for number, value in _fields(data):
        if number == 1:
            resource |= _resource(_message(value))
        elif number == 2:
            scoped.append(_message(value))
    for each in scoped:
        _scope_spans(each, resource, request)


def _resource(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        if number == 1:
            _key_value(_message(value), found)
    return found


def _scope_spans(data: bytes, resource: dict[str, Any], request: Request) -> None:
    scope = version = ""
    spans = []
    for number, value in _fields(data):
        if number == 1:
            said = dict(_fields(_message(value)))
            scope, version = _text(said.get(1, b"")), _text(said.get(2, b""))
        elif number == 2:
            spans.append(_message(value))
    source = Source(resource, scope, version)
    for each in spans:
        request.take(_span(each, source))


def _span(data: bytes, source: Source) -> Span:
    said: dict[int, Any] = {}
    attributes: dict[str, Any] = {}
    events: list[SpanEvent] = []
    links: list[Link] = []
    for number, value in _fields(data):
        if number == 9:
            _key_value(_message(value), attributes)
        elif number == 11:
            events.append(_event(_message(value)))
        elif number == 13:
            links.append(_link(_message(value)))
        else:
            said[number] = value
    status = dict(_fields(_message(said.get(15, b""))))
    return Span(
        trace_id=_message(said.get(1, b"")),
        span_id=_message(said.get(2, b"")),
        trace_state=_text(said.get(3, b"")),
        parent_id=_message(said.get(4, b"")) or None,
        name=_text(said.get(5, b"")),
        kind=_whole(said.get(6, 0)),
        start_ns=_whole(said.get(7, 0)),
        end_ns=_whole(said.get(8, 0)),
        attributes=attributes,
        events=tuple(events),
        links=tuple(links),
        status=_whole(status.get(3, 0)),
        status_message=_text(status.get(2, b"")),
        source=source,
    )


def _event(data: bytes) -> SpanEvent:
    at_ns, name = 0, ""
    attributes: dict[str, Any] = {}
    for number, value in _fields(data):
        if number == 1:
            at_ns = _whole(value)
        elif number == 2:
            name = _text(value)
        elif number == 3:
            _key_value(_message(value), attributes)
    return SpanEvent(at_ns, name, attributes)


def _link(data: bytes) -> Link:
    trace_id = span_id = b""
    attributes: dict[str, Any] = {}
    for number, value in _fields(data):
        if number == 1:
            trace_id = _message(value)
        elif number == 2:
            span_id = _message(value)
        elif number == 4:
            _key_value(_message(value), attributes)
    return Link(trace_id, span_id, attributes)


def _key_value(data: bytes, into: dict[str, Any], depth: int = 0) -> None:
    key, value = "", None
    for number, said in _fields(data):
        if number == 1:
            key = _text(said)
        elif number == 2:
            value = _value(_message(said), depth)
    into[key] = value


def _value(data: bytes, depth: int) -> Any:
    """An AnyValue; None for an empty one."""
    if depth > DEEPEST:
        raise NotOtlp(f"a value of an attribute has more than {DEEPEST} levels")
    found: Any = None
    for number, value in _fields(data):
        if number == 5:
            found = [_value(_message(each), depth + 1) for inner, each in _fields(_message(value)) if inner == 1]
        elif number == 6:
            found = {}
            for inner, each in _fields(_message(value)):
                if inner == 1:
                    _key_value(_message(each), found, depth + 1)
        elif number in _PLAIN:
            found = _PLAIN[number](value)
    return found


def _fields(data: bytes) -> Iterator[_Field]:
    """The fields of a message as they stand: (number, int) for numbers, (number, bytes) for all else."""
    at, end = 0, len(data)
    while at < end:
        tag = data[at]
        at += 1
        if tag > 127:
            tag, at = _varint(data, at - 1)
        wire = tag & 7
        if wire == _BYTES:
            size, at = _varint(data, at)
            stop = at + size
            value: Any = data[at:stop]
        elif wire == _VARINT:
            value, stop = _varint(data, at)
        elif wire == _FIXED64:
            stop = at + 8
            value = int.from_bytes(data[at:stop], "little")
        elif wire == _FIXED32:
            stop = at + 4
            value = int.from_bytes(data[at:stop], "little")
        else:
            raise NotOtlp(f"no protobuf: wire type {wire}")
        if stop > end or not tag >> 3:
            raise NotOtlp("no protobuf: a field ends behind its message" if stop > end else "no protobuf: field 0")
        yield tag >> 3, value
        at = stop


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends; of its bits the lower 64 count, as everywhere in protobuf."""
    found = shift = 0
    try:
        while (byte := data[at]) > 127:
            found |= (byte & 127) << shift
            shift += 7
            at += 1
            if shift > 63:
                raise NotOtlp("no protobuf: a number of more than ten bytes")
        return (found | byte << shift) & 0xFFFFFFFFFFFFFFFF, at + 1
    except IndexError:
        raise NotOtlp("no protobuf: it ends inside a number") from None


def _message(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise NotOtlp("no request of OTLP: a number where a message or a text belongs")
    return value


def _text(value: Any) -> str:
    return _message(value).decode("utf-8", "replace")


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise NotOtlp("no request of OTLP: a text where a number belongs")
    return value


def _signed(value: Any) -> int:
    number = _whole(value)
    return number - (1 << 64) if number >> 63 else number


def _float(value: Any) -> float:
    found: float = _double(_whole(value).to_bytes(8, "little"))[0]
    return found


#: The fields of an AnyValue that hold no other values.
_PLAIN: Mapping[int, Callable[[Any], Any]] = {1: _text, 2: bool, 3: _signed, 4: _float, 7: _message}
