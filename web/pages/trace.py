"""``/t/{trace}``: one trace in two panes, with one step chosen; a failed one opens on what failed."""

from __future__ import annotations

import time
from dataclasses import replace
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from tracer.errors import ConfigError
from tracer.format import short_id
from tracer.model import Escalation, Step, Trace, TraceSummary
from tracer.store import Filter
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view.contexts import Chrome, Link, TracePage
from web.view.heading import header_of
from web.view.listing import trace_href
from web.view.narrowing import list_href
from web.view.panel import step_panel
from web.view.waterfall import ROW_LIMIT, landing, waterfall

router = APIRouter()
#: How far from the newest trace the way to the next newer one is looked for.
_NEAR = 200


@router.get("/t/{trace_id}.json")
def trace_as_json(trace_id: str, site: CurrentSite) -> Response:
    return machine(site.store.trace(site.store.resolve(trace_id)))


@router.get("/t/{trace_id}/s/{step_id}")
def step_address(trace_id: str, step_id: str) -> Response:
    """A short address for one step."""
    return RedirectResponse(f"/t/{trace_id}?{urlencode({'step': step_id})}", 307)


@router.get("/t/{trace_id}")
def show_trace(request: Request, site: CurrentSite, trace_id: str, step: str = "", rows: str = "") -> Response:
    site.adopt()
    known = site.store.resolve(trace_id)
    if known != trace_id:
        # One trace has one address; a prefix or "latest" is only a way to it.
        return RedirectResponse(f"/t/{known}" + (f"?{request.url.query}" if request.url.query else ""), 307)
    trace = site.store.trace(known)
    if request.query_params.get("format") == "json":
        return machine(trace)
    chosen = _by_id_or_path(trace, step) if step else landing(trace)
    if chosen is None and step:
        raise HTTPException(404, f"No step {step} in this trace.")
    wanted, within = _list_of(request.query_params.get("in", ""))
    base = "?" + (urlencode({"in": within}) + "&" if within else "")
    now_ns = time.time_ns()
    newer, older = ("", "") if "x-fragment" in request.headers else _neighbours(site, trace.summary, wanted)
    selected = chosen.step_id if chosen else ""
    origin = trace.summary.replay_of or trace.summary.resume_of
    limit = max(ROW_LIMIT, len(trace.steps)) if rows == "all" else ROW_LIMIT
    context = TracePage(
        chrome=Chrome(
            title=f"{trace.summary.workflow} {short_id(known)}, {trace.summary.status}",
            crumbs=(Link("Traces" if not within else wanted.sentence, list_href(wanted)),),
            here=f"{trace.summary.workflow} {short_id(known)}",
            json_href=f"/t/{known}.json",
            command=f"playhead show {known}",
            prev_href=trace_href(newer, wanted) if newer else "",
            next_href=trace_href(older, wanted) if older else "",
            replay_href=f"/t/{known}/replay",
            compare_href=f"/diff/{origin}/{known}" if origin else "",
        ),
        header=header_of(
            trace, site.store.replays_of(known), site.store.resumes_of(known), _asked(site, trace), now_ns=now_ns
        ),
        tree=waterfall(trace, now_ns=now_ns, around=selected, limit=limit, whole=_whole(site, trace)),
        selected=selected,
        panel=step_panel(trace, chosen, load=site.load, base=base) if chosen else None,
        step_base=base + ("rows=all&" if rows == "all" else ""),
    )
    return page(request, "trace.html", context)


def _by_id_or_path(trace: Trace, name: str) -> Step | None:
    return trace.step(name) or next((step for step in trace.steps if step.path == name), None)


def _list_of(query: str) -> tuple[Filter, str]:
    """The list that this trace was opened from."""
    try:
        wanted = Filter.parse(query)
    except ConfigError:
        wanted = Filter()
    return wanted, wanted.query


def _neighbours(site: Site, here: TraceSummary, wanted: Filter) -> tuple[str, str]:
    """The ids of the next newer and the next older trace of the list; empty where there is none near by."""
    place = (here.started_ns, here.trace_id)
    older = site.store.traces(wanted, limit=1, before=place)
    since = replace(wanted, since=None, since_ns=here.started_ns)
    newer = [one.trace_id for one in site.store.traces(since, limit=_NEAR) if (one.started_ns, one.trace_id) > place]
    return newer[-1] if newer and len(newer) < _NEAR else "", older[0].trace_id if older else ""


def _asked(site: Site, trace: Trace) -> list[Escalation]:
    return site.store.escalations.of(trace.trace_id) if trace.summary.status == "waiting" else []


def _whole(site: Site, trace: Trace) -> Trace | None:
    """The newest completed trace of the same workflow, where this one was cut short."""
    if trace.summary.status not in ("failed", "interrupted", "stopped", "waiting"):
        return None
    completed = Filter(statuses=("completed",), workflow=trace.summary.workflow, replays=False)
    return next((site.store.trace(one.trace_id) for one in site.store.traces(completed, limit=1)), None)
