"""aiohttp, from 3.12 on: a client middleware of ours, the innermost of all.

There it sees each attempt and each hop of a redirect by itself, whatever the session's own middlewares make of them,
and the request as it will be sent.
"""

from __future__ import annotations

import asyncio
import builtins
import importlib
import inspect
import re
from dataclasses import replace
from functools import cache, partial, wraps
from http import HTTPStatus
from typing import Any, AsyncIterator, Awaitable, Callable

from tracer import recorder
from tracer.context import CURRENT
from tracer.http.aiohttp_bodies import listen, pieces_of, served_reader
from tracer.http.answer import Ask, Send, plan
from tracer.http.client import Names, Request, is_below, sending
from tracer.http.elsewhere import EVENT_STREAM, Translation
from tracer.http.exchange import OF_COMPRESSED, begin, told_by
from tracer.http.outgoing import headers_for
from tracer.http.reach import in_thread, reach_async, tell
from tracer.pause import pause_async
from tracer.wire import Chunk, HttpResponse

_ERRNO = re.compile(r"\[Errno (-?\d+)\] (.*)", re.DOTALL)


@cache
def _aiohttp() -> Any:
    return importlib.import_module("aiohttp")


@cache
def _errors() -> Any:
    return importlib.import_module("aiohttp.client_exceptions")


class Aiohttp:
    """One attempt: a ClientRequest. ``inflates``: its body is decompressed before anybody reads it."""

    names = Names(timeout="SocketTimeoutError", refused="ClientConnectorError", broken="ServerDisconnectedError")

    def __init__(self, request: Any, *, inflates: bool) -> None:
        self._request: Any = request
        self._inflates = inflates

    def forget(self) -> None:
        """Let go of the request, which holds its response: one that nobody reads on must be collected."""
        self._request = None

    def is_own(self, error: BaseException) -> bool:
        return isinstance(error, (_errors().ClientError, TimeoutError, OSError))

    def words(self, error: BaseException) -> str:
        inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
        return str(error if inner is None else inner)

    def made(self, name: str, words: str) -> BaseException | None:
        known = _errors()
        kind = getattr(known, name, None) or getattr(builtins, name, None)
        error: BaseException | None = None
        if not isinstance(kind, type) or not issubclass(kind, (known.ClientError, TimeoutError, OSError)):
            return None
        make: Any = kind
        if issubclass(kind, known.UnixClientConnectorError):
            error = make("", self._request.connection_key, OSError(*_numbered(words)))
        elif issubclass(kind, known.ClientConnectorCertificateError):
            error = make(self._request.connection_key, ValueError(words))
        elif issubclass(kind, known.ClientConnectorError):
            error = make(self._request.connection_key, OSError(*_numbered(words)))
        elif issubclass(kind, known.ClientResponseError):
            error = make(self._request.request_info, (), message=words)
        elif issubclass(kind, OSError) and not issubclass(kind, TimeoutError):
            error = make(*_numbered(words))
        elif kind is not known.ServerFingerprintMismatch:
            error = make(words) if words else make()
        return error

    def told(self) -> Request:
        """The request in the form that all clients share."""
        request, body = self._request, self._request.body
        content: bytes | None = None
        if body is None or isinstance(body, bytes):
            content = body or b""
        elif isinstance(body, _aiohttp().payload.BytesPayload):
            content = bytes(body._value)  # noqa: SLF001 - what it will write; its own reading is async
        headers = tuple((str(name).lower(), value) for name, value in request.headers.items())
        return Request(request.method, str(request.url), headers, content)

    async def change(self, request: Request) -> None:
        """Make of the client's request, which goes to the same host, the one that ``request`` says."""
        own = self._request
        own.url = importlib.import_module("yarl").URL(request.url, encoded=True)
        await own.update_body(request.content)

    async def elsewhere(self, request: Request) -> Any:
        """The answer to a request that goes to another host, without this session's headers, cookies and connector."""
        known, own = _aiohttp(), self._request.session
        limit = own.timeout if request.timeout_s is None else known.ClientTimeout(total=request.timeout_s)
        # A connector that keeps no connection needs no closing, and so nobody who would do it.
        connector = known.TCPConnector(force_close=True)
        session = known.ClientSession(
            connector=connector, cookie_jar=known.DummyCookieJar(), timeout=limit, auto_decompress=self._inflates
        )
        try:
            return await session.request(
                request.method, request.url, data=request.content, headers=dict(request.headers), allow_redirects=False
            )
        finally:
            session.detach()

    async def sent(self, todo: Send, more: dict[str, str], send: Callable[[Any], Awaitable[Any]]) -> Any:
        """The answer to what is to be sent, with headers that it lacks."""
        if not todo.elsewhere:
            self._request.headers.update(more)
            if todo.changed:
                await self.change(todo.request)
            return await send(self._request)
        response = await self.elsewhere(replace(todo.request, headers=(*todo.request.headers, *more.items())))
        return response if todo.translation is None else await self.translated(response, todo.translation)

    def head_of(self, response: Any) -> list[tuple[str, str]]:
        """The headers that are true of the body as it is read."""
        pairs = response.headers.items()
        # Of plain text: its names are a class of their own.
        return [(str(name), value) for name, value in pairs if not self._inflates or name.lower() not in OF_COMPRESSED]

    def served(self, response: HttpResponse) -> Any:
        """aiohttp's own response, which reads from the record."""
        return self.made_of(response, pieces_of(self, response, inflates=self._inflates))

    async def translated(self, response: Any, translation: Translation) -> Any:
        """The response in the SDK's own format: a whole one read and dressed, a stream turned as it comes."""
        headers = tuple((str(name).lower(), value) for name, value in response.headers.items())
        if translation.is_stream(response.status, dict(headers)):
            head = HttpResponse(response.status, (("Content-Type", EVENT_STREAM),), ())
            return self.made_of(head, translation.turned_async(_read_from(response)))
        read = await response.read()
        return self.served(translation.whole(HttpResponse(response.status, headers, (Chunk(0, read),))))

    def made_of(self, response: HttpResponse, pieces: AsyncIterator[bytes]) -> Any:
        """aiohttp's own response, which reads these pieces."""
        known, request = _aiohttp(), self._request
        given = {
            "writer": None,
            "continue100": None,
            "timer": known.helpers.TimerNoop(),
            "request_info": request.request_info,
            "traces": [],
            "loop": asyncio.get_running_loop(),
            "session": request.session,
            "stream_writer": _Written(),
        }
        asked = inspect.signature(request.response_class).parameters
        made = request.response_class(
            request.method, request.original_url, **{name: value for name, value in given.items() if name in asked}
        )
        made.version, made.status, made.reason = known.HttpVersion11, response.status, _phrase(response.status)
        made._headers = _headers(response)  # noqa: SLF001 - what its start() sets, which reads from a connection
        made._raw_headers = tuple((n.encode(), v.encode("latin-1", "replace")) for n, v in response.headers)  # noqa: SLF001
        made._closed = False  # noqa: SLF001
        made.content = served_reader(response, pieces)
        made.content.on_eof(made._response_eof)  # noqa: SLF001
        return made


async def _read_from(response: Any) -> AsyncIterator[bytes]:
    async with response:  # which is nobody else's to close
        async for data in response.content.iter_any():
            yield data


class _Written:
    """A request that was not sent, as a response asks about it."""

    output_size = 0


def _headers(response: HttpResponse) -> Any:
    multidict = importlib.import_module("multidict")
    return multidict.CIMultiDictProxy(multidict.CIMultiDict(response.headers))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _numbered(words: str) -> tuple[int, str]:
    """The arguments of an OSError that says this."""
    match = _ERRNO.fullmatch(words)
    return (int(match.group(1)), match.group(2)) if match else (0, words)


def recording(method: Callable[..., Any], is_on: Callable[[], bool]) -> Callable[..., Any]:
    """What stands in for ``ClientSession._request``. Raises RuntimeError where that knows no middlewares."""
    if "middlewares" not in inspect.signature(method).parameters:
        raise RuntimeError("of aiohttp, 3.12 is the first version whose requests can be caught")

    @wraps(method)
    async def request(session: Any, *args: Any, **kwargs: Any) -> Any:
        if is_on() and CURRENT.get() is not None and not is_below():
            with recorder.guard("catch a request of aiohttp"):
                own = kwargs.get("middlewares")
                own = session._middlewares if own is None else own  # noqa: SLF001 - a request's own stand in for these
                inflates = kwargs.get("auto_decompress")
                ours = partial(_sent, inflates=session.auto_decompress if inflates is None else inflates)
                kwargs["middlewares"] = (*(own or ()), ours)
        return await method(session, *args, **kwargs)

    return request


async def _sent(request: Any, send: Callable[[Any], Awaitable[Any]], *, inflates: bool) -> Any:
    if is_below():  # put in twice, by a hook of ours below somebody's that could not be seen through
        return await send(request)
    client = Aiohttp(request, inflates=inflates)
    told = told_by(client.told)
    exchange = begin(client, told)
    if exchange is None or told is None:
        tell(request.method, str(request.url))
        await reach_async(str(request.url))
        request.headers.update(headers_for(told))
        return await send(request)
    with exchange.failing():
        todo = plan(exchange, told)
        if isinstance(todo, Send):
            await reach_async(todo.request.url)
            more = headers_for(todo.request, exchange.step)
            exchange.sent()
            with sending():
                response = await client.sent(todo, more, send)
            with recorder.guard("record a response"):
                exchange.answered(response.status, client.head_of(response))
                listen(exchange, response)
            client.forget()
            return response
        served = await in_thread(todo.answer) if isinstance(todo, Ask) else todo.response
        await pause_async(exchange.step.decision)
        exchange.serve(served)
        return client.served(served)
