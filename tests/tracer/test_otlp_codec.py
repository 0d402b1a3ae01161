"""OTLP's two encodings, against the library that OpenTelemetry publishes."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tracer.otlp import documents, protobuf, protobuf_out
from tracer.otlp.span import DEEPEST, MOST_SPANS, Link, NotOtlp, Source, Span, SpanEvent

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(1, 2**63 - 1)
LEAVES = st.none() | TEXTS | st.booleans() | NUMBERS | st.floats(allow_nan=False) | st.binary(max_size=6)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
ATTRIBUTES = st.dictionaries(TEXTS, VALUES, max_size=4)
TRACE_IDS = st.binary(min_size=16, max_size=16).filter(any)
SPAN_IDS = st.binary(min_size=8, max_size=8).filter(any)
SPANS = st.builds(
    Span,
    trace_id=TRACE_IDS,
    span_id=SPAN_IDS,
    parent_id=st.none() | SPAN_IDS,
    name=TEXTS,
    start_ns=TIMES,
    end_ns=st.just(0) | TIMES,
    kind=st.integers(0, 5),
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(SpanEvent, TIMES, TEXTS, ATTRIBUTES), max_size=2).map(tuple),
    links=st.lists(st.builds(Link, TRACE_IDS, SPAN_IDS, ATTRIBUTES), max_size=2).map(tuple),
    status=st.integers(0, 2),
    status_message=TEXTS,
    source=st.builds(Source, ATTRIBUTES, TEXTS, TEXTS),
    trace_state=TEXTS,
)


def a_span(**fields: Any) -> Span:
    return Span(
        **{"trace_id": b"t" * 16, "span_id": b"s" * 8, "parent_id": None, "name": "n", "start_ns": 1, "end_ns": 2}
        | fields
    )


def published(value: Any) -> Any:
    """An AnyValue of the library as ours."""
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [published(each) for each in value.array_value.values]
        case "kvlist_value":
            return {each.key: published(each.value) for each in value.kvlist_value.values}
        case name:
            return getattr(value, name)


class TestProtobuf:
    @given(st.lists(SPANS, max_size=3))
    def test_what_is_written_is_read_again(self, spans):
        assert protobuf.read(protobuf_out.write(spans)).spans == spans

    @given(SPANS)
    def test_the_published_library_reads_what_is_written(self, span):
        request = ExportTraceServiceRequest.FromString(protobuf_out.write([span]))
        of_resource = request.resource_spans[0]
        theirs = of_resource.scope_spans[0].spans[0]
        assert (theirs.trace_id, theirs.span_id, theirs.parent_span_id or None) == (
            span.trace_id,
            span.span_id,
            span.parent_id,
        )
        assert (theirs.name, theirs.kind, theirs.trace_state) == (span.name, span.kind, span.trace_state)
        assert (theirs.start_time_unix_nano, theirs.end_time_unix_nano) == (span.start_ns, span.end_ns)
        assert (theirs.status.code, theirs.status.message) == (span.status, span.status_message)
        assert {each.key: published(each.value) for each in theirs.attributes} == span.attributes
        assert {each.key: published(each.value) for each in of_resource.resource.attributes} == span.source.resource
        assert [(each.name, each.time_unix_nano) for each in theirs.events] == [(e.name, e.at_ns) for e in span.events]
        assert [(each.trace_id, each.span_id) for each in theirs.links] == [(e.trace_id, e.span_id) for e in span.links]

    @given(st.lists(SPANS, max_size=2))
    def test_what_the_published_library_writes_is_read(self, spans):
        theirs = ExportTraceServiceRequest.FromString(protobuf_out.write(spans)).SerializeToString()
        assert protobuf.read(theirs).spans == spans

    @given(st.binary(max_size=60))
    def test_whatever_comes_is_read_or_refused(self, junk):
        try:
            protobuf.read(junk)
        except NotOtlp:
            return
        # what we take as a message the library takes too, but for texts that are no UTF-8
        try:
            ExportTraceServiceRequest.FromString(junk)
        except DecodeError:
            assert protobuf.read(junk).spans == []

    @given(SPANS, st.data())
    def test_a_request_that_was_cut_or_damaged_never_breaks_the_reader(self, span, data):
        whole = bytearray(protobuf_out.write([span]))
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        del whole[data.draw(st.integers(0, len(whole))) :]
        try:
            protobuf.read(bytes(whole))
        except NotOtlp as error:
            assert str(error)  # noqa: PT017 - either is right

    def test_fields_of_a_later_version_are_passed_over(self):
        later = b"\xd2\x3e\x03new" + b"\xd8\x3e\x07"
        assert protobuf.read(protobuf_out.write([a_span()]) + later).spans == [a_span()]

    def test_a_value_that_is_nested_without_end_is_refused(self):
        value = protobuf_out._bytes(1, b"x")
        for _ in range(DEEPEST + 2):
            value = protobuf_out._bytes(5, protobuf_out._bytes(1, value))
        attribute = protobuf_out._string(1, "k") + protobuf_out._bytes(2, value)
        span = protobuf_out._bytes(9, attribute)
        with pytest.raises(NotOtlp, match="levels"):
            protobuf.read(protobuf_out._bytes(1, protobuf_out._bytes(2, protobuf_out._bytes(2, span))))

    def test_an_answer_says_how_many_were_rejected(self):
        theirs = ExportTraceServiceResponse.FromString(protobuf_out.answer(3, "no id"))
        assert (theirs.partial_success.rejected_spans, theirs.partial_success.error_message) == (3, "no id")
        assert protobuf_out.answer(0, "") == b""


class TestJson:
    @given(st.lists(SPANS, max_size=3))
    def test_what_is_written_is_read_again(self, spans):
        assert documents.read(json.dumps(documents.write(spans))).spans == spans

    def test_ids_are_hex_and_numbers_of_64_bits_are_texts(self):
        said = documents.write([a_span(attributes={"n": 7}, start_ns=5)])["resourceSpans"][0]["scopeSpans"][0]["spans"][
            0
        ]
        assert said["traceId"] == "74" * 16
        assert said["startTimeUnixNano"] == "5"
        assert said["attributes"] == [{"key": "n", "value": {"intValue": "7"}}]

    def test_numbers_may_stand_as_numbers_and_enums_by_their_names(self):
        said = documents.write([a_span(start_ns=5)])
        span = said["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        span |= {"startTimeUnixNano": 5, "kind": "SPAN_KIND_CLIENT", "status": {"code": "STATUS_CODE_ERROR"}, "more": 1}
        span["traceId"] = span["traceId"].upper()
        read = documents.read(json.dumps(said)).spans[0]
        assert (read.start_ns, read.kind, read.status, read.trace_id) == (5, 3, 2, b"t" * 16)

    def test_what_is_no_number_comes_as_one(self):
        said = json.dumps(documents.write([a_span(attributes={"a": math.inf, "b": math.nan})]))
        found = documents.read(said).spans[0].attributes
        assert found["a"] == math.inf
        assert math.isnan(found["b"])

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"{", "no JSON"),
            (b"[]", "resourceSpans"),
            (b"[" * 100_000, "no JSON"),
            (b'{"resourceSpans": 3}', "resourceSpans is no list"),
            (b'{"resourceSpans": [{"scopeSpans": [{"spans": [3]}]}]}', "spans is no list of objects"),
        ],
        ids=["torn", "list", "deep", "number", "spans"],
    )
    def test_what_is_no_request_is_refused_and_the_place_is_named(self, body, words):
        with pytest.raises(NotOtlp, match=words):
            documents.read(body)

    @given(
        st.recursive(
            st.none() | TEXTS | NUMBERS | st.floats(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "resourceSpans",
                            "scopeSpans",
                            "spans",
                            "attributes",
                            "key",
                            "value",
                            "intValue",
                            "arrayValue",
                            "traceId",
                            "events",
                        ]
                    ),
                    inner,
                )
            ),
            max_leaves=20,
        )
    )
    def test_whatever_comes_is_read_or_refused(self, junk):
        try:
            documents.read(json.dumps(junk))
        except NotOtlp as error:
            assert str(error)  # noqa: PT017 - either is right


class TestASpanThatCantBeKept:
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"trace_id": b""}, "traceId"),
            ({"trace_id": bytes(16)}, "traceId"),
            ({"span_id": b"short"}, "spanId"),
            ({"parent_id": b"short"}, "parentSpanId"),
            ({"start_ns": 0}, "no time"),
            ({"start_ns": 2**63}, "no time"),
            ({"attributes": {str(n): n for n in range(2_001)}}, "attributes"),
        ],
        ids=["no-trace", "zeros", "span", "parent", "no-start", "late", "many"],
    )
    def test_is_counted_and_the_others_stay(self, fields, words):
        read = protobuf.read(protobuf_out.write([a_span(**fields), a_span()]))
        assert (len(read.spans), read.rejected) == (1, 1)
        assert words in read.reason
        again = documents.read(json.dumps(documents.write([a_span(**fields), a_span()])))
        assert (len(again.spans), again.rejected) == (1, 1)

    def test_a_request_has_a_most(self):
        read = protobuf.read(protobuf_out.write([a_span()] * (MOST_SPANS + 2)))
        assert (len(read.spans), read.rejected) == (MOST_SPANS, 2)
