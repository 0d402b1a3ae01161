"""``/about``: what the store is and how it fares, and the keys."""

from __future__ import annotations

from typing import Any, Iterator

from fastapi import APIRouter, Request, Response

from tracer import format as fmt
from tracer.doctor import told_of
from tracer.errors import StoreError
from tracer.plain import plain
from tracer.shapes import Branch, shape
from web.api.answers import About
from web.api.described import answers
from web.rendering import machine, page
from web.site import CurrentSite
from web.view.contexts import AboutPage, Chrome, Link
from web.view.health import health_of
from web.view.text import sentence

router = APIRouter()


@router.get("/about")
@router.get("/about.json", **answers("What the store is, and how recording fares", About))
def show_about(request: Request, site: CurrentSite) -> Response:
    seen = site.recording()
    status = 200
    try:
        facts: Any = site.store.facts()
    except StoreError as error:
        # How recording fares is asked of no store, and is what one wants to know now.
        facts, status = {"place": site.store.place, "problem": sentence(str(error))}, 503
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        told = None if seen is None else {**told_of(seen), "problems": list(seen.problems())}
        return machine({**plain(facts), "recording": told}, status=status)
    context = AboutPage(
        chrome=Chrome(
            title="About",
            crumbs=(Link("Traces", "/"),),
            here="About",
            json_href="/about.json",
            command="playhead doctor",
        ),
        facts=tuple(_lines(facts)),
        health=None if seen is None else health_of(seen),
        keys=KEYS,
    )
    return page(request, "about.html", context, status=status)


def _lines(facts: Any) -> Iterator[tuple[str, str]]:
    form = shape(facts)
    if not isinstance(form, Branch):
        yield "store", form.text
        return
    for label, _, item in form.items:
        part = shape(item)
        text = part.text if not isinstance(part, Branch) else ", ".join(_words(part))
        if isinstance(item, int) and not isinstance(item, bool):
            text = fmt.size(item) if label.endswith("size") else f"{item:,}"
        yield label.replace("_", " "), text or "none"


def _words(branch: Branch) -> Iterator[str]:
    for label, _, item in branch.items:
        part = shape(item)
        text = part.text if not isinstance(part, Branch) else f"{part.count} parts"
        yield text if label.isdecimal() else f"{label} {text}"


#: Key, what it does on the list, what it does on a trace. static/app.js acts on them; a test holds the two together.
KEYS: tuple[tuple[str, str, str], ...] = (
    ("j k", "next, previous trace", "older, newer trace of the same list"),
    ("↓ ↑", "next, previous trace", "next, previous row"),
    ("→ ←", "", "on, back through the run, in the order in which it happened"),
    ("Enter o", "open the trace", "go into the step's panel"),
    ("e E", "open the newest failed trace; E the oldest shown", "next, previous failed step"),
    ("[ ]", "", "fold, unfold one level of the tree"),
    ("/", "search", "back to the list, searching"),
    ("c", "mark a trace; on a second one: compare them", "compare a replay with its origin"),
    ("x X", "select the trace; X all up to it", ""),
    (".", "the newest traces", ""),
    ("r", "replay the trace", "replay from this step"),
    ("y", "copy the command that shows this", "copy the command that shows this"),
    ("Y", "", "copy the step as Python, as a test, as curl"),
    ("g+t g+a", "go to the traces, to About", "go to the traces, to About"),
    ("g+o g+m g+s", "go to the overview, the models, the steps", "go to the overview, the models, the steps"),
    ("?", "the keys", "the keys"),
    ("Esc", "close, leave the field", "close; from the panel back to the tree"),
)
