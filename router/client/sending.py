"""Where a question leaves the house: httpx2 clients, and a transport behind which a Python callable answers.

Both cross the seam at which tracer records, so that every call of ``ask`` is recorded, served, substituted and made to
fail like any other. Imported when something is first asked: it loads httpx2.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
from contextvars import copy_context
from dataclasses import replace
from typing import Any, Awaitable, Callable, Iterator

import httpx2

from router.client.asking import Asking
from router.errors import CallTimedOut, NoConnection, NotAskable
from tracer.context import CURRENT
from tracer.http.reach import in_thread, reach, reach_async
from tracer.messages import ChatAnswer
from tracer.providers import CHAT
from tracer.unrecorded import aside

#: The target, among the extensions of a request.
_ASKED = "playhead.target"


class _Callable(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Asks the target's function instead of a server. What the function calls is its own affair, as where a replay puts
    it in another model's place."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        asked = CHAT.request(request.content)
        target = request.extensions[_ASKED]
        if asked.model != target.asked_as:
            raise NotAskable(str(asked.model), f"it has no address, and {target.name} is a function and no provider")
        context = copy_context()
        if CURRENT.get() is not None:
            context.run(CURRENT.set, aside(target.name, "llm"))
        given = context.run(target.call, asked)
        answer = ChatAnswer.of(given) if isinstance(given, str) else given
        if not isinstance(answer, ChatAnswer):
            raise TypeError(f"the call of {target.name} must give a text or a ChatAnswer, not {given!r}")
        dressed = CHAT.dress(asked, replace(answer, model=answer.model or target.asked_as))
        return httpx2.Response(dressed.status, headers=list(dressed.headers), content=dressed.raw)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response: httpx2.Response = await in_thread(self.handle_request, request)
        return response


@functools.cache
def _client(pid: int) -> httpx2.Client:  # noqa: ARG001 - a forked child must not write on its parent's connections
    client = httpx2.Client(verify=_trust(), timeout=None)  # each request brings its own
    atexit.register(client.close)
    return client


@functools.cache
def _trust() -> Any:
    """Whose certificates are believed. Reading them takes longer than a call, so it is done once."""
    return httpx2.create_ssl_context()


@functools.cache
def _local() -> httpx2.Client:
    return httpx2.Client(transport=_Callable(), trust_env=False)


def client_for(asking: Asking[Any], given: Any) -> Any:
    """The client that sends it: the user's own, or the one that all calls of this process share."""
    if asking.target.call is not None:
        return _local()
    return _client(os.getpid()) if given is None else given


async def _stays_open() -> None:
    """A client of the user's own is theirs to close."""


def client_for_async(asking: Asking[Any], given: Any) -> tuple[Any, Callable[[], Awaitable[None]]]:
    """A client, and what closes it behind the call. Ours is made for the call: an asynchronous client belongs to its
    event loop, and nobody tells us when that ends."""
    if asking.target.call is None and given is not None:
        return given, _stays_open
    how = {"verify": _trust()} if asking.target.call is None else {"transport": _Callable(), "trust_env": False}
    client = httpx2.AsyncClient(**how)
    return client, client.aclose


def send(asking: Asking[Any], client: Any, *, stream: bool) -> Any:
    """The response, read to its end unless ``stream``. Raises CallFailed for what the client raises."""
    if CURRENT.get() is None:  # within a workflow whoever records does it, where something is really sent
        reach(asking.url)
    with naming(asking):
        return client.send(_request(asking, client), stream=stream)


async def send_async(asking: Asking[Any], client: Any, *, stream: bool) -> Any:
    """``send`` for coroutines."""
    if CURRENT.get() is None:
        await reach_async(asking.url)
    with naming(asking):
        return await client.send(_request(asking, client), stream=stream)


def _request(asking: Asking[Any], client: Any) -> Any:
    return client.build_request(
        "POST",
        asking.url,
        content=asking.content,
        headers=asking.headers(),
        timeout=asking.timeout_s,
        extensions=None if asking.target.call is None else {_ASKED: asking.target},
    )


@contextlib.contextmanager
def naming(asking: Asking[Any]) -> Iterator[None]:
    """What an HTTP client raises, as ours; anything else is the target's own, and stays as it is."""
    try:
        yield
    except Exception as error:
        # By name, for the client may be one of httpx as well as of httpx2.
        kinds = {kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith("httpx")}
        if "RequestError" not in kinds:
            raise
        if "TimeoutException" in kinds:
            raise CallTimedOut(asking.target.name, f"no answer for {asking.timeout_s:g} s") from error
        raise NoConnection(asking.target.name, str(error) or type(error).__name__) from error
