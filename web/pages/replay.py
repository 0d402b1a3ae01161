"""``/t/{trace}/replay``: a form that says what is to change, what that would do and cost, and a button for it.

Only a recorded, importable workflow can be run, in a process of its own (web.runs). Sending the form needs our own form
token and our own origin.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from replay import PlanError, Rule
from tracer import recorder
from tracer.format import short_id
from tracer.model import Entry, Trace
from web import child
from web.api.answers import ReplayForm
from web.api.described import answers, form, one_of
from web.rendering import machine, page
from web.runs import TooMany
from web.site import CurrentSite, Site
from web.view.contexts import Choice, Chrome, Link
from web.view.contexts_of_replays import ReplayPage
from web.view.heading import header_of
from web.view.planned import Planned, planned
from web.view.planning import FAULT_CHOICES, Form, command_of, plan_rows, rules_of, words_of
from web.view.text import sentence

router = APIRouter()
#: What was answered about plans, by the workflow's version and the plan: asking loads its module.
_prepared: dict[tuple[object, ...], Mapping[str, Any]] = {}
_PREPARED_KEPT = 64
_DIVERGENCE = (("stop", "stop and say so"), ("live", "let model calls go live"))
#: Names of models that were called here, offered as other models of the same provider.
_MOST_MODELS = 40


_QUERY = {
    "step": "go live from this step on",
    "edit": "the step whose editor is open",
    "like": "begin with the plan of this replay",
    "add": "a further rule, as the command line writes it",
    "run": "begin as this run was begun",
}
_FORM = {
    "then": one_of("what to do with the plan", "command", "check", "run"),
    "extra": "rules, one a line, as the command line writes them; the fields of the page's rows are the same by step",
    "on_divergence": one_of("what a call does that the record does not hold", *(value for value, _ in _DIVERGENCE)),
    "budget": "dollars at most",
}


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why the last attempt came to nothing."""

    problem: str = ""
    hint: str = ""
    status: int = 200


_NOTHING_RAN = "Nothing ran. What you entered is still here."


@router.get("/t/{trace_id}/replay.json", **answers("What a plan would do", ReplayForm, query=_QUERY, fails=(404, 422)))
@router.get("/t/{trace_id}/replay")
def show_form(request: Request, site: CurrentSite, trace_id: str) -> Response:
    """``step``: go live from this step on. ``edit``: open its editor. ``like``: begin with the plan of that replay, and
    with ``add``, a further rule. ``run``: with the form that this run was begun with."""
    trace = site.store.trace(site.store.resolve(trace_id))
    form = _begun(site, trace, request.query_params)
    # Asking about a plan imports the workflow's module: only for who came from our own pages or typed the address.
    trusted = request.headers.get("sec-fetch-site", "none") in ("same-origin", "none")
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        try:
            rules = rules_of(trace, form, load=site.load)
        except PlanError as error:
            raise HTTPException(422, sentence(str(error))) from None
        told = _ask(trace, rules, form) if site.replays and trusted else child.Answered(None)
        words = [str(rule) for rule in rules]
        return machine({"trace_id": trace.trace_id, "can_run": site.replays, "rules": words, "plan": told.told})
    return _form(request, site, trace, form, _Trouble(), ask=trusted)


def _begun(site: Site, trace: Trace, query: Mapping[str, str]) -> Form:
    values: dict[str, str] = {}
    if (run := site.runs.get(query.get("run", ""))) is not None and run.about == trace.trace_id:
        values |= run.filled
    if like := query.get("like", ""):
        plan = site.store.trace(site.store.resolve(like)).plan or {}
        values |= _as_fields([str(rule) for rule in plan.get("rules") or ()])
    if add := query.get("add", ""):
        more = _as_fields([add])
        extra = "\n".join(filter(None, (values.get("extra"), more.pop("extra"))))
        values |= {**more, "extra": extra}
    chosen = query.get("step", "")
    if chosen:
        values.setdefault(f"do:{chosen}", "from")
    return Form(values, query.get("edit", ""), chosen)


def _as_fields(words: Sequence[str]) -> dict[str, str]:
    """The words of a plan as fields of the form: rules go to the lines below the steps."""
    fields, lines = {}, []
    for word in words:
        option, _, value = word.partition(" ")
        if option == "--on-divergence":
            fields["on_divergence"] = value
        elif option == "--budget-usd":
            fields["budget"] = value
        elif value and option.startswith("--"):
            lines.append(shlex.join([option, value]))
    return {**fields, "extra": "\n".join(lines)}


@router.post("/t/{trace_id}/replay", **form("Preview or run a replay", _FORM, fails=(400, 404, 422, 429), shows=True))
async def run_form(request: Request, site: CurrentSite, trace_id: str) -> Response:
    sent = await request.form(max_files=0, max_fields=1_000)
    values = {name: value for name, value in sent.items() if isinstance(value, str)}
    return await run_in_threadpool(_handle, request, site, trace_id, Form(values))


def _handle(request: Request, site: Site, trace_id: str, form: Form) -> Response:
    trace = site.store.trace(site.store.resolve(trace_id))
    if not site.gate.form_token_holds(trace.trace_id, form.values.get("csrf", "")):
        told = "This form is from before the viewer was restarted."
        trouble = _Trouble(told, "Send it again: all you entered is here.", 403)
        return _form(request, site, trace, form, trouble, ask=False)
    if form.values.get("then") != "run":
        # the command alone is known at once; what the plan would do takes a child
        return _form(request, site, trace, form, _Trouble(), ask=form.values.get("then") != "command")
    outcome = _run(site, trace, form)
    return outcome if isinstance(outcome, Response) else _form(request, site, trace, form, outcome, ask=True)


def _run(site: Site, trace: Trace, form: Form) -> Response | _Trouble:
    if not site.replays:
        return _Trouble("This viewer was started without replays.", "Copy the command below instead.", 403)
    try:
        rules = rules_of(trace, form, load=site.load)
        words = words_of(trace.trace_id, rules, budget=form.checked_budget, on_divergence=form.on_divergence)
    except PlanError as error:
        return _Trouble(sentence(str(error)), _NOTHING_RAN, 422)
    answered = _ask(trace, rules, form)
    if answered.told is None:
        return _Trouble(sentence(answered.problem), _NOTHING_RAN, 422)
    plan = planned(answered.told)
    if not plan.can_run:
        return _Trouble(plan.problem or next(iter(plan.edits.values())), _NOTHING_RAN, 422)
    kept = {name: value for name, value in form.values.items() if name not in {"csrf", "then"}}
    try:
        config = recorder.current_config()
        run = site.runs.start("replay", trace.trace_id, words, config, filled=kept, of=len(trace.steps))
    except TooMany as error:
        return _Trouble(sentence(str(error)), _NOTHING_RAN, 429)
    return RedirectResponse(f"/runs/{run.run_id}", 303)


def _form(  # noqa: PLR0913 - the request, the trace, and what the form begins with
    request: Request, site: Site, trace: Trace, form: Form, trouble: _Trouble, *, ask: bool
) -> Response:
    rules: tuple[Rule, ...] = ()
    try:
        rules = rules_of(trace, form, load=site.load)
    except PlanError as error:
        trouble = trouble if trouble.problem else _Trouble(sentence(str(error)), _NOTHING_RAN, 422)
    plan, models, refused = _planned(site, trace, rules, form, ask=ask)
    name = f"{trace.summary.workflow} {short_id(trace.trace_id)}"
    command = command_of(trace.trace_id, rules, budget=form.budget, on_divergence=form.on_divergence)
    rows, omitted = plan_rows(trace, form, plan, load=site.load)
    context = ReplayPage(
        chrome=Chrome(
            title=f"Replay {name}",
            crumbs=(Link("Traces", "/"), Link(name, f"/t/{trace.trace_id}")),
            here="Replay",
            json_href=f"/t/{trace.trace_id}/replay.json",
            command=command,
        ),
        header=header_of(trace, site.store.replays_of(trace.trace_id), now_ns=time.time_ns()),
        rows=rows,
        omitted=omitted,
        csrf=site.gate.form_token(trace.trace_id),
        action=f"/t/{trace.trace_id}/replay",
        command=command,
        budget=form.budget,
        extra=form.extra,
        divergence=tuple(Choice(value, label, value == form.on_divergence) for value, label in _DIVERGENCE),
        models=models,
        faults=FAULT_CHOICES,
        planned=None if trouble.problem else plan,
        runs=_under_way(site, trace.trace_id),
        refused=refused,
        problem=trouble.problem,
        hint=trouble.hint,
    )
    return page(request, "replay.html", context, status=trouble.status)


def _under_way(site: Site, trace_id: str) -> tuple[Link, ...]:
    running = [run for run in site.runs.of("replay", trace_id) if not run.is_over]
    return tuple(Link(f"a replay {run.state}", f"/runs/{run.run_id}", shlex.join(run.words)) for run in running)


def _planned(
    site: Site, trace: Trace, rules: tuple[Rule, ...], form: Form, *, ask: bool
) -> tuple[Planned | None, tuple[str, ...], str]:
    """What the plan would do, the models that may be named, and why no replay can run."""
    if not site.replays:
        return None, (), "This viewer was started without replays: copy the command instead."
    if not ask:
        return None, (), ""
    answered = _ask(trace, rules, form)
    if answered.told is None:
        return None, (), sentence(answered.problem)
    offered = answered.told["models"]
    others = (f"same:{name}" for name in site.store.models()[:_MOST_MODELS] if name not in offered)
    return planned(answered.told), (*offered, *others), ""


def _ask(trace: Trace, rules: tuple[Rule, ...], form: Form) -> child.Answered:
    """What the plan would do, from a child that loads the workflow's module; remembered until its file changes."""
    said = tuple((rule.verb, str(rule).partition(" ")[2]) for rule in rules)
    key = (trace.trace_id, _version_of(trace.entry), said, form.on_divergence)
    if (known := _prepared.get(key)) is not None:
        return child.Answered(known)
    asked = {"trace": trace.trace_id, "rules": said, "on_divergence": form.on_divergence}
    answered = child.prepare(asked, recorder.current_config())
    if answered.told is not None:
        while len(_prepared) >= _PREPARED_KEPT:
            with contextlib.suppress(KeyError, StopIteration):  # another request may have taken it
                del _prepared[next(iter(_prepared))]
        _prepared[key] = answered.told
    return answered


def _version_of(entry: Entry | None) -> tuple[Entry | None, int]:
    """What the list of models is good for: this workflow, as long as its file is not written anew."""
    with contextlib.suppress(OSError):
        if entry is not None and entry.file is not None:
            return entry, Path(entry.file).stat().st_mtime_ns
    return entry, 0
