"""``/runs/{id}``: a replay that was started here, while it runs; then it leads to the comparison.

``/runs/{id}/live`` says as server-sent events how far any run is, when that changes:
``{"state": "running", "done": 3}``.
A page without script looks again by itself. ``/runs/{id}/cancel`` ends it.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from dataclasses import dataclass
from typing import AsyncIterator, Sequence

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from replay.backtest.ledger import Ledger
from tracer import format as fmt
from tracer import recorder
from tracer.errors import StoreError
from tracer.format import Shown, short_id
from tracer.model import TraceSummary
from web.api.answers import RunState
from web.api.described import answers, form, gives
from web.rendering import machine, page
from web.runs import Run, told
from web.site import CurrentSite, Site
from web.view.contexts import Chrome, Link
from web.view.contexts_of_replays import RunPage
from web.view.text import sentence

router = APIRouter()
EVERY_S = 0.5
LONGEST_S = 300.0
AGAIN_S = 2
#: Traces that are looked through for the one that a run writes.
_NEWEST = 40


@dataclass(frozen=True, slots=True)
class _Look:
    """How far a run is."""

    done: int = 0
    facts: tuple[Shown, ...] = ()
    trace_id: str = ""


# the decorator below is the first to be registered, and {run_id} would take the ending for a part of the id
@router.get("/runs/{run_id}")
@router.get("/runs/{run_id}.json", **answers("How far a run is", RunState, fails=(404,)))
def show_run(request: Request, site: CurrentSite, run_id: str) -> Response:
    run = _known(site, run_id)
    look = _look(site, run)
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        said = {"run": run.run_id, "kind": run.kind, "of": run.of, "state": run.state, "done": look.done}
        return machine({**said, "told": told(run), "problem": _problem(run)})
    if run.kind == "faults":
        return RedirectResponse(f"/t/{run.about}/faults", 303)
    if run.kind == "backtest":
        return RedirectResponse(f"/backtests/{run.about}", 303)
    if run.state == "done" and (new := told(run).get("trace_id")):
        site.adopt()
        return RedirectResponse(f"/diff/{run.about}/{new}", 303)
    return page(request, "run.html", _page(site, run, look))


@router.post("/runs/{run_id}/cancel", **form("Cancel a run", {}, fails=(400, 404)))
async def cancel_run(request: Request, site: CurrentSite, run_id: str) -> Response:
    sent = await request.form(max_files=0, max_fields=5)
    run = _known(site, run_id)
    if not site.gate.form_token_holds(f"run {run_id}", str(sent.get("csrf", ""))):
        raise HTTPException(403, "This form is from before the viewer was restarted. Open the page again.")
    await run_in_threadpool(site.runs.cancel, run)
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.get("/runs/{run_id}/live", **gives("The same as it happens", "text/event-stream", fails=(404,)))
async def listen(request: Request, site: CurrentSite, run_id: str) -> Response:
    run = _known(site, run_id)
    return StreamingResponse(
        _events(request, site, run), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


async def _events(request: Request, site: Site, run: Run) -> AsyncIterator[str]:
    until_s, said = time.monotonic() + LONGEST_S, ""
    yield "retry: 3000\n\n"
    while time.monotonic() < until_s and not site.ending() and not await request.is_disconnected():
        is_over = run.is_over
        try:
            look = await run_in_threadpool(_look, site, run)
        except StoreError:
            return
        now = json.dumps({"state": run.state, "done": look.done})
        if now != said:
            said = now
            yield f"data: {now}\n\n"
        if is_over:
            return
        await asyncio.sleep(EVERY_S)


def _known(site: Site, run_id: str) -> Run:
    run = site.runs.get(run_id)
    if run is None:
        raise HTTPException(404, "No run of this name is known: the viewer was restarted since, or it is long over.")
    return run


def _look(site: Site, run: Run) -> _Look:
    if run.kind == "replay":
        found = _trace_of(site, run)
        if found is None:
            return _Look()
        facts = (fmt.shown_duration(found.duration_ns, found.status), fmt.trace_cost(found))
        return _Look(min(found.steps, run.of), facts, found.trace_id)
    if run.kind == "faults":
        return _Look(sum(one.started_ns >= run.started_ns for one in site.store.replays_of(run.about, limit=500)))
    ledger = Ledger.read(recorder.current_config().home, run.about)
    return _Look(0 if ledger is None else len(ledger.final()))


def _trace_of(site: Site, run: Run) -> TraceSummary | None:
    """The trace that this run writes: the first one since that has its plan."""
    if new := told(run).get("trace_id"):
        return next(iter(site.store.summaries([str(new)])), None)
    since = [one for one in site.store.replays_of(run.about, limit=_NEWEST) if one.started_ns >= run.started_ns]
    wanted = _without_budget([" ".join(pair) for pair in zip(run.words[2::2], run.words[3::2], strict=True)])
    for one in reversed(since):
        plan = site.store.trace(one.trace_id).plan or {}
        if _without_budget([str(rule) for rule in plan.get("rules") or ()]) == wanted:
            return one
    return None


def _without_budget(words: Sequence[str]) -> list[str]:
    return sorted(word for word in words if not word.startswith("--budget-usd"))


def _problem(run: Run) -> str:
    if run.answered is None or run.answered.told is not None:
        return ""
    return sentence(run.answered.problem)


_SENTENCES = {
    "waiting": "Waits for its turn: others run before it.",
    "running": "The replay runs. Steps that did not change are served from the record.",
    "cancelled": "Cancelled. What it did until then is in the store.",
    "done": "It came to nothing.",
}


def _page(site: Site, run: Run, look: _Look) -> RunPage:
    title = f"Replay of {short_id(run.about)}"
    back = Link("Back to the form, as you sent it", f"/t/{run.about}/replay?run={run.run_id}")
    partly = (Link("What it did until there", f"/diff/{run.about}/{look.trace_id}"),) if look.trace_id else ()
    ended_ns = run.ended_ns or time.time_ns()
    return RunPage(
        chrome=Chrome(
            title=title,
            crumbs=(Link("Traces", "/"), Link(short_id(run.about), f"/t/{run.about}")),
            here="Replay",
            json_href=f"/runs/{run.run_id}.json",
            command=shlex.join(["playhead", *run.words]),
        ),
        run_id=run.run_id,
        title=title,
        state=run.state,
        sentence=_SENTENCES[run.state],
        done=look.done,
        of=run.of,
        facts=(Shown(fmt.duration(ended_ns - run.started_ns), "since it was started"), *look.facts[1:]),
        command=shlex.join(["playhead", *run.words]),
        csrf=site.gate.form_token(f"run {run.run_id}"),
        again_s=0 if run.is_over else AGAIN_S,
        links=(*partly, back) if run.is_over else (),
        problem=_problem(run),
    )
