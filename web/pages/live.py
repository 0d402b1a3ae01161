"""``/live``: what came since a page was shown, as server-sent events. It says how much there is; it sends no rows.

``after`` is the newest row of the page (``<started_ns>-<trace_id>``), ``open`` the ids of those that ran, ``in`` the
list's filter. Each event is ``{"new": 3, "changed": ["<id>", ...]}``, sent when one of the two changes. ``/live.json``
is one such look.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field, replace
from typing import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from tracer.errors import StoreError
from tracer.model import TraceSummary
from tracer.store import Filter
from web.api.answers import News
from web.api.described import answers, gives
from web.pages.traces import PAGE_SIZE, cursor
from web.rendering import machine
from web.site import CurrentSite, Site

router = APIRouter()
#: Seconds between two looks, and after which a listener is let go; it comes back by itself.
EVERY_S = 1.0
LONGEST_S = 300.0
#: More new traces than this are not counted.
MOST = 100


@dataclass(slots=True)
class Watch:
    """One page that listens: where it stands, and what it was told."""

    site: Site
    wanted: Filter
    after: tuple[int, str] | None
    open: tuple[str, ...]
    _seen: dict[str, TraceSummary] = field(default_factory=dict)

    def look(self) -> dict[str, object]:
        self.site.adopt()
        now = {one.trace_id: one for one in self.site.store.summaries(self.open)} if self.open else {}
        changed = [name for name, one in now.items() if self._seen.get(name) != one]
        self._seen = now
        # what has ended changes no more
        self.open = tuple(name for name, one in now.items() if one.status == "running")
        return {"new": self._new(), "changed": changed}

    def _new(self) -> int:
        if self.after is None:
            return 0
        since = replace(self.wanted, since=None, since_ns=self.after[0])
        newer = self.site.store.traces(since, limit=MOST + 1)
        return sum((one.started_ns, one.trace_id) > self.after for one in newer)


def _watch(request: Request, site: Site) -> Watch:
    asked = request.query_params
    wanted, _ = Filter.read(asked.get("in", ""))
    some = tuple(name for name in asked.get("open", "").split(",") if name)[:PAGE_SIZE]
    return Watch(site, wanted, cursor(asked.get("after", "")), some)


_QUERY = {
    "in": "the query string of a list",
    "after": "the newest row: its started_ns, a dash, its id",
    "open": "ids of traces that ran, with commas between them",
}


@router.get("/live.json", **answers("What came since", News, query=_QUERY))
def look_once(request: Request, site: CurrentSite) -> Response:
    return machine(_watch(request, site).look())


@router.get("/live", **gives("The same as it happens, as server-sent events", "text/event-stream", query=_QUERY))
async def listen(request: Request, site: CurrentSite) -> Response:
    events = _events(request, _watch(request, site))
    return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _events(request: Request, watch: Watch) -> AsyncIterator[str]:
    until_s = time.monotonic() + LONGEST_S
    told: object = 0
    # the first line opens the connection, so that a reader knows at once that someone is there
    yield "retry: 3000\n\n"
    while time.monotonic() < until_s and not watch.site.ending() and not await request.is_disconnected():
        try:
            seen = await run_in_threadpool(watch.look)
        except StoreError:
            return
        if seen["changed"] or seen["new"] != told:
            told = seen["new"]
            yield f"data: {json.dumps(seen)}\n\n"
        await asyncio.sleep(EVERY_S)
