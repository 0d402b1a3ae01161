"""What a route says of itself for the description: written where it is declared, read by ``web.api.document``.

@router.get("/t/{trace_id}.json", **answers("A trace", Trace))
@router.post("/filters", **form("Keep a filter", {"name": "what to call it"}, fails=(422,)))
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

KEY = "described"
JSON, HTML = "application/json", "text/html"
#: The parameters of a filter of traces; each narrows.
FILTER = {
    "q": "words and terms, as the search box takes them: card status:failed cost>0.01",
    "status": "one or several statuses, with commas between them",
    "workflow": "its name",
    "model": "a model that was called",
    "step": "the name of a step",
    "error": "the class of the error",
    "tag": "name:value, or a name alone",
    "since": "an age: 7d, 2h",
    "since_ns": "nanoseconds since 1970",
    "until_ns": "nanoseconds since 1970",
    "cost": "dollars: more than these",
    "duration": "a time: longer than this, 2s",
    "replays": "only, or none",
}


@dataclass(frozen=True, slots=True)
class Described:
    """One operation. ``good`` is by status what it answers: the media types, and a type of ours, or None where the
    bytes are in somebody else's format. ``fails`` are the statuses of refusals of its own; those that every address may
    give are not named. ``query`` and ``form`` are fields with a word on each; a schema where a text won't do."""

    summary: str
    good: Mapping[int, tuple[Sequence[str], Any]]
    fails: Sequence[int] = ()
    query: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, Any] | None = None
    #: The media types that are taken, where it is no form.
    body: Sequence[str] = ()
    #: Whether refusals are JSON.
    is_json: bool = False


def answers(summary: str, of: Any, *, query: Mapping[str, Any] | None = None, fails: Sequence[int] = ()) -> Any:
    """A GET that answers with JSON of this type."""
    return _route(Described(summary, {200: ((JSON,), of)}, fails, query or {}, is_json=True))


def gives(summary: str, *media_types: str, query: Mapping[str, Any] | None = None, fails: Sequence[int] = ()) -> Any:
    """A GET that answers with bytes of one of these types."""
    return _route(Described(summary, {200: (media_types, None)}, fails, query or {}))


def form(summary: str, fields: Mapping[str, Any], *, fails: Sequence[int] = (), shows: bool = False) -> Any:
    """A POST of a form, which leads on to a page; with ``shows``, it may also answer with one. The field ``csrf`` is
    every form's."""
    good: dict[int, tuple[Sequence[str], Any]] = {303: ((), None)}
    told = {"csrf": "the token of this form, which stands in the page that has it", **fields}
    return _route(Described(summary, good | ({200: ((HTML,), None)} if shows else {}), (403, *fails), form=told))


def body(summary: str, *media_types: str, fails: Sequence[int] = ()) -> Any:
    """A POST of these types, answered in kind."""
    return _route(Described(summary, {200: (media_types, None)}, fails, body=media_types))


def some(words: str) -> dict[str, Any]:
    """A field that may be there any number of times."""
    return {"type": "array", "items": {"type": "string"}, "description": words}


def one_of(words: str, *values: str) -> dict[str, Any]:
    """A field with one of these values."""
    return {"type": "string", "enum": list(values), "description": words}


def _route(described: Described) -> dict[str, Any]:
    return {"openapi_extra": {KEY: described}}
