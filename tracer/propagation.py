"""A trace that goes on in another service: W3C trace context, in and out.

    httpx.get(url, headers=tracer.headers())          # the httpx clients do this by themselves, see configure()
    with tracer.continued(request.headers): answer()  # answer(), a workflow, becomes part of the caller's trace

**Where the caller's step is.** Beside ``traceparent`` goes an entry of ours in ``tracestate``: a digest that says which
store the caller records into. A service with the same store records its workflow as a child of the caller's step. One
with another store has no such step: there the workflow is the root of that trace, tagged ``remote_parent``; a workflow
that the same trace calls in it later is shown below that root.
"""

from __future__ import annotations

import contextlib
import os
import re
from contextvars import ContextVar, Token
from functools import lru_cache
from types import TracebackType
from typing import Any, Awaitable, Callable, Iterable, Iterator, Mapping, NamedTuple, Self
from urllib.parse import urlsplit

from tracer.config import Config, sqlite_path
from tracer.context import CURRENT, ActiveStep, ActiveTrace
from tracer.declared import Capture
from tracer.digest import blake2b
from tracer.guard import guard
from tracer.ids import Anchor, new_step_id, new_trace_id

#: Headers, as any framework has them: a mapping, something with ``items()``, pairs of text or bytes, a WSGI environ.
Headers = Any

_VERSION, _LAST_VERSION = "00", "ff"
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_RECORDED = 0x01
#: An entry of tracestate. What is none is not passed on: a header with a line break in it would break a request.
_ENTRY = re.compile(r"[a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{1,256}", re.ASCII)
#: The key of our own entry in tracestate, and how many entries there may be in all.
_OURS, _MOST_ENTRIES = "playhead", 32
#: The path of a step in another service, of which only the id is known.
_CALLER = "(caller)"


class Caller(NamedTuple):
    """Who called, by its headers."""

    trace_id: bytes
    step_id: bytes
    is_recorded: bool
    #: Other vendors' entries of tracestate, to be passed on, and the store that the caller records into.
    state: str = ""
    store: str = ""


def headers() -> dict[str, str]:
    """What to add to a request to another service, so that what it does becomes part of this trace. Empty outside a
    workflow."""
    step = CURRENT.get()
    return {} if step is None else headers_of(step)


def headers_of(step: ActiveStep) -> dict[str, str]:
    """The same, with this step as the parent. Of a trace that is not recorded: that nothing else is to be, either."""
    trace = step.trace
    config = getattr(trace.recorder, "config", None)
    if config is None:
        return {"traceparent": f"{_VERSION}-{new_trace_id(Anchor.now().wall_ns).hex()}-{new_step_id().hex()}-00"}
    state = ",".join(filter(None, (f"{_OURS}={store_of(config)}", getattr(trace, "state", ""))))
    return {"traceparent": f"{_VERSION}-{trace.trace_id.hex()}-{step.step.hex()}-01", "tracestate": state}


@lru_cache(maxsize=8)
def _digest(place: str) -> str:
    return blake2b(place.encode(), digest_size=8).hexdigest()


def store_of(config: Config) -> str:
    """Sixteen hex digits that two services have in common when they record into the same store; no credentials."""
    path = sqlite_path(config.database_url)
    if path is not None:
        return _digest(f"{os.uname().nodename}:{path}")
    parts = urlsplit(config.database_url)
    return _digest(f"{parts.hostname}:{parts.port or ''}{parts.path}")


def caller_in(given: Headers) -> Caller | None:
    """The caller that these headers tell of; None where they tell of none, or wrongly."""
    parents, states = [], []
    for name, value in _pairs(given):
        match name:
            case "traceparent" | "http_traceparent":
                parents.append(_text(value).strip(" \t"))
            case "tracestate" | "http_tracestate":
                states.append(_text(value))
    if len(set(parents)) != 1 or (found := _TRACEPARENT.fullmatch(parents[0])) is None:
        return None
    version, trace_id, step_id, flags, more = found.groups()
    if version == _LAST_VERSION or (version == _VERSION and more) or not int(trace_id, 16) or not int(step_id, 16):
        return None
    state, store = _entries(",".join(states))
    return Caller(bytes.fromhex(trace_id), bytes.fromhex(step_id), bool(int(flags, 16) & _RECORDED), state, store)


def _pairs(given: Headers) -> Iterator[tuple[str, Any]]:
    items = getattr(given, "multi_items", None) or getattr(given, "items", None)
    pairs: Iterable[Any] = items() if callable(items) else given or ()
    for name, value in pairs:
        yield _text(name).lower(), value


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _entries(state: str) -> tuple[str, str]:
    """Others' entries as they came, and the value of our own."""
    others, ours = [], ""
    for entry in filter(None, (part.strip(" \t") for part in state.split(","))):
        key, _, value = entry.partition("=")
        if key == _OURS:
            ours = value
        elif _ENTRY.fullmatch(entry):
            others.append(entry)
    return ",".join(others[: _MOST_ENTRIES - 1]), ours


class _Continued(ActiveTrace):
    """A trace that another service began."""

    __slots__ = ("state",)

    def __init__(self, caller: Caller, here: ActiveTrace) -> None:
        super().__init__(caller.trace_id, here.anchor, here.recorder, None)
        self.state = caller.state


class continued:  # noqa: N801 - used like a function: ``with continued(request.headers):``
    """Make each workflow that is called inside part of the caller's trace, in sync and in async code.

    ``headers`` are the request's, in whatever form the framework has them; without a valid ``traceparent`` nothing
    changes. What a caller does not record is not recorded here, either; ``follow_sampling=False`` records it all the
    same. Inside a running workflow it changes nothing: there the running step is the parent.
    """

    def __init__(self, headers: Headers, *, follow_sampling: bool = True) -> None:
        self.caller: Caller | None = None
        with guard("read a caller's trace from its headers"):
            self.caller = caller_in(headers)
        self.is_left_out = follow_sampling and self.caller is not None and not self.caller.is_recorded
        self._parent: ActiveStep | None = None
        self._tokens: list[Token[continued | None]] = []

    def __enter__(self) -> Self:
        self._tokens.append(CALLER.set(self if self.caller is not None else CALLER.get()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        CALLER.reset(self._tokens.pop())

    def take_up(
        self, trace: ActiveTrace, config: Config, attrs: dict[str, Any]
    ) -> tuple[ActiveTrace, ActiveStep | None, dict[str, Any]]:
        """The caller's trace in place of a new one, the parent of a workflow in it, and what that says of itself."""
        caller = self.caller
        assert caller is not None
        if self._parent is None or self._parent.trace.recorder is not trace.recorder:
            self._parent = ActiveStep(
                _Continued(caller, trace), None, caller.step_id, _CALLER, "http", _CALLER, capture=Capture.FULL
            )
        trace = self._parent.trace
        store = store_of(config)
        if caller.store == store or not _is_first(store, caller.trace_id):
            return trace, self._parent, attrs
        return trace, None, {**attrs, "tags": {**(attrs.get("tags") or {}), "remote_parent": caller.step_id.hex()}}


#: The caller whose trace the next workflow is part of.
CALLER: ContextVar[continued | None] = ContextVar("playhead_caller", default=None)
#: Traces of callers with other stores that have their root in ours, the latest ones. setdefault is one atomic step.
_rooted: dict[tuple[str, bytes], object] = {}
_MOST_ROOTED = 4096


def _is_first(store: str, trace_id: bytes) -> bool:
    """Whether this process has given that trace no root in this store yet: a trace has one."""
    if len(_rooted) >= _MOST_ROOTED:
        with contextlib.suppress(RuntimeError):  # another thread does the same
            _rooted.pop(next(iter(_rooted)), None)
    mine = object()
    return _rooted.setdefault((store, trace_id), mine) is mine


class ASGIMiddleware:
    """For Starlette, FastAPI and the like: ``app.add_middleware(ASGIMiddleware)``, or ``app = ASGIMiddleware(app)``."""

    def __init__(self, app: Callable[..., Awaitable[None]], *, follow_sampling: bool = True) -> None:
        self.app = app
        self.follow_sampling = follow_sampling

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        with continued(scope.get("headers"), follow_sampling=self.follow_sampling):
            await self.app(scope, receive, send)


class WSGIMiddleware:
    """For Flask, Django and the like: ``app.wsgi_app = WSGIMiddleware(app.wsgi_app)``."""

    def __init__(self, app: Callable[..., Iterable[bytes]], *, follow_sampling: bool = True) -> None:
        self.app = app
        self.follow_sampling = follow_sampling

    def __call__(self, environ: Mapping[str, Any], start_response: Any) -> Iterable[bytes]:
        caller = continued(environ, follow_sampling=self.follow_sampling)
        with caller:
            body = self.app(environ, start_response)
        return _Body(iter(body), caller) if hasattr(body, "__next__") else body


class _Body:
    """A body that is made while it is read: that is still the caller's request, and what is done in between is not."""

    def __init__(self, inner: Iterator[bytes], caller: continued) -> None:
        self._inner = inner
        self._caller = caller

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._caller:
            return next(self._inner)

    def close(self) -> None:
        if hasattr(self._inner, "close"):
            with self._caller:
                self._inner.close()
