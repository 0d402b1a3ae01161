"""``/filters``: the filters that were given a name. They lie in the store: a team that shares it has the same."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from tracer.store import Filter
from web.api.described import answers, form
from web.pages.traces import SAVED, saved_filters
from web.rendering import machine
from web.site import CurrentSite, Site
from web.view.contexts_of_lists import Saved
from web.view.narrowing import list_href, saved_of

router = APIRouter()
_LONGEST = 60
_MOST = 40


@router.get("/filters.json", **answers("The saved filters", list[Saved]))
def list_filters(site: CurrentSite) -> Response:
    return machine(saved_of(saved_filters(site), Filter()))


_FORM = {"name": "what to call it", "query": "the filter, as a query string", "forget": "the name to forget instead"}


@router.post("/filters", **form("Save a filter, or forget one", _FORM, fails=(400, 422)))
async def change_filters(request: Request, site: CurrentSite) -> Response:
    """Keep the filter ``query`` under ``name``, or ``forget`` a name; then back to the list under that filter."""
    sent = await request.form(max_files=0, max_fields=10)
    told = {name: value for name, value in sent.items() if isinstance(value, str)}
    wanted, _ = Filter.read(told.get("query", ""))
    if not site.replays:
        raise HTTPException(403, "This viewer was started to read only.")
    if not site.gate.form_token_holds("filters", told.get("csrf", "")):
        raise HTTPException(403, "This form is from before the viewer was restarted: load the list again.")
    if problem := await run_in_threadpool(_changed, site, told, wanted):
        raise HTTPException(422, problem)
    return RedirectResponse(list_href(wanted), 303)


def _changed(site: Site, told: dict[str, str], wanted: Filter) -> str:
    """Do it. What is wrong, as a sentence, where it can't be done."""
    name = " ".join((told.get("forget") or told.get("name", "")).split())[:_LONGEST]
    forgotten = bool(told.get("forget"))
    kept = saved_filters(site)
    if not name or not (forgotten or wanted.query):
        return "A saved filter needs a name, and something that it filters by."
    if not forgotten and name not in kept and len(kept) >= _MOST:
        return f"{_MOST} filters are saved already: forget one first."
    there = site.store.shared(SAVED + name).get(SAVED + name)
    if there is None and forgotten:
        return ""
    # an empty value stands for none: the store has no way to take a name out again
    if site.store.share(SAVED + name, "" if forgotten else wanted.query, version=there.version if there else 0):
        return ""
    return f"Someone else changed {name} in the same moment: look at the list, and save it again."
