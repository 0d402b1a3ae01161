"""``/diff/{a}/{b}``: two traces as two lanes, first difference first."""

from __future__ import annotations

import shlex
from typing import Any, Mapping

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from replay import diff
from replay.diff import Diff
from tracer.format import short_id
from tracer.model import PayloadRef, Trace
from web.api.described import answers
from web.rendering import machine, page
from web.runs import told
from web.site import CurrentSite, Site
from web.view.compare import diff_view, opened
from web.view.contexts import Chrome, Link
from web.view.contexts_of_replays import DiffPage
from web.view.stops import stop_of

router = APIRouter()


@router.get("/diff")
def choose_pair(site: CurrentSite, a: str, b: str) -> Response:
    """Where a form with two ids leads."""
    return RedirectResponse(f"/diff/{site.store.resolve(a)}/{site.store.resolve(b)}", 303)


# the decorator below is the first to be registered, and {b} would take the ending for a part of the id
@router.get("/diff/{a}/{b}")
@router.get("/diff/{a}/{b}.json", **answers("Two traces, step by step", Diff, fails=(404,)))
def show_diff(request: Request, site: CurrentSite, a: str, b: str) -> Response:
    before, after = site.store.resolve(a), site.store.resolve(b)

    def load(ref: PayloadRef) -> Any:
        return opened(site.load(ref))

    found = diff(site.store.trace(before), site.store.trace(after), load)
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        return machine(found)
    is_replay = found.after.summary.replay_of == before
    context = DiffPage(
        chrome=Chrome(
            title=f"{short_id(before)} and {short_id(after)}",
            crumbs=(Link("Traces", "/"), Link(f"{found.before.summary.workflow} {short_id(before)}", f"/t/{before}")),
            here=f"compared with {short_id(after)}",
            json_href=f"/diff/{before}/{after}.json",
            command=f"playhead diff {before} {after}",
            replay_href=f"/t/{before}/replay{f'?like={after}' if is_replay else ''}",
        ),
        diff=diff_view(found, load=load),
        swap_href="" if is_replay else f"/diff/{after}/{before}",
        again=_again(found.after) if is_replay else "",
        stop=stop_of(found.after, _told(site, before, after)) if is_replay else None,
    )
    return page(request, "diff.html", context)


@router.get("/diff/{a}/{b}/{more:path}")
def show_several(site: CurrentSite, a: str, b: str, more: str) -> Response:
    """More than two lead to their comparison with the oldest."""
    found = [site.store.resolve(one) for one in (a, b, *more.removesuffix(".json").split("/"))]
    query = "&".join(f"t={one}" for one in found)
    return RedirectResponse(f"/compare{'.json' if more.endswith('.json') else ''}?{query}", 303)


def _again(replay: Trace) -> str:
    """The command that does the same replay again."""
    words = ["playhead", "replay", str(replay.summary.replay_of)]
    for rule in (replay.plan or {}).get("rules") or ():
        option, _, value = str(rule).partition(" ")
        if option.startswith("--"):
            words += [option, value] if value else [option]
    return shlex.join(words)


def _told(site: Site, before: str, after: str) -> Mapping[str, Any]:
    """What the process of this replay said, if it was started here and is still known."""
    runs = site.runs.of("replay", before)
    return next((told(run) for run in runs if told(run).get("trace_id") == after), {})
