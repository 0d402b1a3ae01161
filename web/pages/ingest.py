"""``POST /v1/traces``: spans from OpenTelemetry's exporters, in protobuf or JSON, acknowledged when they are stored."""

from __future__ import annotations

import json
import threading
import zlib
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from tracer import recorder
from tracer.errors import StoreError
from tracer.events import Event
from tracer.guard import report
from tracer.keeping import Keeper
from tracer.key import store_key
from tracer.otlp import documents, protobuf, protobuf_out
from tracer.otlp.span import NotOtlp
from tracer.otlp.span import Request as Spans
from tracer.otlp.steps import by_trace, events_of
from tracer.store import Store
from web.api.described import body
from web.site import CurrentSite

router = APIRouter()
#: A body as it is sent, and as it is when decompressed.
MOST_BYTES = 16 << 20
MOST_INFLATED = 64 << 20
#: Who wrote the steps; no process that could still end them.
OWNER = "otlp"
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
#: Events of one transaction.
_AT_ONCE = 3000
_RETRY_AFTER_S = "5"


@dataclass
class Refused(Exception):
    """``code`` is that of google.rpc, beside the status of HTTP."""

    status: int
    code: int
    words: str
    headers: dict[str, str] = field(default_factory=dict)


@router.post("/v1/traces", **body("Take spans of OpenTelemetry", _PROTOBUF, _JSON, fails=(400, 413, 415)))
async def take_spans(request: Request, site: CurrentSite) -> Response:
    form = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if form not in (_PROTOBUF, _JSON):
        said = f"send {_PROTOBUF} or {_JSON}, not {form[:80] or 'no content type'}"
        return _refusal(form, Refused(415, 3, said))
    try:
        body = await _body(request)
        return await run_in_threadpool(_answer, site.store, form, body, request.headers.get("content-encoding", ""))
    except Refused as refused:
        return _refusal(form, refused)


def _answer(store: Store, form: str, body: bytes, encoding: str) -> Response:
    try:
        found = (protobuf if form == _PROTOBUF else documents).read(_inflated(body, encoding))
    except NotOtlp as error:
        raise Refused(400, 3, str(error)) from None
    try:
        put(store, found)
    except StoreError as error:
        raise Refused(503, 14, str(error), {"retry-after": _RETRY_AFTER_S}) from None
    if form == _PROTOBUF:
        return Response(protobuf_out.answer(found.rejected, found.reason), media_type=_PROTOBUF)
    return Response(json.dumps(documents.answer(found.rejected, found.reason)), media_type=_JSON)


def _refusal(form: str, refused: Refused) -> Response:
    if form == _PROTOBUF:
        content = protobuf_out.status(refused.code, refused.words)
        return Response(content, refused.status, refused.headers, media_type=_PROTOBUF)
    content = json.dumps({"code": refused.code, "message": refused.words}).encode()
    return Response(content, refused.status, refused.headers, media_type=_JSON)


async def _body(request: Request) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MOST_BYTES:
            raise Refused(413, 8, f"a request has at most {MOST_BYTES >> 20} MiB; send fewer spans at once")
        pieces.append(piece)
    return b"".join(pieces)


def _inflated(body: bytes, encoding: str) -> bytes:
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            bits = 31
        case "deflate":
            bits = 15
        case other:
            raise Refused(415, 3, f"send it plain, as gzip or as deflate, not as {other[:80]}")
    inflating = zlib.decompressobj(bits)
    try:
        whole = inflating.decompress(body, MOST_INFLATED)
    except zlib.error as error:
        raise Refused(400, 3, f"the body is no {encoding}: {error}") from None
    if inflating.unconsumed_tail:
        raise Refused(413, 8, f"the body is more than {MOST_INFLATED >> 20} MiB when decompressed")
    if not inflating.eof:
        raise Refused(400, 3, f"the body is no {encoding}: it ends too early")
    return whole


# A step's place depends on what else its trace holds: two requests of one trace must not be placed at the same time.
_placing = threading.Lock()


def put(store: Store, found: Spans) -> None:
    """Write the spans as steps, some thousand events in a transaction. A trace that can't be written is rejected, and
    is in nobody's way. Raises StoreError; what was written by then is written again when the request comes again."""
    config = recorder.current_config()
    keeper, key = Keeper(config), store_key(config.home)
    traces = by_trace(found.spans)
    with _placing:
        there = {row.trace_id for row in store.summaries(list(traces))}
        batch: list[_Placed] = []
        events = 0
        for trace_id, spans in traces.items():
            known = store.trace(trace_id).steps if trace_id in there else ()
            batch.append(_Placed(len(spans), events_of(spans, known, keeper, key)))
            events += len(batch[-1].events)
            if events >= _AT_ONCE:
                _write(store, batch, found)
                batch, events = [], 0
        _write(store, batch, found)


@dataclass(frozen=True, slots=True)
class _Placed:
    """One trace's part of a request."""

    spans: int
    events: list[Event]


def _write(store: Store, batch: list[_Placed], found: Spans) -> None:
    try:
        store.apply([event for each in batch for event in each.events], owner=OWNER)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one trace; the others are written without it
        if len(batch) > 1:
            for each in batch:
                _write(store, [each], found)
            return
        report("store a trace that came as spans", error)
        for _ in range(batch[0].spans):
            found.refuse("the store can't hold this trace; see playhead doctor")
