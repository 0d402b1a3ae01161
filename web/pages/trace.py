"""``/t/{trace}``: one trace in two panes, with one step chosen; a failed one opens on what failed."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import replace
from typing import Iterator
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from tracer.errors import ConfigError, TraceNotFound
from tracer.format import short_id
from tracer.model import Escalation, Step, Trace, TraceSummary
from tracer.plain import plain
from tracer.store import Filter
from web.api.described import answers
from web.pages import notes
from web.pages.copies import copies_of
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view.blame import landing
from web.view.contexts import Chrome, Header, Link, StepPanel, Tab, TracePage
from web.view.events import PAGE as EVENTS
from web.view.events import Events, events_of
from web.view.heading import header_of
from web.view.laid import Laid, laid_out
from web.view.listing import trace_href
from web.view.looking import VIEWS, Looking
from web.view.narrowing import list_href
from web.view.panel import step_panel
from web.view.pictured import pictured
from web.view.transcript import PAGE as TURNS
from web.view.transcript import Transcript, transcript
from web.view.waterfall import ROW_LIMIT, waterfall

router = APIRouter()
#: How far from the newest trace the way to the next newer one is looked for.
_NEAR = 200
#: Characters of a step as JSON; its own address has them all.
_JSON = 60_000


@router.get("/t/{trace_id}.json", **answers("A trace and its steps", Trace, fails=(404,)))
def trace_as_json(trace_id: str, site: CurrentSite) -> Response:
    return machine(site.store.trace(site.store.resolve(trace_id)))


@router.get("/t/{trace_id}/s/{step_id}")
def step_address(trace_id: str, step_id: str) -> Response:
    """A short address for one step."""
    return RedirectResponse(f"/t/{trace_id}?{urlencode({'step': step_id})}", 307)


@router.get("/t/{trace_id}")
def show_trace(request: Request, site: CurrentSite, trace_id: str, step: str = "") -> Response:
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
    looking = Looking.parse(request.query_params, within=within)
    alone = "x-fragment" in request.headers
    chrome = _chrome(trace, wanted, ("", "") if alone else _neighbours(site, trace.summary, wanted))
    selected = chosen.step_id if chosen else ""
    context = TracePage(
        chrome=chrome,
        header=_header(site, trace),
        view=looking.view,
        views=tuple(_views(looking, selected)),
        selected=selected,
        step_base=looking.base,
        fold_base=replace(looking, opened=()).base,
        timeline_base=replace(looking, view="timeline", first=0).base,
    )
    return page(request, "trace.html", _seen(site, trace, chosen, context, looking))


def _chrome(trace: Trace, wanted: Filter, neighbours: tuple[str, str]) -> Chrome:
    summary = trace.summary
    newer, older = neighbours
    origin = summary.replay_of or summary.resume_of
    name = f"{summary.workflow} {short_id(trace.trace_id)}"
    return Chrome(
        title=f"{name}, {summary.status}",
        crumbs=(Link(wanted.sentence if wanted.query else "Traces", list_href(wanted)),),
        here=name,
        json_href=f"/t/{trace.trace_id}.json",
        command=f"playhead show {trace.trace_id}",
        prev_href=trace_href(newer, wanted) if newer else "",
        next_href=trace_href(older, wanted) if older else "",
        replay_href=f"/t/{trace.trace_id}/replay",
        compare_href=f"/diff/{origin}/{trace.trace_id}" if origin else "",
    )


def _header(site: Site, trace: Trace) -> Header:
    store, known = site.store, trace.trace_id
    return header_of(
        trace, store.replays_of(known), store.resumes_of(known), _asked(site, trace), now_ns=time.time_ns()
    )


def _views(looking: Looking, selected: str) -> Iterator[Tab]:
    for view in VIEWS:
        href = looking.at(selected, view=view, first=0) if selected else replace(looking, view=view, first=0).base
        yield Tab("JSON" if view == "json" else view.capitalize(), href, current=view == looking.view)


def _seen(site: Site, trace: Trace, chosen: Step | None, context: TracePage, looking: Looking) -> TracePage:
    """The page with what its view shows, and nothing else computed."""
    selected = context.selected
    match looking.view:
        case "conversation":
            told = transcript(trace, load=site.load, first=looking.first)
            earlier, later = _pages(looking, selected, told, TURNS)
            return replace(context, transcript=told, earlier_href=earlier, later_href=later)
        case "events":
            events = events_of(trace, first=looking.first)
            earlier, later = _pages(looking, selected, events, EVENTS)
            return replace(context, events=events, earlier_href=earlier, later_href=later)
        case "graph":
            return replace(context, picture=pictured(trace, chosen))
        case "json":
            text = json.dumps(plain(chosen), indent=2, ensure_ascii=False) if chosen is not None else "null"
            return replace(context, json=text if len(text) <= _JSON else text[:_JSON] + " …")
    limit = max(ROW_LIMIT, len(trace.steps)) if looking.whole else ROW_LIMIT
    laid = laid_out(trace, now_ns=time.time_ns())
    tree = waterfall(
        laid,
        around=selected,
        limit=limit,
        whole=_whole(site, trace),
        opened=looking.opened,
    )
    return replace(context, tree=tree, panel=_panel(site, laid, chosen, looking))


def _panel(site: Site, laid: Laid, chosen: Step | None, looking: Looking) -> StepPanel | None:
    if chosen is None:
        return None
    recorded = None
    origin = laid.trace.summary.replay_of
    if looking.shape == "recorded" and origin and chosen.source_step_id:
        with contextlib.suppress(TraceNotFound):  # the origin may be gone; the replay is there all the same
            recorded = site.store.trace(origin).step(chosen.source_step_id)
    form = notes.form_for(site, chosen, looking.at(chosen.step_id)) if site.replays else None
    panel = step_panel(laid, chosen, load=site.load, looking=looking, recorded=recorded, form=form)
    return replace(panel, copies=copies_of(site, laid.trace, chosen))


def _pages(looking: Looking, selected: str, shown: Events | Transcript, size: int) -> tuple[str, str]:
    """The ways to what comes before and after a page of so many rows; empty at the ends."""
    earlier = looking.at(selected, first=max(0, shown.first - size)) if shown.first else ""
    return earlier, looking.at(selected, first=shown.last) if shown.last < shown.total else ""


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
