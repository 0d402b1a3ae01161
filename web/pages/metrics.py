"""``/metrics``: for Prometheus. What ended is counted here, once, by whoever asks first; see ``tracer.metrics``."""

from __future__ import annotations

from fastapi import APIRouter, Response

from tracer.metrics.exposition import CONTENT_TYPE, exposition
from web.site import CurrentSite

router = APIRouter()


@router.get("/metrics")
def show_metrics(site: CurrentSite) -> Response:
    site.adopt()
    text = exposition(site.metrics.of(site.store, site.recording()))
    return Response(text.encode("utf-8", "replace"), media_type=CONTENT_TYPE)
