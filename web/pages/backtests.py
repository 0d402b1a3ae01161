"""``/backtests``: what was backtested in this home, and a form that begins one; ``/backtests/{id}``: its report so far.

A backtest is begun by writing down what was asked (replay.backtest.ledger), and carried out by a child that goes on
with it: so it can be cancelled, and gone on with after a restart. A scorer that would be
somebody's code is refused here.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from typing import Mapping, Sequence

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from replay import PlanError, substitute
from replay.backtest.ledger import Asked, Ledger, ledgers, new_id, plain_rules
from replay.backtest.run import chosen, report_of
from replay.backtest.scoring import scorer_of
from replay.plan import Rule
from replay.run import budget_of
from tracer import format as fmt
from tracer import recorder
from tracer.store.query import Filter
from web import child
from web.api.answers import Backtested, Report
from web.api.described import answers, form, one_of, some
from web.rendering import machine, page
from web.runs import Run, TooMany
from web.site import CurrentSite, Site
from web.view.backtests import (
    SCORERS,
    BacktestForm,
    BacktestPage,
    BacktestsPage,
    figures_of,
    headline_of,
    row_of,
    rows_of,
)
from web.view.contexts import Chrome, Link
from web.view.text import sentence

router = APIRouter()
_PURPOSE = "backtests"
_MOST_WORKERS = 16
AGAIN_S = 2
_FORM = {
    "then": one_of("what to do", "check", "run"),
    "t": some("ids of traces, in place of a filter"),
    "workflow": "whose traces",
    "since": "an age: 7d",
    "limit": "so many traces at most",
    "step": "the step that is answered by another model",
    "model": "that model",
    "scorer": "exact, json, fields, numeric:..., label:...",
    "budget": "dollars at most",
    "workers": "processes",
}


@router.get("/backtests.json", **answers("The backtests of this home", list[Backtested]))
@router.get("/backtests")
def show_backtests(request: Request, site: CurrentSite) -> Response:
    """``t``, any number of times: the traces to backtest, as they were selected in the list."""
    if request.url.path.endswith(".json"):
        return machine([_row(site, ledger) for ledger in _all()])
    names = ("workflow", "since", "step", "model")
    filled = {name: request.query_params[name] for name in names if name in request.query_params}
    form = BacktestForm(**filled, traces=tuple(request.query_params.getlist("t")))
    return _page(request, site, form)


@router.post("/backtests", **form("Size or begin a backtest", _FORM, fails=(400, 404, 422), shows=True))
async def begin_form(request: Request, site: CurrentSite) -> Response:
    sent = await request.form(max_files=0, max_fields=10_000)
    names = ("workflow", "since", "limit", "step", "model", "scorer", "budget", "workers")
    form = BacktestForm(
        **{name: str(sent.get(name, "")).strip() for name in names},
        traces=tuple(str(value) for value in sent.getlist("t")),
    )
    if not site.gate.form_token_holds(_PURPOSE, str(sent.get("csrf", ""))):
        stale = "This form is from before the viewer was restarted: send it again."
        return await run_in_threadpool(_page, request, site, form, problem=stale, status=403)
    return await run_in_threadpool(_handle, request, site, form, run=sent.get("then") == "run")


def _handle(request: Request, site: Site, form: BacktestForm, *, run: bool) -> Response:
    if not site.replays:
        return _page(request, site, form, problem=_READ_ONLY, status=403)
    try:
        asked = _asked(form)
        size = _size(asked)
        workers = _whole(form.workers or "1", "the number of workers", most=_MOST_WORKERS)
        if not run:
            return _page(request, site, form, size=size)
        config = recorder.current_config()
        # where too much runs already, it is there to be gone on with
        Ledger.begin(config.home, asked)
        words = ["backtest", "--resume", asked.backtest_id, "--workers", str(workers)]
        site.runs.start("backtest", asked.backtest_id, words, config, filled={}, of=len(asked.traces))
    except (PlanError, TooMany) as error:
        return _page(request, site, form, problem=sentence(str(error)), status=422)
    return RedirectResponse(f"/backtests/{asked.backtest_id}", 303)


_READ_ONLY = "This viewer was started without replays: it begins nothing."


def _asked(form: BacktestForm) -> Asked:
    """What is to be done. Raises PlanError."""
    if not form.step or not form.model:
        raise PlanError("Say which step is to be answered by which model: a backtest without a change changes nothing.")
    if not form.scorer.startswith(SCORERS):
        raise PlanError(
            f"The scorer {form.scorer!r} would run code: use the command line for it, or one of those here."
        )
    scorer_of(form.scorer)
    rules: tuple[Rule, ...] = (substitute(form.step, model=form.model),)
    limit = _whole(form.limit, "the number of traces", most=1_000_000) if form.limit else None
    told = {name: value for name, value in (("workflow", form.workflow), ("since", form.since)) if value}
    return Asked(
        backtest_id=new_id(),
        rules=tuple(map(str, rules)),
        plain_rules=plain_rules(rules),
        scorer=form.scorer,
        traces=chosen(form.traces or _filter(told), limit),
        budget_nusd=budget_of(_amount(form.budget)) if form.budget else None,
    )


def _filter(told: Mapping[str, str]) -> Filter:
    try:
        return Filter.parse(dict(told))
    except ValueError as error:
        raise PlanError(str(error)) from None


def _whole(text: str, what: str, *, most: int) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise PlanError(f"{what} is a number from 1 to {most:,}, not {text!r}")
    return int(text)


def _amount(text: str) -> float:
    try:
        return float(text.lstrip("$"))
    except ValueError:
        raise PlanError(f"The budget {text!r} is no amount of dollars, like 0.50.") from None


def _size(asked: Asked) -> str:
    """How many traces, and about what cost, by the newest of them. Raises PlanError where the plan can't be begun."""
    rules = [(rule.verb, str(rule).partition(" ")[2]) for rule in asked.rules_again()]
    question = {"trace": asked.traces[0], "rules": rules, "on_divergence": "stop"}
    answered = child.prepare(question, recorder.current_config())
    if answered.told is None or answered.told["problem"]:
        raise PlanError(answered.problem if answered.told is None else answered.told["problem"])
    one, number = answered.told["estimate"], len(asked.traces)
    words = (
        f"{fmt.plural(number, 'trace')}, each a replay. By the newest: {fmt.plural(one['calls'], 'model call')} a trace"
    )
    unknown = f"; no price is known for {', '.join(one['unpriced'])}" if one["unpriced"] else ""
    return f"{words}, about {fmt.dollars(one['nusd'] * number)} in all{unknown}. Only a budget is a bound."


def _all() -> list[Ledger]:
    return ledgers(recorder.current_config().home)


def _running(site: Site, backtest_id: str) -> Run | None:
    return next((run for run in site.runs.of("backtest", backtest_id) if not run.is_over), None)


def _row(site: Site, ledger: Ledger) -> object:
    return asdict(row_of(ledger, running=_running(site, ledger.asked.backtest_id) is not None))


def _page(  # noqa: PLR0913 - the form, and what is to be said of it
    request: Request, site: Site, form: BacktestForm, *, size: str = "", problem: str = "", status: int = 200
) -> Response:
    context = BacktestsPage(
        chrome=Chrome(title="Backtests", crumbs=(Link("Traces", "/"),), here="Backtests", json_href="/backtests.json"),
        rows=tuple(row_of(one, running=_running(site, one.asked.backtest_id) is not None) for one in _all()),
        form=form,
        workflows=tuple(site.store.workflows()),
        models=tuple(site.store.models()),
        csrf=site.gate.form_token(_PURPOSE),
        size=size,
        refused="" if site.replays else _READ_ONLY,
        problem=problem,
    )
    return page(request, "backtests.html", context, status=status)


# the decorator below is the first to be registered, and {backtest_id} would take the ending for a part of the id
@router.get("/backtests/{backtest_id}")
@router.get("/backtests/{backtest_id}.json", **answers("The report of a backtest so far", Report, fails=(404,)))
def show_backtest(request: Request, site: CurrentSite, backtest_id: str) -> Response:
    ledger = _known(backtest_id)
    report = report_of(ledger, ledger.asked.budget_nusd)
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        return machine(report.as_json())
    rows, omitted = rows_of(report)
    runs = site.runs.of("backtest", backtest_id)
    context = BacktestPage(
        chrome=Chrome(
            title=f"Backtest {backtest_id}",
            crumbs=(Link("Traces", "/"), Link("Backtests", "/backtests")),
            here=backtest_id,
            json_href=f"/backtests/{backtest_id}.json",
            command=f"playhead backtest --resume {backtest_id}",
        ),
        backtest_id=backtest_id,
        headline=headline_of(report),
        figures=figures_of(report),
        problems=tuple(report.problems()[:20]),
        rows=rows,
        omitted=omitted,
        done=len(report.outcomes),
        of=len(report.traces),
        command=shlex.join(["playhead", "backtest", "--resume", backtest_id]),
        problem=_came_to_nothing(runs),
    )
    return page(request, "backtest.html", _with_run(site, context, _running(site, backtest_id)))


def _with_run(site: Site, context: BacktestPage, run: Run | None) -> BacktestPage:
    if run is not None:
        csrf = site.gate.form_token(f"run {run.run_id}")
        return replace(context, run_id=run.run_id, run_state=run.state, cancel_csrf=csrf, again_s=AGAIN_S, problem="")
    can_go_on = site.replays and context.done < context.of
    return replace(context, resume_csrf=site.gate.form_token(context.backtest_id) if can_go_on else "")


def _came_to_nothing(runs: Sequence[Run]) -> str:
    last = runs[0].answered if runs else None
    return sentence(last.problem) if last is not None and last.told is None else ""


def _known(backtest_id: str) -> Ledger:
    try:
        ledger = Ledger.read(recorder.current_config().home, backtest_id)
    except PlanError as error:
        raise HTTPException(404, str(error)) from None
    if ledger is None:
        raise HTTPException(404, f"There is no backtest {backtest_id[:80]} in this home.")
    return ledger


@router.post("/backtests/{backtest_id}", **form("Go on with a backtest", {}, fails=(400, 404, 429)))
async def go_on(request: Request, site: CurrentSite, backtest_id: str) -> Response:
    """Go on with one that was cut short."""
    sent = await request.form(max_files=0, max_fields=5)
    if not site.replays:
        raise HTTPException(403, _READ_ONLY)
    if not site.gate.form_token_holds(backtest_id, str(sent.get("csrf", ""))):
        raise HTTPException(403, "This form is from before the viewer was restarted. Open the page again.")
    _known(backtest_id)
    if _running(site, backtest_id) is None:
        words = ["backtest", "--resume", backtest_id, "--workers", "1"]
        try:
            site.runs.start("backtest", backtest_id, words, recorder.current_config(), filled={})
        except TooMany as error:
            raise HTTPException(429, sentence(str(error))) from None
    return RedirectResponse(f"/backtests/{backtest_id}", 303)
