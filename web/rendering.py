"""Templates, static files and the choice between a page, a fragment of it, and JSON."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tracer.plain import plain
from web.view.text import visible

HERE = Path(__file__).parent
THEMES = ("light", "dark")


def _finalize(value: Any) -> Any:
    """Every recorded string passes here on its way out; markup of our own templates does not."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def static(name: str) -> str:
    """The address of a static file, with a digest of its bytes so that it may be cached for good."""
    digest = hashlib.blake2b((HERE / "static" / name).read_bytes(), digest_size=6).hexdigest()
    return f"/static/{name}?v={digest}"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = static
    return environment


_templates = _environment()


def page(request: Request, template: str, context: Any, *, status: int = 200) -> Response:
    """A page from its context; only its block where the request asks for a fragment by name."""
    theme = request.cookies.get("theme", "")
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    site = request.app.state.site
    variables = {"page": context, "theme": theme if theme in THEMES else "", "here": path}
    variables |= {"alert": site.alert(), "asked": site.asked()}
    found = _templates.get_template(template)
    block = request.headers.get("x-fragment", "")
    if block in found.blocks:
        text = "".join(found.blocks[block](found.new_context(variables)))
        return Response(text, status, {"vary": "x-fragment"}, media_type="text/html")
    return Response(found.render(variables), status, {"vary": "x-fragment, cookie"}, media_type="text/html")


def machine(value: Any, *, status: int = 200) -> Response:
    """The same for machines. ASCII only, so that a lone surrogate in a recorded text can't break the response."""
    return Response(json.dumps(plain(value), indent=1), status, media_type="application/json")
