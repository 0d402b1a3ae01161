"""urllib3 2, and with it whatever stands on it: requests, boto3's botocore, and dozens of SDKs.

``HTTPConnectionPool._make_request`` is the one place that each attempt passes: inside it are neither urllib3's own
retries and redirects nor those of requests, which each come here again.
"""

from __future__ import annotations

import builtins
import http.client
import importlib
import inspect
import re
import socket
from dataclasses import replace
from functools import cache, wraps
from typing import Any, Callable, Iterator

from tracer import recorder
from tracer.context import CURRENT
from tracer.http.answer import Send, Serve, plan
from tracer.http.client import Names, Request, is_below, sending
from tracer.http.elsewhere import EVENT_STREAM, Translation
from tracer.http.exchange import Exchange, begin, told_by
from tracer.http.outgoing import headers_for
from tracer.http.reach import reach, tell
from tracer.http.urllib3_bodies import body_of, pieces_of, recorded_class
from tracer.pause import pause
from tracer.wire import Chunk, HttpResponse

_PORTS = {"http": 80, "https": 443}
_ERRNO = re.compile(r"\[Errno (-?\d+)\] (.*)", re.DOTALL)
_UNRESOLVED = re.compile(r"Failed to resolve '.*?' \((.*)\)", re.DOTALL)
#: They hold counts and lines, not words; outside of ``ProtocolError`` nobody sees them.
_INNER = frozenset({"IncompleteRead", "InvalidChunkLength"})


@cache
def _part(name: str) -> Any:
    """A module of urllib3, which is imported by whoever sends with it."""
    return importlib.import_module(f"urllib3.{name}")


class Urllib3:
    """One attempt: the arguments of one call of ``_make_request``."""

    names = Names(timeout="ReadTimeoutError", refused="NewConnectionError", broken="ProtocolError")

    def __init__(self, pool: Any, arguments: dict[str, Any]) -> None:
        self._pool = pool
        self._arguments = arguments

    def is_own(self, error: BaseException) -> bool:
        # What http.client and the socket raise is wrapped further up, before the caller sees it.
        return isinstance(error, (_part("exceptions").HTTPError, http.client.HTTPException, OSError))

    def words(self, error: BaseException) -> str:
        if not isinstance(error, _part("exceptions").HTTPError):
            return str(error)
        told = getattr(error, "_message", None)  # what it says without the pool, whose text is an address in memory
        return (
            told if isinstance(told, str) else next((part for part in error.args if isinstance(part, str)), str(error))
        )

    def made(self, name: str, words: str) -> BaseException | None:
        for module in (_part("exceptions"), http.client, builtins):
            kind = getattr(module, name, None)
            if isinstance(kind, type) and issubclass(kind, Exception) and name not in _INNER:
                return self._made(kind, words)
        return None

    def _made(self, kind: Any, words: str) -> BaseException | None:
        known, pool, conn = _part("exceptions"), self._pool, self._arguments["conn"]
        error: BaseException | None = None
        if issubclass(kind, getattr(known, "NameResolutionError", ())):
            reason = match.group(1) if (match := _UNRESOLVED.fullmatch(words)) else words
            error = kind(pool.host, conn, socket.gaierror(*_numbered(reason)))
        elif issubclass(kind, (known.NewConnectionError, known.ConnectTimeoutError)):
            error = kind(conn, words)
        elif issubclass(kind, known.RequestError):
            error = kind(pool, self._arguments["url"], words)
        elif issubclass(kind, known.PoolError):
            error = kind(pool, words)
        elif issubclass(kind, known.ProxyError):
            error = kind(words, OSError(words))
        elif issubclass(kind, (known.HTTPError, http.client.HTTPException)):
            error = kind(words)
        elif issubclass(kind, OSError):
            error = kind(*_numbered(words))
        return error

    def told(self) -> Request:
        """The request in the form that all clients share."""
        pool, url, body = self._pool, self._arguments["url"], self._arguments["body"]
        if url.startswith("/"):
            host = f"[{pool.host}]" if ":" in pool.host else pool.host
            port = f":{pool.port}" if pool.port not in {None, _PORTS.get(pool.scheme)} else ""
            url = f"{pool.scheme}://{host}{port}{url}"
        content = b"" if body is None else body.encode() if isinstance(body, str) else None
        if isinstance(body, (bytes, bytearray, memoryview)):
            content = bytes(body)
        headers = tuple((_text(name).lower(), _text(value)) for name, value in (self._headers or {}).items())
        return Request(self._arguments["method"], url, headers, content)

    @property
    def _headers(self) -> Any:
        return self._arguments["headers"]

    def with_headers(self, more: dict[str, str]) -> dict[str, Any]:
        """The arguments, with headers that the request lacks; the caller's own mapping stays as it is."""
        if not more:
            return self._arguments
        headers = {} if self._headers is None else self._headers.copy()
        headers.update(more)
        return {**self._arguments, "headers": headers}

    def changed(self, request: Request, more: dict[str, str]) -> dict[str, Any]:
        """The arguments for a request that goes to the same host in place of the original one."""
        target = request.url[len(_origin(request.url)) :]
        headers = dict(request.headers) | more
        sent = {"method": request.method, "url": target, "body": request.content, "headers": headers, "chunked": False}
        return {**self._arguments, **sent}

    def elsewhere(self, request: Request) -> Any:
        """The answer to a request that goes to another host than this pool's."""
        manager = importlib.import_module("urllib3").PoolManager()
        pool, given = manager.connection_from_url(request.url), self._arguments
        response = pool.urlopen(
            *(request.method, request.url[len(_origin(request.url)) :], request.content, dict(request.headers)),
            retries=False,
            preload_content=False,
            decode_content=given["decode_content"],
            timeout=given["timeout"] if request.timeout_s is None else request.timeout_s,
        )
        self._let_go()
        response.retries = given["retries"]
        return response

    def served(self, response: HttpResponse) -> Any:
        """urllib3's own response, which reads from the record."""
        return self.made_of(response, pieces_of(self, response))

    def translated(self, response: Any, translation: Translation) -> Any:
        """The response in the SDK's own format: a whole one read and dressed, a stream turned as it comes."""
        headers = tuple((name.lower(), value) for name, value in response.headers.items())
        if translation.is_stream(response.status, dict(headers)):
            head = HttpResponse(response.status, (("Content-Type", EVENT_STREAM), ("Transfer-Encoding", "chunked")), ())
            return self.made_of(head, translation.turned(response.stream(None, decode_content=True)))
        read = response.read(decode_content=True)
        return self.served(translation.whole(HttpResponse(response.status, headers, (Chunk(0, read),))))

    def made_of(self, head: HttpResponse, pieces: Iterator[bytes]) -> Any:
        """urllib3's own response, over bytes that read as if they came from the network."""
        given = self._arguments
        original = http.client.HTTPResponse(body_of(head, pieces), method=given["method"])
        original.begin()
        made = _part("response").HTTPResponse(
            body=original,
            headers=_part("_collections").HTTPHeaderDict(original.msg.items()),
            status=original.status,
            version=original.version,
            reason=original.reason,
            preload_content=False,
            decode_content=given["decode_content"],
            original_response=original,
            retries=given["retries"],
            enforce_content_length=given["enforce_content_length"],
            request_method=given["method"],
            request_url=given["url"],
        )
        self._let_go()
        return made

    def _let_go(self) -> None:
        """Give the pool back the connection that was not used."""
        if self._arguments["response_conn"] is not None:
            self._pool._put_conn(self._arguments["response_conn"])  # noqa: SLF001 - as urllib3's own responses do


def _numbered(words: str) -> tuple[Any, ...]:
    """The arguments of an OSError that says this."""
    match = _ERRNO.fullmatch(words)
    return (int(match.group(1)), match.group(2)) if match else (words,)


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def recording(method: Callable[..., Any], is_on: Callable[[], bool]) -> Callable[..., Any]:
    """What stands in for ``_make_request``. Raises RuntimeError where that is not the one of urllib3 2."""
    signature = inspect.signature(method)
    if "preload_content" not in signature.parameters:
        raise RuntimeError("of urllib3, 2.0 is the first version whose requests can be caught")

    @wraps(method)
    def make_request(pool: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_on() or CURRENT.get() is None or is_below():
            return method(pool, *args, **kwargs)
        bound = signature.bind(pool, *args, **kwargs)
        bound.apply_defaults()
        _, *given = bound.arguments.items()
        return _sent(pool, method, dict(given))

    return make_request


def _sent(pool: Any, method: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    client = Urllib3(pool, arguments)
    told = told_by(client.told)
    exchange = begin(client, told)
    if exchange is None or told is None:
        url = arguments["url"] if told is None else told.url
        tell(arguments["method"], url)
        reach(url)
        return method(pool, **client.with_headers(headers_for(told)))
    with exchange.failing():
        todo = plan(exchange, told)
        if isinstance(todo, Send):
            reach(todo.request.url)
            exchange.sent()
            with sending():
                response = _response(client, pool, method, exchange, todo)
        else:
            served = todo.response if isinstance(todo, Serve) else todo.answer()
            pause(exchange.step.decision)
            exchange.serve(served)
            response = client.served(served)
    if arguments["preload_content"] and isinstance(response, _part("response").HTTPResponse):
        # As its constructor does it, which must not read before we listen.
        response._body = response.read(decode_content=arguments["decode_content"])  # noqa: SLF001
    return response


def _response(client: Urllib3, pool: Any, method: Callable[..., Any], exchange: Exchange, todo: Send) -> Any:
    more = headers_for(todo.request, exchange.step)
    if todo.elsewhere:
        response = client.elsewhere(replace(todo.request, headers=(*todo.request.headers, *more.items())))
        if todo.translation is not None:
            response = client.translated(response, todo.translation)
    else:
        arguments = client.changed(todo.request, more) if todo.changed else client.with_headers(more)
        response = method(pool, **{**arguments, "preload_content": False})
    with recorder.guard("record a response"):
        _listen(exchange, response)
    return response


def _listen(exchange: Exchange, response: Any) -> None:
    exchange.answered(response.status, response.headers.items())
    if not isinstance(response, _part("response").HTTPResponse):
        # From memory: a cassette's, or HTTP/2's, which is read before it is given.
        exchange.received(response.data or b"")
        exchange.end()
        return
    if response.length_remaining == 0 and not response.chunked:
        exchange.end()
        return
    response.__class__ = recorded_class(response.__class__)
    response._exchange = exchange  # noqa: SLF001 - of the class that it has now
