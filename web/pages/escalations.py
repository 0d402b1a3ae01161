"""``/escalations``: the inbox of questions to humans, and the form that answers one.

To look changes nothing. An answer is checked, kept and gone on with by the command line in a process of its own: it has
the workflow's code as it is now. It needs our own form token and our own origin.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Mapping, Sequence

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from replay.answering.question import question_of
from tracer import format as fmt
from tracer import recorder
from tracer.model import Escalation
from web import child
from web.api.answers import Asked
from web.api.described import answers, form, one_of
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view.contexts import Chrome, EscalationsPage, Link
from web.view.escalations import asked_row
from web.view.text import sentence

router = APIRouter()
_PURPOSE = "escalations"


@dataclass(frozen=True, slots=True)
class _Sent:
    """What was sent about one question, and why it came to nothing."""

    step_id: str = ""
    values: Mapping[str, str] | None = None
    problem: str = ""
    status: int = 200

    def value(self, name: str) -> str:
        return (self.values or {}).get(name, "")


@router.get(
    "/escalations.json",
    **answers("Questions that wait for a human", list[Asked], query={"all": "with those that are closed; any value"}),
)
@router.get("/escalations")
def show_escalations(request: Request, site: CurrentSite) -> Response:
    site.adopt()
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        found = _found(site, everything="all" in request.query_params)
        return machine([{"escalation": one, "question": question_of(one, site.store.value)} for one in found])
    return _page(request, site, _Sent())


_FORM = {
    "then": one_of("what to do with the question", "answer", "assign", "withdraw", "resume"),
    "answer": "one of its options, JSON of its schema, or a text",
    "by": "who answers",
    "assignee": "whom it is for",
}


@router.post("/escalations/{trace_id}/{step_id}", **form("Answer a question", _FORM, fails=(400, 404, 422)))
async def answer_form(request: Request, site: CurrentSite, trace_id: str, step_id: str) -> Response:
    sent = await request.form(max_files=0, max_fields=20)
    values = {name: value for name, value in sent.items() if isinstance(value, str)}
    return await run_in_threadpool(_handle, request, site, trace_id, step_id, values)


def _handle(request: Request, site: Site, trace_id: str, step_id: str, values: Mapping[str, str]) -> Response:
    def refused(problem: str, status: int) -> Response:
        return _page(request, site, _Sent(step_id, values, sentence(problem), status))

    if not site.gate.form_token_holds(_PURPOSE, values.get("csrf", "")):
        return refused("This form is from before the viewer was restarted: send it again", 403)
    if not site.replays:
        return refused("This viewer was started without replays: answer with the command", 403)
    known = site.store.resolve(trace_id)
    if all(one.step_id != step_id for one in site.store.escalations.of(known)):
        raise HTTPException(404, "That step of this trace asks nothing.")
    words = _words(known, step_id, values)
    if words is None:
        return refused("Choose an answer first", 422)
    answered = child.playhead(words, recorder.current_config())
    site.answered()
    if answered.told is None:
        return refused(answered.problem, 422)
    resumed = (answered.told or {}).get("resumed")
    return RedirectResponse(f"/t/{resumed['trace_id']}" if resumed else "/escalations", 303)


def _words(trace_id: str, step_id: str, values: Mapping[str, str]) -> list[str] | None:
    """The command that does what the form says; None where it says nothing."""
    by = ["--by", values["by"].strip()] if values.get("by", "").strip() else []
    match values.get("then"):
        case "resume":
            return ["escalations", "resume", "--", trace_id]
        case "assign":
            return ["escalations", "assign", "--", trace_id, step_id, values.get("assignee", "").strip()]
        case "withdraw":
            return ["escalations", "withdraw", *by, "--", trace_id, step_id]
    answer = values.get("answer", "")
    return ["escalations", "answer", *by, "--", trace_id, step_id, answer] if answer.strip() else None


def _found(site: Site, *, everything: bool) -> Sequence[Escalation]:
    return site.store.escalations.newest() if everything else site.store.escalations.pending()


def _page(request: Request, site: Site, sent: _Sent) -> Response:
    everything = "all" in request.query_params
    found = _found(site, everything=everything)
    if sent.problem and all(one.step_id != sent.step_id for one in found):  # somebody was faster
        everything, found = True, _found(site, everything=True)
    now_ns, csrf = time.time_ns(), site.gate.form_token(_PURPOSE)
    rows = tuple(
        asked_row(
            one,
            question_of(one, site.store.value),
            now_ns=now_ns,
            csrf=csrf,
            filled=sent.value("answer") if one.step_id == sent.step_id else "",
            problem=sent.problem if one.step_id == sent.step_id else "",
        )
        for one in found
    )
    context = EscalationsPage(
        chrome=Chrome(
            title="Escalations",
            crumbs=(Link("Traces", "/"),),
            here="Escalations",
            json_href="/escalations.json" + ("?all" if everything else ""),
            command="playhead escalations" + (" --all" if everything else ""),
        ),
        sentence=_sentence(found, everything=everything),
        rows=rows,
        everything=everything,
        by=sent.value("by"),
        refused="" if site.replays else "This viewer was started without replays: answer with playhead escalations.",
    )
    return page(request, "escalations.html", context, status=sent.status)


def _sentence(found: Sequence[Escalation], *, everything: bool) -> str:
    if everything:
        return f"{fmt.plural(len(found), 'question')} to humans, newest first."
    waiting = sum(one.state == "open" for one in found)
    told = (
        f"{fmt.plural(waiting, 'question')} {'waits' if waiting == 1 else 'wait'} for a human, longest waiting first."
    )
    left = len(found) - waiting
    return told if not left else f"{told} {fmt.plural(left, 'answer')} whose run did not go on."
