"""OTLP's requests as JSON documents, read and written: ids in hex, 64-bit numbers as texts, names in camel case.

Read as its specification asks: unknown names are passed over, numbers may be texts or numbers, enums are numbers (and
their names, which other writers use). Raises NotOtlp, which names the place.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from itertools import groupby
from typing import Any, Iterable, Mapping, Sequence

from tracer.otlp.span import DEEPEST, Link, NotOtlp, Request, Source, Span, SpanEvent

_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUSES = ("UNSET", "OK", "ERROR")


def read(body: bytes | str) -> Request:
    """The spans of a request in JSON."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotOtlp(f"no JSON: {error}") from None
    if not isinstance(document, dict):
        raise NotOtlp('no request of OTLP: an object with "resourceSpans" is meant')
    request = Request()
    for of_resource in _objects(document, "resourceSpans"):
        resource = _attributes(_object(of_resource, "resource"))
        for of_scope in _objects(of_resource, "scopeSpans"):
            scope = _object(of_scope, "scope")
            source = Source(resource, _text(scope, "name"), _text(scope, "version"))
            for said in _objects(of_scope, "spans"):
                _take(said, source, request)
    return request


def read_answer(body: bytes | str) -> tuple[int, str]:
    """What a server said to a request that it took: how many spans were rejected, and why."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotOtlp(f"no JSON: {error}") from None
    partial = _object(said if isinstance(said, dict) else {}, "partialSuccess")
    return _whole(partial, "rejectedSpans"), _text(partial, "errorMessage")


def _take(said: Mapping[str, Any], source: Source, request: Request) -> None:
    # a span that can't be read is no reason to refuse the others
    try:
        span = _span(said, source)
    except NotOtlp as error:
        request.refuse(str(error))
    else:
        request.take(span)


def _span(said: Mapping[str, Any], source: Source) -> Span:
    status = _object(said, "status")
    return Span(
        trace_id=_id(said, "traceId"),
        span_id=_id(said, "spanId"),
        trace_state=_text(said, "traceState"),
        parent_id=_id(said, "parentSpanId") or None,
        name=_text(said, "name"),
        kind=_enum(said.get("kind"), "SPAN_KIND_", _KINDS),
        start_ns=_whole(said, "startTimeUnixNano"),
        end_ns=_whole(said, "endTimeUnixNano"),
        attributes=_attributes(said),
        events=tuple(
            SpanEvent(_whole(each, "timeUnixNano"), _text(each, "name"), _attributes(each))
            for each in _objects(said, "events")
        ),
        links=tuple(
            Link(_id(each, "traceId"), _id(each, "spanId"), _attributes(each)) for each in _objects(said, "links")
        ),
        status=_enum(status.get("code"), "STATUS_CODE_", _STATUSES),
        status_message=_text(status, "message"),
        source=source,
    )


def _objects(said: Mapping[str, Any], name: str) -> Iterable[Mapping[str, Any]]:
    given = said.get(name)
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise NotOtlp(f"no request of OTLP: {name} is no list of objects")
    return given


def _object(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    given = said.get(name)
    if given is not None and not isinstance(given, dict):
        raise NotOtlp(f"no request of OTLP: {name} is no object")
    return given or {}


def _text(said: Mapping[str, Any], name: str) -> str:
    given = said.get(name)
    if given is not None and not isinstance(given, str):
        raise NotOtlp(f"no request of OTLP: {name} is {given!r:.80}, not a text")
    return given or ""


def _id(said: Mapping[str, Any], name: str) -> bytes:
    text = _text(said, name)
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise NotOtlp(f"no request of OTLP: {name} is {text!r:.80}, not an id in hex") from None


def _whole(said: Mapping[str, Any], name: str) -> int:
    return _integer(said.get(name) or 0, name)


def _integer(given: Any, name: str) -> int:
    try:
        if isinstance(given, str | int):
            number = int(given)
            if -(2**63) <= number < 2**64:
                return number
        elif isinstance(given, float) and given.is_integer() and abs(given) < 2**63:
            return int(given)
    except ValueError:
        pass
    raise NotOtlp(f"no request of OTLP: {name} is {given!r:.80}, not a number of 64 bits")


def _enum(given: Any, prefix: str, names: Sequence[str]) -> int:
    if isinstance(given, str) and given.removeprefix(prefix) in names:
        return names.index(given.removeprefix(prefix))
    return given if isinstance(given, int) and 0 <= given < len(names) else 0


def _attributes(said: Mapping[str, Any], name: str = "attributes", depth: int = 0) -> dict[str, Any]:
    return {_text(each, "key"): _value(_object(each, "value"), depth) for each in _objects(said, name)}


def _value(said: Mapping[str, Any], depth: int) -> Any:
    if depth > DEEPEST:
        raise NotOtlp(f"a value of an attribute has more than {DEEPEST} levels")
    for name, given in said.items():
        match name:
            case "stringValue" | "boolValue":
                return given if isinstance(given, str | bool) else None
            case "intValue":
                return _integer(given, name)
            case "doubleValue":
                return _double(given)
            case "arrayValue":
                return [_value(each, depth + 1) for each in _objects(_object(said, name), "values")]
            case "kvlistValue":
                return _attributes(_object(said, name), "values", depth + 1)
            case "bytesValue":
                return _base64(given)
    return None


def _double(given: Any) -> float:
    try:
        return float(given)
    except (TypeError, ValueError, OverflowError):
        raise NotOtlp(f"no request of OTLP: doubleValue is {given!r:.80}, not a number") from None


def _base64(given: Any) -> bytes:
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise NotOtlp(f"no request of OTLP: bytesValue is {given!r:.80}, not base64") from None


def write(spans: Sequence[Span]) -> dict[str, Any]:
    """A request as a document, ready for ``json.dumps``."""
    resources = []
    for _, group in groupby(spans, lambda span: id(span.source)):
        mine = list(group)
        source = mine[0].source
        scoped = {
            "scope": _without_empty(name=source.scope, version=source.version),
            "spans": [_span_out(span) for span in mine],
        }
        resources.append({"resource": {"attributes": _listed(source.resource)}, "scopeSpans": [scoped]})
    return {"resourceSpans": resources}


def answer(rejected: int, message: str) -> dict[str, Any]:
    """What a server says to a request that it took."""
    if not rejected and not message:
        return {}
    return {"partialSuccess": _without_empty(rejectedSpans=str(rejected) if rejected else "", errorMessage=message)}


def _span_out(span: Span) -> dict[str, Any]:
    return _without_empty(
        traceId=span.trace_id.hex(),
        spanId=span.span_id.hex(),
        traceState=span.trace_state,
        parentSpanId=span.parent_id.hex() if span.parent_id else "",
        name=span.name,
        kind=span.kind,
        startTimeUnixNano=str(span.start_ns),
        endTimeUnixNano=str(span.end_ns) if span.end_ns else "",
        attributes=_listed(span.attributes),
        events=[
            _without_empty(timeUnixNano=str(each.at_ns), name=each.name, attributes=_listed(each.attributes))
            for each in span.events
        ],
        links=[
            _without_empty(traceId=each.trace_id.hex(), spanId=each.span_id.hex(), attributes=_listed(each.attributes))
            for each in span.links
        ],
        status=_without_empty(code=span.status, message=span.status_message),
    )


def _without_empty(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _listed(attributes: Mapping[str, Any], depth: int = 0) -> list[dict[str, Any]]:
    return [{"key": str(key), "value": _value_out(value, depth)} for key, value in attributes.items()]


def _value_out(value: Any, depth: int) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)} if -(2**63) <= value < 2**63 else {"stringValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _NOT_FINITE[str(value)]}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if value is None:
        return {}
    if isinstance(value, Mapping) and depth < DEEPEST:
        return {"kvlistValue": {"values": _listed(value, depth + 1)}}
    if isinstance(value, list | tuple) and depth < DEEPEST:
        return {"arrayValue": {"values": [_value_out(item, depth + 1) for item in value]}}
    return {"stringValue": str(value)}


_NOT_FINITE = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
