"""``/``: the traces, newest first; its query string is the whole state."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from tracer.errors import ConfigError
from tracer.model import TraceSummary
from tracer.store import Filter
from web.rendering import machine, page
from web.site import CurrentSite
from web.view.contexts import Chrome, TracesPage
from web.view.listing import chips_of, choices_of, list_href, row_of, sentence_of
from web.view.text import sentence

router = APIRouter()
#: Rows of a page: some 28 are seen at once, and a page stays below 100 KB.
PAGE_SIZE = 60


@router.get("/")
@router.get("/traces")
@router.get("/traces.json")
def show_traces(request: Request, site: CurrentSite, before: str = "") -> Response:
    site.adopt()
    problem = ""
    try:
        wanted = Filter.parse(request.url.query)
    except ConfigError as error:
        wanted, problem = Filter(), f"{sentence(str(error))}. Showing all traces."
    found = site.store.traces(wanted, limit=PAGE_SIZE + 1, before=_cursor(before))
    rows, more = found[:PAGE_SIZE], len(found) > PAGE_SIZE
    next_href = list_href(wanted, before=_mark(rows[-1])) if more else ""
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        follow = f"/traces.json{next_href[1:]}" if next_href else None
        return machine({"filter": wanted.sentence, "problem": problem, "traces": rows, "next": follow})
    now_ns = time.time_ns()
    context = TracesPage(
        chrome=Chrome(
            title="Traces",
            json_href="/traces.json" + (f"?{wanted.query}" if wanted.query else ""),
            command=_command(wanted),
        ),
        sentence=sentence_of(wanted, shown=len(rows), more=more, first=not before),
        chips=chips_of(wanted, site.store.facets(wanted)),
        text=wanted.text,
        kept=_kept(wanted),
        workflows=choices_of("every workflow", site.store.workflows(), wanted.workflow),
        models=choices_of("every model", site.store.models(), wanted.model),
        rows=tuple(row_of(summary, wanted, now_ns=now_ns) for summary in rows),
        next_href=next_href,
        first_href=list_href(wanted) if before else "",
        filtered=bool(wanted.query),
        problem=problem,
    )
    return page(request, "traces.html", context)


def _cursor(before: str) -> tuple[int, str] | None:
    """``<started_ns>-<trace_id>``; anything else is the first page."""
    started, _, trace_id = before.partition("-")
    return (int(started), trace_id) if started.isdecimal() and len(started) < 20 and trace_id else None


def _mark(summary: TraceSummary) -> str:
    return f"{summary.started_ns}-{summary.trace_id}"


def _kept(wanted: Filter) -> tuple[tuple[str, str], ...]:
    """What the form must carry on although it has no field of its own for it."""
    return tuple(parse_qsl(replace(wanted, workflow=None, model=None, text="").query))


def _command(wanted: Filter) -> str:
    """The command that lists the same."""
    options = [
        ("--failed", "" if wanted.failed else None),
        ("--workflow", wanted.workflow),
        ("--model", wanted.model),
        ("--since", wanted.since),
        ("--search", wanted.text or None),
    ]
    words = [f"{option} {shlex.quote(value)}" if value else option for option, value in options if value is not None]
    return " ".join(["playhead ls", *words])
