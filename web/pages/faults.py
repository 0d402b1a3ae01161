"""``/t/{trace}/faults``: every fault at every model call and tool of a trace; chosen, run, watched and read here.

What was run is found in the store, cell by cell: each is a replay of the trace, and its plan says what it tried. So it
is there after a restart, and whoever ran it.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, replace
from typing import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from replay.junit import junit
from replay.matrix import Cell, Matrix, strikable
from replay.plan import FAULTS
from replay.record import Record
from replay.tried import Tried, outcome_again, tried
from tracer import format as fmt
from tracer import recorder
from tracer.format import short_id
from tracer.model import Trace
from web.api.described import answers, form, gives, one_of, some
from web.rendering import machine, page
from web.runs import Run, TooMany, told
from web.site import CurrentSite, Site
from web.view.contexts import Chrome, Link
from web.view.heading import header_of
from web.view.matrix import Choosable, FaultsPage, matrix_view
from web.view.text import sentence

router = APIRouter()
#: Replays of one trace that are looked through, newest first.
_MOST = 1_000
AGAIN_S = 2
#: What was found out about ended replays, by their id: what they tried, and (of cells) what came of it, by their base.
_tried: dict[str, Tried | None] = {}
_judged: dict[tuple[str, str], Cell] = {}
_KEPT = 20_000


_QUERY = {"once": "of faults that struck only the first try; any value"}
_FORM = {
    "then": one_of("what to do", "check", "run"),
    "step": some("paths of steps; none is all"),
    "fault": some("faults; none is all"),
    "once": "strike only the first try; any value",
}


@dataclass(frozen=True, slots=True)
class _Sent:
    steps: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    once: bool = False
    problem: str = ""
    status: int = 200


@router.get("/t/{trace_id}/faults.json", **answers("What came of each fault", Matrix, query=_QUERY, fails=(404,)))
@router.get("/t/{trace_id}/faults.xml", **gives("The same as JUnit", "application/xml", query=_QUERY, fails=(404,)))
@router.get("/t/{trace_id}/faults")
def show_faults(request: Request, site: CurrentSite, trace_id: str) -> Response:
    """``.xml`` is the matrix as JUnit."""
    trace = site.store.trace(site.store.resolve(trace_id))
    once = bool(request.query_params.get("once"))
    if request.url.path.endswith(".xml"):
        return Response(junit(_matrix(site, trace, once=once)), media_type="application/xml")
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        return machine(_matrix(site, trace, once=once))
    return _page(request, site, trace, _Sent(once=once))


@router.post("/t/{trace_id}/faults", **form("Run faults", _FORM, fails=(400, 404, 409, 422, 429), shows=True))
async def run_faults(request: Request, site: CurrentSite, trace_id: str) -> Response:
    form = await request.form(max_files=0, max_fields=1_000)
    steps, faults = ([str(value) for value in form.getlist(name)] for name in ("step", "fault"))
    sent = _Sent(tuple(steps), tuple(faults), once=bool(form.get("once")))
    return await run_in_threadpool(
        _handle, request, site, trace_id, sent, str(form.get("csrf", "")), run=form.get("then") == "run"
    )


def _handle(  # noqa: PLR0913 - a form, its token, and which of its buttons was pressed
    request: Request, site: Site, trace_id: str, sent: _Sent, csrf: str, *, run: bool
) -> Response:
    trace = site.store.trace(site.store.resolve(trace_id))

    def refused(problem: str, status: int) -> Response:
        return _page(request, site, trace, _Sent(sent.steps, sent.faults, sent.once, sentence(problem), status))

    if not site.gate.form_token_holds(f"faults {trace.trace_id}", csrf):
        return refused("This form is from before the viewer was restarted: send it again.", 403)
    if not run:
        return _page(request, site, trace, sent)
    if not site.replays:
        return refused("This viewer was started without replays: copy the command instead.", 403)
    known = _strikable(site, trace)
    wrong = [name for name in (*sent.steps, *sent.faults) if name not in known and name not in FAULTS]
    if wrong or not known:
        told_so = f"{wrong[0]!r} is no step or fault of this trace." if wrong else "There is nothing to fail here."
        return refused(told_so, 422)
    if any(not one.is_over for one in site.runs.of("faults", trace.trace_id)):
        return refused("A matrix of this trace is being run already: let it end, or cancel it.", 409)
    of = len(sent.steps or known) * len(sent.faults or FAULTS) + 1
    try:
        site.runs.start("faults", trace.trace_id, _words(trace, sent), recorder.current_config(), filled={}, of=of)
    except TooMany as error:
        return refused(str(error), 429)
    return RedirectResponse(f"/t/{trace.trace_id}/faults{'?once=1' if sent.once else ''}", 303)


def _words(trace: Trace, sent: _Sent) -> list[str]:
    words = ["faults", trace.trace_id]
    for step in sent.steps:
        words += ["--step", step]
    for fault in sent.faults:
        words += ["--fault", fault]
    return [*words, "--once"] if sent.once else words


def _strikable(site: Site, trace: Trace) -> tuple[str, ...]:
    return tuple(step.path for step in strikable(Record(trace, site.store.payloads)))


def _matrix(site: Site, trace: Trace, *, once: bool) -> Matrix:
    """What the store holds of it: the newest replay of each cell."""
    cells, base_id, stopped = _found(site, trace, once=once)
    paths = dict.fromkeys(path for path, _ in cells)
    known = [path for path in _strikable(site, trace) if path in paths]
    steps = (*known, *(path for path in paths if path not in known))
    faults = tuple(fault for fault in FAULTS if any(fault == tried_one for _, tried_one in cells))
    grid = (cells.get((path, fault)) or Cell(path, fault, "not-applicable") for path in steps for fault in faults)
    return Matrix(
        trace_id=trace.trace_id,
        workflow=trace.summary.workflow,
        base_id=base_id,
        steps=steps,
        faults=faults,
        cells=tuple(grid),
        once=once,
        stopped=stopped,
    )


def _found(site: Site, trace: Trace, *, once: bool) -> tuple[dict[tuple[str, str], Cell], str, str | None]:
    """The newest played cells; the newest replay without a fault; and why that one stopped, if it did."""
    site.adopt()
    cells: dict[tuple[str, str], Cell] = {}
    bases: dict[bool, Trace] = {}
    base_id, stopped = "", None
    # oldest first: a cell is held against the last replay without a fault before it, and a newer cell takes its place
    for one in reversed(site.store.replays_of(trace.trace_id, limit=_MOST)):
        if one.status == "running":
            continue
        known = _what(site, one.trace_id)
        if known is None:
            continue
        if not known.fault:
            base = bases[known.live] = site.store.trace(one.trace_id)
            failure = None if base.root is None else base.root.failure
            base_id = one.trace_id
            stopped = failure.message if one.status == "stopped" and failure is not None else None
        elif known.once == once and (against := bases.get(known.live)) is not None:
            cells[known.path, known.fault] = _cell(site, against, one.trace_id, known)
    return cells, base_id, stopped


def _what(site: Site, trace_id: str) -> Tried | None:
    if trace_id not in _tried:
        if len(_tried) > _KEPT:
            _tried.clear()
        _tried[trace_id] = tried(site.store.trace(trace_id))
    return _tried[trace_id]


def _cell(site: Site, base: Trace, trace_id: str, known: Tried) -> Cell:
    key = (base.trace_id, trace_id)
    if key not in _judged:
        if len(_judged) > _KEPT:
            _judged.clear()
        outcome, note = outcome_again(base, site.store.trace(trace_id), site.load)
        _judged[key] = Cell(known.path, known.fault, outcome, note, trace_id)
    return _judged[key]


def _page(request: Request, site: Site, trace: Trace, sent: _Sent) -> Response:
    matrix = _matrix(site, trace, once=sent.once)
    runs = site.runs.of("faults", trace.trace_id)
    run = next((one for one in runs if not one.is_over), None)
    strikes = _strikable(site, trace)
    name = f"{trace.summary.workflow} {short_id(trace.trace_id)}"
    here = f"/t/{trace.trace_id}/faults"
    query = "?once=1" if sent.once else ""
    command = shlex.join(["playhead", *_words(trace, sent)])
    played = _unplayed(runs) | {(cell.path, cell.fault): cell for cell in matrix.cells if cell.trace_id}
    context = FaultsPage(
        chrome=Chrome(
            title=f"Faults of {name}",
            crumbs=(Link("Traces", "/"), Link(name, f"/t/{trace.trace_id}")),
            here="Faults",
            json_href=f"{here}.json{query}",
            command=command,
            replay_href=f"/t/{trace.trace_id}/replay",
        ),
        header=header_of(trace, site.store.replays_of(trace.trace_id), now_ns=time.time_ns()),
        steps=tuple(
            Choosable(path, path.removeprefix(f"{trace.summary.workflow}/"), path in sent.steps) for path in strikes
        ),
        faults=tuple(Choosable(fault, fault.replace("_", " "), fault in sent.faults) for fault in FAULTS),
        once=sent.once,
        size=_size(len(sent.steps or strikes), len(sent.faults or FAULTS)),
        action=here,
        csrf=site.gate.form_token(f"faults {trace.trace_id}"),
        matrix=matrix_view(matrix, played) if matrix.steps else None,
        junit_href=f"{here}.xml{query}",
        command=command,
        refused=_refused(site, strikes),
        problem=sent.problem or _came_to_nothing(runs),
        stopped=None if matrix.stopped is None else Link(matrix.stopped, f"/diff/{trace.trace_id}/{matrix.base_id}"),
    )
    return page(request, "faults.html", _with_run(site, context, run), status=sent.status)


def _with_run(site: Site, context: FaultsPage, run: Run | None) -> FaultsPage:
    if run is None:
        return context
    since = (one.started_ns >= run.started_ns for one in site.store.replays_of(run.about, limit=_MOST))
    return replace(
        context,
        run_id=run.run_id,
        run_state=run.state,
        done=sum(since),
        of=run.of,
        cancel_csrf=site.gate.form_token(f"run {run.run_id}"),
        again_s=AGAIN_S,
    )


def _refused(site: Site, strikes: Sequence[str]) -> str:
    if not strikes:
        return "This trace has no model call and no tool: there is nothing to fail."
    return "" if site.replays else "This viewer was started without replays: copy the command instead."


def _came_to_nothing(runs: Sequence[Run]) -> str:
    """What the last run here was refused for."""
    last = runs[0].answered if runs else None
    return sentence(last.problem) if last is not None and last.told is None else ""


def _unplayed(runs: Sequence[Run]) -> dict[tuple[str, str], Cell]:
    """Why cells of the last run were not played, while that is known."""
    cells = told(runs[0]).get("cells", ()) if runs else ()
    return {
        (one["path"], one["fault"]): Cell(one["path"], one["fault"], one["outcome"], one["note"])
        for one in cells
        if not one["trace_id"]
    }


def _size(steps: int, faults: int) -> str:
    count = fmt.plural(steps * faults, "replay")
    return (
        f"{fmt.plural(steps, 'step')} × {fmt.plural(faults, 'fault')}: at most {count}, offline "
        "and on a virtual clock. It costs nothing, no model is asked, and no effect happens."
    )
