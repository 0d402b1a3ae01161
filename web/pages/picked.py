"""What one can do with the traces selected in the list: ``/compare``, ``/export`` and ``/delete``, each with ``t=<id>``
for every one of them."""

from __future__ import annotations

import io
import zipfile
from typing import Annotated, Any, Sequence

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from replay.cassette.document import document
from replay.cassette.files import cassette_text, jsonl_text
from replay.several import Several, several
from tracer import format as fmt
from tracer.model import PayloadRef
from tracer.store import Deleted
from web.api.answers import Deletable
from web.api.described import answers, form, gives, one_of, some
from web.pages.traces import PAGE_SIZE, rows_of
from web.rendering import machine, page
from web.site import CurrentSite, Site
from web.view.beside import beside_of
from web.view.compare import opened
from web.view.contexts import Chrome, Link
from web.view.contexts_of_lists import BesidePage, DeletePage, TraceRow

router = APIRouter()
#: More than these are too many columns to read, and too many traces to hold at once.
MOST_COMPARED = 8
Picked = Annotated[list[str] | None, Query()]
_PICKED = {"t": some("ids of traces")}
_FORMS = {
    **_PICKED,
    "form": one_of("JSON Lines, or cassettes; several are zipped", "jsonl", "cassette"),
}


@router.get("/compare.json", **answers("Two to eight traces beside each other", Several, query=_PICKED, fails=(422,)))
@router.get("/compare")
def compare(request: Request, site: CurrentSite, t: Picked = None) -> Response:
    """Two traces lead to their own page; of more, each is held against the oldest."""
    wanted = _known(site, t)
    if not 2 <= len(wanted) <= MOST_COMPARED:
        selected = fmt.plural(len(wanted), "trace") if wanted else "No trace"
        raise HTTPException(422, f"{selected} selected: comparing takes 2 to {MOST_COMPARED}. {_BACK}")
    is_json = request.url.path.endswith(".json")
    if len(wanted) == 2:
        return RedirectResponse(f"/diff/{wanted[0]}/{wanted[1]}{'.json' if is_json else ''}", 303)

    def load(ref: PayloadRef) -> Any:
        return opened(site.load(ref))

    found = several([site.store.trace(trace_id) for trace_id in wanted], load)
    if is_json:
        return machine(found)
    query = "&".join(f"t={trace_id}" for trace_id in wanted)
    sentence, sides, rows, omitted = beside_of(found, load=load)
    context = BesidePage(
        chrome=Chrome(
            title=f"{len(wanted)} traces compared",
            crumbs=(Link("Traces", "/"),),
            here=f"{len(wanted)} traces compared",
            json_href=f"/compare.json?{query}",
            command=" && ".join(f"playhead diff {wanted[0]} {other}" for other in wanted[1:]),
        ),
        sentence=sentence,
        same=found.same,
        sides=sides,
        rows=rows,
        omitted=omitted,
    )
    return page(request, "beside.html", context)


_BACK = "Go back and select some in the list."


@router.get(
    "/export",
    **gives("Traces as a file", "application/jsonl", "application/json", "application/zip", query=_FORMS, fails=(422,)),
)
def export(site: CurrentSite, t: Picked = None, form: str = "jsonl") -> Response:
    """As ``playhead export`` writes them: one file of JSON Lines, a cassette, or several of these in a zip file."""
    wanted = _known(site, t)
    if not wanted:
        raise HTTPException(422, f"No trace selected. {_BACK}")
    cassettes = form == "cassette"
    documents = [
        (trace_id, document(site.store.trace(trace_id), site.store.payloads, timed=not cassettes))
        for trace_id in wanted
    ]
    if not cassettes:
        text = "".join(jsonl_text(said) for _, said in documents)
        return _file(text.encode(), _name(wanted, "jsonl"), "application/jsonl")
    if len(documents) == 1:
        return _file(cassette_text(documents[0][1]).encode(), _name(wanted, "json"), "application/json")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for trace_id, said in documents:
            # the date is of the format, not of this moment: the same traces make the same file
            archive.writestr(zipfile.ZipInfo(f"{trace_id}.json"), cassette_text(said), zipfile.ZIP_DEFLATED)
    return _file(packed.getvalue(), _name(wanted, "zip"), "application/zip")


def _name(wanted: Sequence[str], ending: str) -> str:
    return f"{wanted[0] if len(wanted) == 1 else f'{len(wanted)}-traces'}.{ending}"


def _file(data: bytes, name: str, media_type: str) -> Response:
    return Response(data, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})


@router.get("/delete.json", **answers("Those of some traces that can be deleted", Deletable, query=_PICKED))
@router.get("/delete")
def ask_deletion(request: Request, site: CurrentSite, t: Picked = None) -> Response:
    """What would go, and a button. Nothing happens here."""
    rows = rows_of(site, (t or [])[:PAGE_SIZE])
    if request.url.path.endswith(".json"):
        return machine({"delete": [row.trace_id for row in rows if row.status != "running"]})
    if not rows:
        raise HTTPException(422, f"No trace selected. {_BACK}")
    if not site.replays:
        raise HTTPException(403, _READ_ONLY)
    return page(request, "delete.html", _asking(site, rows))


_READ_ONLY = "This viewer was started with --read-only: it deletes nothing."


def _asking(site: Site, rows: Sequence[TraceRow]) -> DeletePage:
    going = [row for row in rows if row.status != "running"]
    explained = [
        "Their steps, model calls, scores and notes go with them, and they are in no search and no sum any more.",
        "Their inputs and outputs stay in the store until it is pruned, since other traces may hold the same.",
        "Replays of them stay. What was exported stays, and can be imported again.",
    ]
    if len(going) < len(rows):
        explained.insert(0, f"{fmt.plural(len(rows) - len(going), 'trace')} still running: not touched.")
    sentence = f"Delete {fmt.plural(len(going), 'trace')}?" if going else "Nothing here can be deleted yet."
    return DeletePage(
        chrome=Chrome(title=sentence, crumbs=(Link("Traces", "/"),), here="Delete", json_href=_json_of(rows)),
        sentence=sentence,
        rows=tuple(rows),
        explained=tuple(explained),
        csrf=site.gate.form_token("delete") if going else "",
        done=False,
    )


def _json_of(rows: Sequence[TraceRow]) -> str:
    return "/delete.json?" + "&".join(f"t={row.trace_id}" for row in rows)


@router.post("/delete", **form("Delete traces", _PICKED, fails=(400,), shows=True))
async def delete(request: Request, site: CurrentSite) -> Response:
    sent = await request.form(max_files=0, max_fields=PAGE_SIZE + 1)
    wanted = [value for value in sent.getlist("t") if isinstance(value, str)]
    if not site.replays:
        raise HTTPException(403, _READ_ONLY)
    if not site.gate.form_token_holds("delete", str(sent.get("csrf", ""))):
        words = "This form is from before the viewer was restarted. Nothing was deleted: select the traces again."
        raise HTTPException(403, words)
    return page(request, "delete.html", _done(await run_in_threadpool(site.store.delete, wanted)))


def _done(deleted: Deleted) -> DeletePage:
    sentence = f"{fmt.plural(len(deleted.gone), 'trace')} deleted"
    told = ((deleted.running, "still running, and left alone"), (deleted.unknown, "not there any more"))
    return DeletePage(
        chrome=Chrome(title=sentence, crumbs=(Link("Traces", "/"),), here="Delete"),
        sentence=sentence,
        rows=(),
        explained=tuple(f"{fmt.plural(len(ids), 'trace')} {words}." for ids, words in told if ids),
        csrf="",
        done=True,
    )


def _known(site: Site, trace_ids: Sequence[str] | None) -> list[str]:
    """The ids of those that are there, oldest first: what came later is held against what was before it."""
    return [one.trace_id for one in reversed(site.store.summaries((trace_ids or [])[:PAGE_SIZE]))]
