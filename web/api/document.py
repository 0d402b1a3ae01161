"""The OpenAPI document of some routes: every one that describes itself. ``/openapi.json`` serves it."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any, Iterable, Mapping

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from web.api.answers import Error
from web.api.described import HTML, JSON, KEY, Described
from web.api.schemas import Schemas

_ABOUT = """\
What the viewer shows, for programs: the address of a page with ``.json`` behind it gives the same as JSON. Times are
nanoseconds since 1970 (``_ns``), money is billionths of a US dollar (``_nusd``); null means unknown, never zero.

A viewer that has a token wants it with every request. A form needs the token of its page as well (``csrf``).
See docs/api.md for what stays as it is from version to version.
"""
#: What any address may answer, whatever is asked of it.
_REFUSED = {
    401: "The viewer's token is wanted.",
    421: "The Host header does not name this machine.",
    503: "The store can't be reached.",
}
_WHY = {
    400: "What was sent can't be read.",
    403: "From another site, without the form's token, or the viewer only reads.",
    404: "There is nothing of that name.",
    409: "It was changed meanwhile, or is being done already.",
    413: "Too much was sent.",
    415: "It was sent as something that is not taken.",
    422: "What was asked for can't be.",
    429: "As much as may be is under way.",
}
#: Refused before an address is looked at: by a sentence alone.
_BY_THE_GATE = (401, 403, 421)
_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The whole document."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        described = described_of(route)
        if described is not None:
            assert isinstance(route, APIRoute)
            methods = paths.setdefault(_PARAMETER.sub(r"{\1}", route.path), {})
            for method in sorted(route.methods or ()):
                methods[method.lower()] = _operation(route, method.lower(), described, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "playhead", "version": version("playhead"), "description": _ABOUT},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(schemas.named.items())), "securitySchemes": _SCHEMES},
        "security": [{"token": []}, {}],
    }


_SCHEMES = {"token": {"type": "http", "scheme": "bearer", "description": "PLAYHEAD_TOKEN, where the viewer has one"}}


def described_of(route: BaseRoute) -> Described | None:
    """What a route says of itself; None for a page."""
    found = (route.openapi_extra or {}).get(KEY) if isinstance(route, APIRoute) else None
    return found if isinstance(found, Described) else None


def _operation(route: APIRoute, method: str, described: Described, schemas: Schemas) -> dict[str, Any]:
    named = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _names(route)]
    asked = [{"name": name, "in": "query", **_field(said)} for name, said in described.query.items()]
    sent = _sent(described)
    return {
        "operationId": re.sub(r"\W+", "_", f"{method}{route.path}").strip("_"),
        "summary": described.summary,
        "parameters": [*named, *asked],
        **({"requestBody": sent} if sent else {}),
        "responses": {str(status): told for status, told in sorted(_responses(described, schemas).items())},
    }


def _names(route: APIRoute) -> list[str]:
    return _PARAMETER.findall(route.path)


def _field(said: Any) -> dict[str, Any]:
    """A word on it, or a schema."""
    schema = {"type": "string"} if isinstance(said, str) else {k: v for k, v in said.items() if k != "description"}
    return {"description": said if isinstance(said, str) else said["description"], "schema": schema}


def _sent(described: Described) -> dict[str, Any]:
    if described.body:
        told: dict[str, Any] = {media_type: {"schema": {}} for media_type in described.body}
        return {"required": True, "content": told}
    if described.form is None:
        return {}
    fields = {name: said if isinstance(said, Mapping) else _text(said) for name, said in described.form.items()}
    schema = {"type": "object", "required": ["csrf"], "properties": fields}
    return {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": schema}}}


def _text(words: str) -> dict[str, Any]:
    return {"type": "string", "description": words}


def _responses(described: Described, schemas: Schemas) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for status, (media_types, kind) in described.good.items():
        schema = {} if kind is None else schemas.of(kind)
        content = {media_type: {"schema": schema} for media_type in media_types}
        words = "On to a page" if status == 303 else "As asked"
        found[status] = {"description": words, **({"content": content} if content else {})}
    for status in (*described.fails, *_REFUSED):
        found[status] = {"description": {**_WHY, **_REFUSED}[status], "content": _refusal(described, status, schemas)}
    return found


def _refusal(described: Described, status: int, schemas: Schemas) -> dict[str, Any]:
    told: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}} if status in _BY_THE_GATE else {}
    if status in (401, 421):
        return told
    if described.is_json:
        return {**told, JSON: {"schema": schemas.of(Error)}}
    if described.body:
        return {**told, **{media_type: {"schema": {}} for media_type in described.body}}
    return {**told, HTML: {"schema": {"type": "string"}}}
