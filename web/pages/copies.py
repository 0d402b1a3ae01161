"""``/t/{trace}/s/{step}/as/{form}``: a step as text to take along: Python, a test, curl. The panel of the step has them
too, as far as they are short."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Response

from replay.cassette.testfile import module_text, name_of
from replay.errors import NotReplayable
from replay.record import Record
from tracer import recorder
from tracer.model import Step, Trace
from web.api.described import gives
from web.site import CurrentSite, Site
from web.view.copying import FORMS, INLINE, TITLES, Copy, Form, NothingToCopy, Place, curl_of, python_of
from web.view.panel import DECODE_LIMIT
from web.view.text import sentence

router = APIRouter()
#: Bytes of a result that is written into a test.
_RESULT = 200_000


@router.get(
    "/t/{trace_id}/s/{step_id}/as/{form}",
    **gives("A step as python, test or curl, to be run", "text/plain", fails=(404, 422)),
)
def take(site: CurrentSite, trace_id: str, step_id: str, form: str) -> Response:
    trace = site.store.trace(site.store.resolve(trace_id))
    step = trace.step(step_id)
    wanted = next((each for each in FORMS if each == form), None)
    if step is None or wanted is None:
        raise HTTPException(404, f"No step {step_id} in this trace." if step is None else f"There is no form {form}.")
    try:
        return Response(_text(site, trace, step, wanted), media_type="text/plain; charset=utf-8")
    except NothingToCopy as error:
        raise HTTPException(422, str(error)) from None


def copies_of(site: Site, trace: Trace, step: Step) -> tuple[Copy, ...]:
    """The texts of a step. Only a model call has one for curl."""
    forms = FORMS if step.kind in ("llm", "embedding") else FORMS[:-1]
    return tuple(_copy(site, trace, step, form) for form in forms)


def _copy(site: Site, trace: Trace, step: Step, form: Form) -> Copy:
    href = f"/t/{trace.trace_id}/s/{step.step_id}/as/{form}"
    try:
        text = _text(site, trace, step, form)
    except NothingToCopy as error:
        return Copy(form, TITLES[form], href, why_not=str(error))
    note = cassette_href = ""
    if form == "test":
        name = name_of(trace)
        note = f"Save it as test_{name}.py, and beside it, as cassettes/{name}.json,"
        cassette_href = f"/export?t={trace.trace_id}&form=cassette"
    elif "[redacted" in text:
        note = "What was redacted in the record stands in it as a mark."
    return Copy(form, TITLES[form], href, text if len(text) <= INLINE else "", note=note, cassette_href=cassette_href)


def _text(site: Site, trace: Trace, step: Step, form: Form) -> str:
    match form:
        case "python":
            return python_of(trace, step, _place(site))
        case "test":
            return _test(site, trace)
        case "curl":
            return curl_of(_request(site, step))


def _place(site: Site) -> Place | None:
    home = recorder.current_config().home
    return None if site.database_url is None else Place(site.database_url, str(home))


def _test(site: Site, trace: Trace) -> str:
    root = trace.root
    if root is not None and root.output is not None and root.output.size > _RESULT:
        raise NothingToCopy(f"What it gave is long: playhead export {trace.trace_id} --format pytest writes the test.")
    name = name_of(trace)
    try:
        record = Record(trace, site.store.payloads)
        return module_text(record, file=f"test_{name}.py", cassette=f"cassettes/{name}.json")
    except NotReplayable as error:
        raise NothingToCopy(f"{sentence(str(error))}.") from None


def _request(site: Site, step: Step) -> Any:
    if step.input is None or step.input.size > DECODE_LIMIT:
        raise NothingToCopy("Its request was not kept." if step.input is None else "Its request is too long.")
    return site.load(step.input)
