"""A span as plain values, whichever encoding it came in, and what became of a request that holds some."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

#: ``SpanKind`` and ``StatusCode``, by their numbers on the wire.
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
UNSET, OK, ERROR = 0, 1, 2
#: Spans of one request; a batch of the SDKs has 512.
MOST_SPANS = 20_000
#: Attributes of one span, and events and links of one; the SDKs keep 128 of each.
MOST_OF_A_SPAN = 2_000
#: How deep lists and mappings may lie in one another in a value.
DEEPEST = 32
#: The last nanosecond that a store's column holds.
LAST_NS = 2**63 - 1

Attributes = Mapping[str, Any]


class NotOtlp(ValueError):
    """These bytes are no request of OTLP; says where they stop being one."""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    at_ns: int
    name: str
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    trace_id: bytes
    span_id: bytes
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """Who made a span: the resource's attributes, and the instrumentation that wrote it."""

    resource: Attributes = field(default_factory=dict)
    scope: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """``end_ns`` 0: it has not ended. Values of attributes: str, bool, int, float, bytes, and lists and mappings."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes | None
    name: str
    start_ns: int
    end_ns: int
    kind: int = INTERNAL
    attributes: Attributes = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[Link, ...] = ()
    status: int = UNSET
    status_message: str = ""
    source: Source = field(default_factory=Source)
    trace_state: str = ""


@dataclass(slots=True)
class Request:
    """The spans of a request, and how many could not be taken, with the first reason."""

    spans: list[Span] = field(default_factory=list)
    rejected: int = 0
    reason: str = ""

    def take(self, span: Span) -> None:
        """Keep a span, or count it and say why not."""
        wrong = _wrong(span)
        if wrong is None and len(self.spans) >= MOST_SPANS:
            wrong = f"a request has at most {MOST_SPANS:,} spans"
        if wrong is None:
            self.spans.append(span)
        else:
            self.refuse(wrong)

    def refuse(self, reason: str) -> None:
        self.rejected += 1
        self.reason = self.reason or reason


def _wrong(span: Span) -> str | None:
    for name, value, size in (("traceId", span.trace_id, 16), ("spanId", span.span_id, 8)):
        if len(value) != size or not any(value):
            said = value.hex()[:40] or "empty"
            return f"{name} of span {span.name[:80]!r} is {said}, not {size} bytes that are not all 0"
    if span.parent_id is not None and len(span.parent_id) != 8:
        return f"parentSpanId of span {span.name[:80]!r} is {span.parent_id.hex()[:40]}, not 8 bytes"
    if not 0 < span.start_ns <= LAST_NS or not 0 <= span.end_ns <= LAST_NS:
        return f"span {span.name[:80]!r} has no time that can be kept: it begins at {span.start_ns}"
    if max(len(span.attributes), len(span.events), len(span.links)) > MOST_OF_A_SPAN:
        return f"span {span.name[:80]!r} has more than {MOST_OF_A_SPAN:,} attributes, events or links"
    return None
