"""``/p/{digest}``: one recorded value, whole; as JSON; and its bytes as they are stored."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response

from tracer import codec
from tracer import format as fmt
from tracer.errors import CodecError
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view.contexts import Chrome, Link, PayloadPage, PayloadView
from web.view.payload import PAGE, block

router = APIRouter()
#: Above this a value is only offered for download.
_SHOW_LIMIT = 16_000_000


def _bytes(site: Site, digest: str) -> bytes:
    found = site.store.payloads([digest])
    if digest not in found:
        raise HTTPException(404, "No payload has that address in this store.")
    return found[digest]


@router.get("/p/{digest}/raw")
def download(site: CurrentSite, digest: str) -> Response:
    name = "".join(letter for letter in digest if letter.isalnum())[:64]
    disposition = {"content-disposition": f'attachment; filename="{name}.msgpack"'}
    return Response(_bytes(site, digest), media_type="application/octet-stream", headers=disposition)


@router.get("/p/{digest}.json")
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
    )
    return page(request, "payload.html", context)


def _view(data: bytes) -> PayloadView:
    if len(data) > _SHOW_LIMIT:
        return PayloadView("Value", absent=f"{fmt.size(len(data))} are too many to show; download the bytes instead.")
    try:
        return PayloadView("Value", block=block(codec.decode(data), limits=PAGE))
    except CodecError as error:
        return PayloadView("Value", absent=f"These bytes can't be read: {error}")
