"""``/t/{trace}/replay``: a form that says what is to change; sending it runs the replay and leads to the comparison.

The only page that runs code, and only a recorded, importable workflow. It needs our own form token and our own origin.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from replay import PlanError
from tracer import recorder
from tracer.format import short_id
from tracer.model import Entry, Trace
from web import child
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view.contexts import Choice, Chrome, Link, ReplayPage
from web.view.heading import header_of
from web.view.planning import command_of, plan_rows, rules_of, words_of
from web.view.text import sentence

router = APIRouter()
#: One replay at a time: each may start a model on this machine.
_one_at_a_time = threading.Lock()
#: The models that each workflow's module offers: asking for them loads it, in a process of its own.
_offered: dict[tuple[Entry | None, int], tuple[str, ...]] = {}
_DIVERGENCE = (("stop", "stop and say so"), ("live", "let model calls go live"))


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why the last attempt came to nothing."""

    problem: str = ""
    hint: str = ""
    look: Link | None = None
    status: int = 200


@dataclass(frozen=True, slots=True)
class _Filled:
    """The form as it was sent."""

    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def budget(self) -> str:
        return self.values.get("budget", "").strip().lstrip("$")

    @property
    def checked_budget(self) -> str:
        try:
            amount = float(self.budget or 0)
        except ValueError:
            amount = -1.0
        if not 0 <= amount < 1e9:
            raise PlanError(f"The budget {self.budget!r} is no amount of dollars, like 0.50.")
        return self.budget

    @property
    def on_divergence(self) -> str:
        return "live" if self.values.get("on_divergence") == "live" else "stop"


@router.get("/t/{trace_id}/replay.json")
@router.get("/t/{trace_id}/replay")
def show_form(request: Request, site: CurrentSite, trace_id: str, step: str = "", edit: str = "") -> Response:
    trace = site.store.trace(site.store.resolve(trace_id))
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        rows = plan_rows(trace, load=site.load, models=(), filled={})
        return machine({"trace_id": trace.trace_id, "can_run": site.replays, "steps": rows})
    # Reading the catalogue imports the workflow's module: only for who came from our own pages or typed the address.
    trusted = request.headers.get("sec-fetch-site", "none") in ("same-origin", "none")
    return _form(request, site, trace, _Filled(), _Trouble(), opened=edit, chosen=step, load_models=trusted)


@router.post("/t/{trace_id}/replay")
async def run_form(request: Request, site: CurrentSite, trace_id: str) -> Response:
    sent = await request.form(max_files=0, max_fields=1_000)
    filled = _Filled({name: value for name, value in sent.items() if isinstance(value, str)})
    return await run_in_threadpool(_handle, request, site, trace_id, filled)


def _handle(request: Request, site: Site, trace_id: str, filled: _Filled) -> Response:
    trace = site.store.trace(site.store.resolve(trace_id))
    trouble = _Trouble()
    if not site.gate.form_token_holds(trace.trace_id, filled.values.get("csrf", "")):
        trouble = _Trouble(
            "This form is from before the viewer was restarted.", "Send it again: all you entered is here.", None, 403
        )
    elif filled.values.get("then") == "run":
        outcome = _run(site, trace, filled)
        if isinstance(outcome, Response):
            return outcome
        trouble = outcome
    return _form(request, site, trace, filled, trouble, load_models=True)


def _run(site: Site, trace: Trace, filled: _Filled) -> Response | _Trouble:
    if not site.replays:
        return _Trouble("This viewer was started without replays.", "Copy the command below instead.", None, 403)
    try:
        rules = rules_of(trace, filled.values, load=site.load)
        words = words_of(trace.trace_id, rules, budget=filled.checked_budget, on_divergence=filled.on_divergence)
    except PlanError as error:
        return _refused(str(error))
    with _one_at_a_time:
        answered = child.playhead(words, recorder.current_config())
    if answered.told is None:
        return _refused(answered.problem)
    compared = f"/diff/{trace.trace_id}/{answered.told['trace_id']}"
    stopped = answered.told["stopped"]
    if stopped is None:
        return RedirectResponse(compared, 303)
    return _Trouble(f"Stopped at {stopped}", "", Link("What it did until there", compared), 409)


def _refused(words: str) -> _Trouble:
    return _Trouble(sentence(words), "Nothing ran. What you entered is still here.", None, 422)


def _form(  # noqa: PLR0913 - the request, the trace, and the four things a form may begin with
    request: Request,
    site: Site,
    trace: Trace,
    filled: _Filled,
    trouble: _Trouble,
    *,
    opened: str = "",
    chosen: str = "",
    load_models: bool,
) -> Response:
    models, refused = _models(site, trace, load=load_models)
    values = dict(filled.values)
    if chosen:
        values.setdefault(f"do:{chosen}", "from")
    try:
        rules = rules_of(trace, values, load=site.load)
    except PlanError as error:
        rules, trouble = (), trouble if trouble.problem else _Trouble(str(error), "", None, 422)
    name = f"{trace.summary.workflow} {short_id(trace.trace_id)}"
    command = command_of(trace.trace_id, rules, budget=filled.budget, on_divergence=filled.on_divergence)
    context = ReplayPage(
        chrome=Chrome(
            title=f"Replay {name}",
            crumbs=(Link("Traces", "/"), Link(name, f"/t/{trace.trace_id}")),
            here="Replay",
            json_href=f"/t/{trace.trace_id}/replay.json",
            command=command,
        ),
        header=header_of(trace, site.store.replays_of(trace.trace_id), now_ns=time.time_ns()),
        rows=plan_rows(trace, load=site.load, models=models, filled=values, opened=opened),
        csrf=site.gate.form_token(trace.trace_id),
        action=f"/t/{trace.trace_id}/replay",
        command=command,
        budget=filled.budget,
        divergence=tuple(Choice(value, label, value == filled.on_divergence) for value, label in _DIVERGENCE),
        refused=refused,
        problem=trouble.problem,
        hint=trouble.hint,
        look=trouble.look,
    )
    return page(request, "replay.html", context, status=trouble.status)


def _models(site: Site, trace: Trace, *, load: bool) -> tuple[tuple[str, ...], str]:
    """The names that the catalogue of the workflow's module has, and why no replay can run."""
    if not site.replays:
        return (), "This viewer was started without replays: copy the command instead."
    if not load:
        return (), ""
    known = _offered.get(key := _version_of(trace.entry))
    if known is None:
        answered = child.playhead(["models", trace.trace_id], recorder.current_config())
        if answered.told is None:
            return (), sentence(answered.problem)
        known = _offered[key] = tuple(target["name"] for target in answered.told)
    return known, ""


def _version_of(entry: Entry | None) -> tuple[Entry | None, int]:
    """What the list of models is good for: this workflow, as long as its file is not written anew."""
    with contextlib.suppress(OSError):
        if entry is not None and entry.file is not None:
            return entry, Path(entry.file).stat().st_mtime_ns
    return entry, 0
