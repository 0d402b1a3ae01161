"""``POST /t/{trace}/s/{step}/notes``: what a reader says of a step, a score or a note, and taking it back."""

from __future__ import annotations

import time

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from tracer.errors import StoreError, StoreUnreachable
from tracer.model import Step
from web.api.described import form, one_of
from web.site import CurrentSite, Site
from web.view.contexts import NoteForm
from web.view.noting import key_of, note_from
from web.view.text import sentence

router = APIRouter()
_PURPOSE = "notes"


def form_for(site: Site, step: Step, back: str) -> NoteForm:
    """The form below a step; ``back`` is the query of the page it stands on."""
    return NoteForm(f"/t/{step.trace_id}/s/{step.step_id}/notes", site.gate.form_token(_PURPOSE), back)


_FORM = {
    "kind": one_of("a score or a note", "score", "note"),
    "name": "of the score, or of who writes",
    "text": "the value (0.8, yes, no) or the note",
    "undo": "the key of one to take back instead",
    "back": "the address to lead back to",
}


@router.post("/t/{trace_id}/s/{step_id}/notes", **form("Say something of a step", _FORM, fails=(400, 404, 422)))
async def take_note(request: Request, site: CurrentSite, trace_id: str, step_id: str) -> Response:
    if not site.replays:
        raise HTTPException(403, "This viewer only reads: start it without --read-only to add scores and notes.")
    sent = await request.form(max_files=0, max_fields=10)
    filled = {name: str(value) for name, value in sent.items()}
    if not site.gate.form_token_holds(_PURPOSE, filled.get("csrf", "")):
        raise HTTPException(403, "This form is too old: the viewer was restarted. Load the page and send it again.")
    known = site.store.resolve(trace_id)
    try:
        if filled.get("undo"):
            kind, occurrence, name = _key(filled["undo"])
            site.store.remarks.take_back(known, step_id, kind=kind, name=name, occurrence=occurrence)
        else:
            note = note_from(
                filled.get("kind", ""), filled.get("name", ""), filled.get("text", ""), at_ns=time.time_ns()
            )
            site.store.remarks.add(known, step_id, note)
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    except StoreUnreachable:
        raise
    except StoreError as error:  # there is no such step
        raise HTTPException(404, sentence(str(error))) from None
    # Back to the very view: only a query is taken from the form, so that it can lead nowhere else.
    query = filled.get("back", "").partition("?")[2]
    safe = query if query.isprintable() else ""
    return RedirectResponse(f"/t/{known}?{safe}#said-of-it" if safe else f"/t/{known}?step={step_id}#said-of-it", 303)


def _key(told: str) -> tuple[str, int, str]:
    try:
        return key_of(told)
    except ValueError:
        raise ValueError("That names no score or note of this step.") from None
