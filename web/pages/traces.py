"""``/``: the traces, newest first; its query string is the whole state."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, replace
from typing import Annotated, Iterator, Mapping, Sequence

from fastapi import APIRouter, Query, Request, Response

from tracer.model import TraceSummary
from tracer.store import Facets, Filter, Hit, Problem
from web.api.answers import Traces
from web.api.described import FILTER, answers
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view.contexts import Chrome
from web.view.contexts_of_lists import RowsPage, TraceRow, TracesPage
from web.view.listing import family, row_of
from web.view.narrowing import chips_of, kept_of, list_href, menus_of, saved_of, sentence_of, terms_of
from web.view.text import sentence

router = APIRouter()
#: Rows of a page: some 28 are seen at once, and a page stays below 100 KB.
PAGE_SIZE = 50
#: Replays of replays are followed this far; a deeper one stands in a row of its own.
_GENERATIONS = 3
SAVED = "filter:"
_QUERY = {**FILTER, "before": "the page that ends before this one: as ``next`` has it"}


@dataclass(frozen=True, slots=True)
class _Found:
    """A page of the list, before it is put into words. ``kin`` is what came of its rows, by their ids."""

    wanted: Filter
    problems: tuple[Problem, ...]
    rows: Sequence[TraceSummary]
    kin: Mapping[str, Sequence[TraceSummary]]
    hits: Mapping[str, Hit]
    counted: Facets
    next_href: str


@router.get("/")
@router.get("/traces")
@router.get("/traces.json", **answers("Traces, newest first", Traces, query=_QUERY))
def show_traces(request: Request, site: CurrentSite, before: str = "") -> Response:
    site.adopt()
    found = _find(site, request.url.query, cursor(before))
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        return _as_json(found)
    return page(request, "traces.html", _page(site, found, first=not before))


def _find(site: Site, query: str, before: tuple[int, str] | None) -> _Found:
    wanted, problems = Filter.read(query)
    some = site.store.traces(wanted, limit=PAGE_SIZE + 1, before=before)
    rows = some[:PAGE_SIZE]
    return _Found(
        wanted,
        problems,
        rows,
        family(rows, _followers(site, rows)),
        site.store.hits([one.trace_id for one in rows], wanted.words),
        site.store.facets(wanted),
        list_href(wanted, before=mark(rows[-1])) if len(some) > PAGE_SIZE else "",
    )


def _page(site: Site, found: _Found, *, first: bool) -> TracesPage:
    wanted, rows = found.wanted, found.rows
    slowest_ns = max((one.duration_ns or 0 for one in rows), default=0)
    return TracesPage(
        chrome=Chrome(
            title="Traces",
            json_href="/traces.json" + (f"?{wanted.query}" if wanted.query else ""),
            command=command_of(wanted),
        ),
        sentence=sentence_of(wanted, shown=len(rows), more=bool(found.next_href), first=first),
        statuses=chips_of(wanted, found.counted),
        menus=menus_of(wanted, found.counted),
        terms=terms_of(wanted),
        saved=saved_of(saved_filters(site), wanted),
        csrf=site.gate.form_token("filters") if site.replays else "",
        query=wanted.query,
        # what was mistyped stays in the box, to be mended
        text=" ".join(filter(None, (wanted.text, *(problem.typed for problem in found.problems)))),
        kept=kept_of(wanted),
        rows=tuple(_rows(found, slowest_ns)),
        slowest_ns=slowest_ns,
        newest="" if not first else mark(rows[0]) if rows else "0-0",
        next_href=found.next_href,
        first_href=list_href(wanted),
        filtered=bool(wanted.query),
        can_change=site.replays,
        problems=tuple(f"{sentence(problem.why)}. It is left out." for problem in found.problems),
    )


def _rows(found: _Found, slowest_ns: int) -> Iterator[TraceRow]:
    nested = {one.trace_id for some in found.kin.values() for one in some}
    now_ns = time.time_ns()
    for one in found.rows:
        if one.trace_id not in nested:
            hit, kin = found.hits.get(one.trace_id), found.kin.get(one.trace_id, ())
            yield row_of(one, found.wanted, now_ns=now_ns, slowest_ns=slowest_ns, hit=hit, kin=kin)


@router.get("/rows")
def show_rows(
    request: Request, site: CurrentSite, t: Annotated[list[str] | None, Query()] = None, slowest: str = ""
) -> Response:
    """These rows as they are now, for a page that shows them already."""
    wanted, _ = Filter.read(request.query_params.get("in", ""))
    now_ns = time.time_ns()
    longest_ns = int(slowest) if slowest.isdecimal() and len(slowest) < 20 else 0
    found = site.store.summaries((t or [])[:PAGE_SIZE])
    rows = tuple(row_of(one, wanted, now_ns=now_ns, slowest_ns=longest_ns) for one in found)
    return page(request, "rows.html", RowsPage(rows))


def rows_of(site: Site, trace_ids: Sequence[str]) -> tuple[TraceRow, ...]:
    """The rows of these traces, for a page that speaks of them."""
    found, now_ns = site.store.summaries(trace_ids), time.time_ns()
    return tuple(row_of(one, Filter(), now_ns=now_ns) for one in found)


def saved_filters(site: Site) -> dict[str, str]:
    """The query strings that were given a name in this store, by name."""
    kept = site.store.shared(SAVED)
    return {name.removeprefix(SAVED): one.value for name, one in kept.items() if one.value}


def cursor(before: str) -> tuple[int, str] | None:
    """``<started_ns>-<trace_id>``; anything else is the first page."""
    started, _, trace_id = before.partition("-")
    if not started.isdecimal() or len(started) >= 20 or int(started) >= 2**63 or not trace_id:
        return None
    return int(started), trace_id


def mark(summary: TraceSummary) -> str:
    return f"{summary.started_ns}-{summary.trace_id}"


def _followers(site: Site, rows: Sequence[TraceSummary]) -> list[TraceSummary]:
    found: dict[str, TraceSummary] = {}
    asked = [one.trace_id for one in rows]
    for _ in range(_GENERATIONS):
        new = [one for one in site.store.followers(asked) if one.trace_id not in found] if asked else []
        found |= {one.trace_id: one for one in new}
        known = {one.trace_id for one in rows}
        asked = [one.trace_id for one in new if one.trace_id not in known]
    return list(found.values())


def _as_json(found: _Found) -> Response:
    return machine(
        {
            "filter": found.wanted.sentence,
            "query": found.wanted.query,
            "terms": [term for term, _ in found.wanted.terms],
            "problems": found.problems,
            "facets": found.counted,
            "traces": found.rows,
            "followers": {trace_id: [one.trace_id for one in some] for trace_id, some in found.kin.items()},
            "hits": found.hits,
            "next": f"/traces.json{found.next_href[1:]}" if found.next_href else None,
        }
    )


def command_of(wanted: Filter) -> str:
    """The command that lists the same."""
    rest = replace(wanted, workflow=None, model=None, since=None, statuses=() if wanted.failed else wanted.statuses)
    options = [
        ("--failed", "" if wanted.failed else None),
        ("--workflow", wanted.workflow),
        ("--model", wanted.model),
        ("--since", wanted.since),
        ("--search", rest.typed or None),
    ]
    words = [f"{option} {shlex.quote(value)}" if value else option for option, value in options if value is not None]
    return " ".join(["playhead ls", *words])
