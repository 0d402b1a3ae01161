"""Recorded spans of other instrumentations, as our spans, and spans for a test that names what it needs."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.sources import REPOSITORY
from tests.tracer.corpus import is_whole, spans
from tracer.otlp.span import Source, Span, SpanEvent

SLICE = REPOSITORY / "tests" / "data" / "otel-spans"
_CODES = {"UNSET": 0, "OK": 1, "ERROR": 2}
TRACE = bytes(range(1, 17))
#: 2026-01-01, in nanoseconds.
BEGAN_NS = 1_767_225_600 * 10**9


def replayed(instrumentation: str) -> Iterator[tuple[dict[str, Any], Span]]:
    """What an instrumentation said of recorded exchanges, as it was saved and as a span."""
    for saved in _saved():
        if saved["instrumentation"] == instrumentation:
            said = saved["span"]
            span = Span(
                trace_id=bytes.fromhex(said["context"]["trace_id"][2:]),
                span_id=bytes.fromhex(said["context"]["span_id"][2:]),
                parent_id=None,
                name=said["name"],
                start_ns=_ns(said["start_time"]),
                end_ns=_ns(said["end_time"]),
                kind=3,
                attributes=said["attributes"],
                events=tuple(
                    SpanEvent(_ns(event["timestamp"]), event["name"], event["attributes"]) for event in said["events"]
                ),
                status=_CODES[said["status"]["status_code"]],
                status_message=said["status"].get("description", ""),
                source=Source({}, instrumentation),
            )
            yield saved, span


@cache
def _saved() -> tuple[dict[str, Any], ...]:
    """All of them where the collection lies beside the checkout, else our slice."""
    if is_whole():
        return spans()
    with gzip.open(SLICE / "replayed.jsonl.gz", "rt", encoding="utf-8") as lines:
        return tuple(map(json.loads, lines))


def of_vercel() -> dict[str, Span]:
    """The spans of Vercel's SDK, by their names."""
    lines = (SLICE / "vercel-ai.jsonl").read_text().splitlines()
    return {said["name"]: _of_javascript(said) for said in map(json.loads, lines)}


def a_span(number: int, parent: int | None = None, name: str = "", **fields: Any) -> Span:
    """The span of that number: it begins as many microseconds after the trace."""
    given: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": number.to_bytes(8, "big"),
        "parent_id": None if parent is None else parent.to_bytes(8, "big"),
        "name": name or f"span {number}",
        "start_ns": BEGAN_NS + number * 1_000,
        "end_ns": BEGAN_NS + 10**6 + number,
    }
    return Span(**given | fields)


def _ns(text: str) -> int:
    moment = dt.datetime.fromisoformat(text)
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1_000


def _of_javascript(said: dict[str, Any]) -> Span:
    start, end = (second * 10**9 + rest for second, rest in (said["startTime"], said["endTime"]))
    context = said["spanContext"]
    return Span(
        trace_id=bytes.fromhex(context["traceId"]),
        span_id=bytes.fromhex(context["spanId"]),
        parent_id=None,
        name=said["name"],
        start_ns=start,
        end_ns=end,
        attributes=said["attributes"],
        source=Source({}, "ai"),
    )
