"""The transports that stand before a client's own for one request: the same few lines, sync and async."""

from __future__ import annotations

import sys
from contextvars import copy_context
from typing import Any

from tracer import recorder
from tracer.context import CURRENT, SENDING
from tracer.http.answer import Ask, Send, Serve, plan, response_of
from tracer.http.exchange import Exchange, begin
from tracer.http.outgoing import marked
from tracer.http.streams import streams_of
from tracer.http.translating import translated, translated_async


class RecordingTransport:
    """Before the transport of a Client. It lives for one request, so closing is not its business."""

    def __init__(self, module: Any, inner: Any) -> None:
        self._module = module
        self._inner = inner

    def handle_request(self, request: Any) -> Any:
        exchange = begin(self._module, request)
        if exchange is None:
            _tell(request)
            _reach(str(request.url))
            return self._inner.handle_request(marked(self._module, request))
        with exchange.failing():
            todo = plan(exchange, request)
            if isinstance(todo, Send):
                _reach(todo.url)
                return self._send(exchange, todo)
            served = todo.response if isinstance(todo, Serve) else todo.answer()
            exchange.serve(served)
            return response_of(exchange, served)

    def _send(self, exchange: Exchange, todo: Send) -> Any:
        transport = self._module.HTTPTransport() if todo.elsewhere else self._inner
        owner = transport if todo.elsewhere else None
        exchange.sent()
        token = SENDING.set(True)
        try:
            response = transport.handle_request(marked(self._module, todo.request, exchange.step))
            if todo.translation is not None:
                response = translated(self._module, response, todo.translation)
        except BaseException:
            if owner is not None:
                owner.close()
            raise
        finally:
            SENDING.reset(token)
        with recorder.guard("record a response"):
            if not _took_in(exchange, response, self._module.SyncByteStream):
                response.stream = streams_of(self._module).recorded(response.stream, exchange, owner)
            elif owner is not None:
                owner.close()
        return response


class AsyncRecordingTransport:
    """Before the transport of an AsyncClient. What would block goes to a thread."""

    def __init__(self, module: Any, inner: Any) -> None:
        self._module = module
        self._inner = inner

    async def handle_async_request(self, request: Any) -> Any:
        exchange = begin(self._module, request)
        if exchange is None:
            _tell(request)
            await _reach_async(str(request.url))
            return await self._inner.handle_async_request(marked(self._module, request))
        with exchange.failing():
            todo = plan(exchange, request)
            if isinstance(todo, Send):
                await _reach_async(todo.url)
                return await self._send(exchange, todo)
            served = await _in_thread(todo.answer) if isinstance(todo, Ask) else todo.response
            exchange.serve(served)
            return response_of(exchange, served)

    async def _send(self, exchange: Exchange, todo: Send) -> Any:
        transport = self._module.AsyncHTTPTransport() if todo.elsewhere else self._inner
        owner = transport if todo.elsewhere else None
        exchange.sent()
        token = SENDING.set(True)
        try:
            response = await transport.handle_async_request(marked(self._module, todo.request, exchange.step))
            if todo.translation is not None:
                response = await translated_async(self._module, response, todo.translation)
        except BaseException:
            if owner is not None:
                await owner.aclose()
            raise
        finally:
            SENDING.reset(token)
        with recorder.guard("record a response"):
            if not _took_in(exchange, response, self._module.AsyncByteStream):
                response.stream = streams_of(self._module).recorded_async(response.stream, exchange, owner)
            elif owner is not None:
                await owner.aclose()
        return response


def _took_in(exchange: Exchange, response: Any, stream_class: type) -> bool:
    """Note the head of a response. True where its body is already here, or is nothing that could be passed through."""
    exchange.answered(response)
    if response.is_stream_consumed:
        # A transport that answers from memory, like MockTransport: the client will never read the stream again.
        is_raw = isinstance(response.stream, exchange.module.ByteStream)
        exchange.received(b"".join(response.stream) if is_raw else getattr(response, "_content", b""))
        exchange.end()
        return True
    if not isinstance(response.stream, stream_class):
        exchange.end("closed")
        return True
    return False


def _tell(request: Any) -> None:
    """Nobody was asked about this request (it is switched off, or its trace is left out): so let a replay's guard hear
    of it, also where it goes out on a connection that is there already."""
    sys.audit("playhead.request", request.method, str(request.url))


def _reach(url: str) -> None:
    catalogue = recorder.catalogue()
    if not catalogue.is_reachable(url):
        # A launcher asks its server whether it is well: no step of the pipeline, and it must not wait for itself.
        context = copy_context()
        context.run(CURRENT.set, None)
        context.run(catalogue.make_reachable, url)


async def _reach_async(url: str) -> None:
    if not recorder.catalogue().is_reachable(url):
        await _in_thread(_reach, url)


async def _in_thread(function: Any, *arguments: Any) -> Any:
    # anyio is what httpx itself stands on, and works under trio as well as under asyncio.
    import anyio.to_thread  # noqa: PLC0415

    return await anyio.to_thread.run_sync(function, *arguments)
