"""``/p/{digest}``: one recorded value, whole; as JSON; and its bytes as they are stored."""

from __future__ import annotations

from itertools import islice
from typing import Any, Iterator

from fastapi import APIRouter, HTTPException, Request, Response

from tracer import codec
from tracer import format as fmt
from tracer.errors import CodecError
from tracer.store.occurrences import AMONG
from web.api.described import answers, gives
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view.contexts import Chrome, Link, PayloadPage, PayloadView
from web.view.exchange import request_in
from web.view.images import images_of, media_type_of
from web.view.payload import PAGE, block

router = APIRouter()
#: Above this a value is only offered for download.
_SHOW_LIMIT = 16_000_000
_FOUND = 30
_MOST_IMAGES = 10_000
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def _bytes(site: Site, digest: str) -> bytes:
    found = site.store.payloads([digest])
    if digest not in found:
        raise HTTPException(404, "No payload has that address in this store.")
    return found[digest]


@router.get("/p/{digest}/raw", **gives("A recorded value as it is stored", "application/octet-stream", fails=(404,)))
def download(site: CurrentSite, digest: str) -> Response:
    name = "".join(letter for letter in digest if letter.isalnum())[:64]
    disposition = {"content-disposition": f'attachment; filename="{name}.msgpack"'}
    return Response(_bytes(site, digest), media_type="application/octet-stream", headers=disposition)


@router.get("/p/{digest}/images/{number}", **gives("An image of a recorded request", *IMAGES, fails=(404, 422)))
def image(site: CurrentSite, digest: str, number: int) -> Response:
    """One image of a recorded request to a model."""
    try:
        request = request_in(codec.decode(_bytes(site, digest)))
    except CodecError as error:
        raise HTTPException(422, f"These bytes can't be read: {error}") from None
    found = () if request is None else images_of(request.messages)
    data = next(islice(found, number, None), None) if 0 <= number < _MOST_IMAGES else None
    if data is None:
        raise HTTPException(404, "This request holds no such image.")
    return Response(data, media_type=media_type_of(data))


@router.get("/p/{digest}.json", **answers("A recorded value as JSON", Any, fails=(404, 422)))
def payload_as_json(site: CurrentSite, digest: str) -> Response:
    try:
        return machine(codec.decode(_bytes(site, digest)))
    except CodecError as error:
        raise HTTPException(422, f"These bytes can't be read: {error}") from None


@router.get("/p/{digest}")
def show_payload(request: Request, site: CurrentSite, digest: str) -> Response:
    if request.query_params.get("format") == "json":
        return payload_as_json(site, digest)
    data = _bytes(site, digest)
    context = PayloadPage(
        chrome=Chrome(
            title=f"Payload {digest[:16]}", crumbs=(Link("Traces", "/"),), here=digest, json_href=f"/p/{digest}.json"
        ),
        digest=digest,
        size=fmt.size(len(data)),
        value=_view(data),
        raw_href=f"/p/{digest}/raw",
        found=tuple(_found(site, digest)),
        among=AMONG,
    )
    return page(request, "payload.html", context)


def _found(site: Site, digest: str) -> Iterator[Link]:
    """The steps that have this value as their input or output."""
    for one in site.store.occurrences(digest, limit=_FOUND):
        href = f"/t/{one.trace_id}?step={one.step_id}"
        yield Link(f"{one.side} of {one.path}", href, f"{one.workflow} {fmt.short_id(one.trace_id)}")


def _view(data: bytes) -> PayloadView:
    if len(data) > _SHOW_LIMIT:
        return PayloadView("Value", absent=f"{fmt.size(len(data))} are too many to show; download the bytes instead.")
    try:
        return PayloadView("Value", block=block(codec.decode(data), limits=PAGE))
    except CodecError as error:
        return PayloadView("Value", absent=f"These bytes can't be read: {error}")
