"""The viewer as a FastAPI application: pages, static files, headers, and what an error looks like."""

from __future__ import annotations

import contextlib
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from functools import cache
from typing import Any, AsyncIterator, Callable

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException

from tracer import recorder
from tracer.errors import AmbiguousTrace, StoreError, TraceNotFound
from tracer.reading import open_reading
from tracer.store import Store
from web.api.document import document
from web.pages import (
    about,
    backtests,
    canaries,
    copies,
    diff,
    escalations,
    faults,
    filters,
    health,
    ingest,
    live,
    metrics,
    models,
    notes,
    overview,
    payload,
    picked,
    replay,
    routes,
    runs,
    steps,
    thresholds,
    trace,
    traces,
)
from web.rendering import HERE, THEMES, machine, page
from web.security import Gate
from web.site import Site
from web.view.contexts import Chrome, ErrorPage, Link
from web.view.text import sentence

_PAGES = (
    *(traces, live, filters, picked, payload, notes, copies, trace, diff, escalations),
    *(overview, models, steps, routes, canaries, thresholds, health, about),
    *(replay, runs, faults, backtests, ingest, metrics),
)
ROUTES = tuple(route for module in _PAGES for route in module.router.routes)
_HINTS = {
    404: "Check the address, or start from the list.",
    405: "That address does not take this kind of request.",
}


def create_app(store: Store | str | None = None, *, replays: bool = True, token: str | None = None) -> FastAPI:
    """The viewer of one store: a Store, a database URL, or None for the configured one.

    ``replays=False`` forbids running anything; ``token`` is demanded from every request and allows other names than
    localhost. A store that is opened here is closed when the application is shut down; a Store given stays open.
    """
    given = isinstance(store, Store)
    opened = store if isinstance(store, Store) else open_reading(store)
    app = FastAPI(
        title="playhead",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_closing(contextlib.nullcontext() if given else opened),
    )
    gate = Gate(token=token)
    url = None if given else recorder.current_config().database_url
    app.state.site = Site(opened, gate, replays=replays, database_url=url)
    app.middleware("http")(gate)
    for module in _PAGES:
        app.include_router(module.router)
    app.get("/theme")(choose_theme)
    app.get("/openapi.json")(_describe)
    app.mount("/static", _Static(directory=HERE / "static"))
    app.add_exception_handler(TraceNotFound, _not_found)
    app.add_exception_handler(AmbiguousTrace, _not_found)
    app.add_exception_handler(StoreError, _store_error)
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _misread)
    return app


def _closing(store: AbstractContextManager[object]) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with store, contextlib.closing(app.state.site.runs):
            yield

    return lifespan


class _Static(StaticFiles):
    """Static files whose address holds a digest of their bytes may be kept for good."""

    async def get_response(self, path: str, scope: Any) -> Response:
        response = await super().get_response(path, scope)
        kept = "public, max-age=31536000, immutable" if b"v=" in scope["query_string"] else "no-cache"
        response.headers["cache-control"] = kept
        return response


def choose_theme(to: str = "system", back: str = "/") -> Response:
    """Keep the choice of light, dark or the system's in a cookie, and go back to where one was."""
    inside = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable()
    response = RedirectResponse(back if inside else "/", 303)
    if to in THEMES:
        response.set_cookie("theme", to, max_age=31_536_000, samesite="strict", httponly=True)
    else:
        response.delete_cookie("theme")
    return response


@cache
def described() -> dict[str, Any]:
    """Every address that answers with JSON or takes a form, as an OpenAPI document."""
    return document(ROUTES)


def _describe() -> Response:
    return machine(described())


def error_page(request: Request, status: int, words: str, hint: str = "") -> Response:
    """A page (or JSON, for who asked for JSON) that says what happened in one sentence and offers a way out."""
    if _wants_json(request):
        return machine({"error": words, "hint": hint}, status=status)
    context = ErrorPage(
        chrome=Chrome(title=words[:80], crumbs=(Link("Traces", "/"),), here=str(status)),
        status=status,
        sentence=words,
        hint=hint,
        ways_out=(
            Link("All traces", "/"),
            Link("Failed traces", "/?status=failed"),
            Link("About this store", "/about"),
        ),
    )
    return page(request, "error.html", context, status=status)


async def _not_found(request: Request, error: Exception) -> Response:
    return error_page(request, 404, _sentence(error), "The list shows every trace of this store.")


async def _store_error(request: Request, error: Exception) -> Response:
    return error_page(request, 503, _sentence(error), "Nothing is lost: what is being recorded waits in its journal.")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException | StarletteHTTPException)
    words = "There is no such page." if error.detail == "Not Found" else str(error.detail)
    return error_page(request, error.status_code, words, _HINTS.get(error.status_code, ""))


async def _misread(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    said = error.errors()[0]
    return error_page(request, 422, f"{said['loc'][-1]} can't be that: {said['msg']}.")


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    if request.url.path.endswith(".json") or request.query_params.get("format") == "json":
        return True
    return "application/json" in accepted and "text/html" not in accepted


def _sentence(error: Exception) -> str:
    return sentence(str(error).strip() or type(error).__name__)
