"""The transports that stand before those of httpx for one request: the same few lines, sync and async."""

from __future__ import annotations

from typing import Any

from tracer import recorder
from tracer.http.answer import Ask, Send, Serve, plan
from tracer.http.client import sending
from tracer.http.exchange import Exchange, begin, told_by
from tracer.http.of_httpx import Httpx, httpx_of
from tracer.http.outgoing import headers_for
from tracer.http.reach import in_thread, reach, reach_async, tell
from tracer.http.streams import streams_of
from tracer.http.translating import translated, translated_async
from tracer.pause import pause, pause_async


class RecordingTransport:
    """Before the transport of a Client. It lives for one request, so closing is not its business."""

    def __init__(self, module: Any, inner: Any) -> None:
        self._client = httpx_of(module)
        self._inner = inner

    def handle_request(self, request: Any) -> Any:
        told = told_by(self._client.told, request)
        exchange = begin(self._client, told)
        if exchange is None or told is None:
            tell(request.method, str(request.url))
            reach(str(request.url))
            return self._inner.handle_request(self._client.with_headers(request, headers_for(told)))
        with exchange.failing():
            todo = plan(exchange, told)
            if isinstance(todo, Send):
                reach(todo.request.url)
                return self._send(exchange, request, todo)
            served = todo.response if isinstance(todo, Serve) else todo.answer()
            pause(exchange.step.decision)
            exchange.serve(served)
            return self._client.response(served)

    def _send(self, exchange: Exchange, request: Any, todo: Send) -> Any:
        transport = self._client.module.HTTPTransport() if todo.elsewhere else self._inner
        owner = transport if todo.elsewhere else None
        outgoing = _outgoing(self._client, exchange, request, todo)
        exchange.sent()
        try:
            with sending():
                response = transport.handle_request(outgoing)
                if todo.translation is not None:
                    response = translated(self._client.module, response, todo.translation)
        except BaseException:
            if owner is not None:
                owner.close()
            raise
        with recorder.guard("record a response"):
            if not _took_in(self._client, exchange, response, self._client.module.SyncByteStream):
                response.stream = streams_of(self._client).recorded(response.stream, exchange, owner)
            elif owner is not None:
                owner.close()
        return response


class AsyncRecordingTransport:
    """Before the transport of an AsyncClient. What would block goes to a thread."""

    def __init__(self, module: Any, inner: Any) -> None:
        self._client = httpx_of(module)
        self._inner = inner

    async def handle_async_request(self, request: Any) -> Any:
        told = told_by(self._client.told, request)
        exchange = begin(self._client, told)
        if exchange is None or told is None:
            tell(request.method, str(request.url))
            await reach_async(str(request.url))
            return await self._inner.handle_async_request(self._client.with_headers(request, headers_for(told)))
        with exchange.failing():
            todo = plan(exchange, told)
            if isinstance(todo, Send):
                await reach_async(todo.request.url)
                return await self._send(exchange, request, todo)
            served = await in_thread(todo.answer) if isinstance(todo, Ask) else todo.response
            await pause_async(exchange.step.decision)
            exchange.serve(served)
            return self._client.response(served)

    async def _send(self, exchange: Exchange, request: Any, todo: Send) -> Any:
        transport = self._client.module.AsyncHTTPTransport() if todo.elsewhere else self._inner
        owner = transport if todo.elsewhere else None
        outgoing = _outgoing(self._client, exchange, request, todo)
        exchange.sent()
        try:
            with sending():
                response = await transport.handle_async_request(outgoing)
                if todo.translation is not None:
                    response = await translated_async(self._client.module, response, todo.translation)
        except BaseException:
            if owner is not None:
                await owner.aclose()
            raise
        with recorder.guard("record a response"):
            if not _took_in(self._client, exchange, response, self._client.module.AsyncByteStream):
                response.stream = streams_of(self._client).recorded_async(response.stream, exchange, owner)
            elif owner is not None:
                await owner.aclose()
        return response


def _outgoing(client: Httpx, exchange: Exchange, request: Any, todo: Send) -> Any:
    sent = client.changed(request, todo.request, own=not todo.elsewhere) if todo.changed else request
    return client.with_headers(sent, headers_for(todo.request, exchange.step))


def _took_in(client: Httpx, exchange: Exchange, response: Any, stream_class: type) -> bool:
    """Note the head of a response. True where its body is already here, or is nothing that could be passed through."""
    exchange.answered(response.status_code, response.headers.multi_items())
    if response.is_stream_consumed:
        # A transport that answers from memory, like MockTransport: the client will never read the stream again.
        is_raw = isinstance(response.stream, client.module.ByteStream)
        exchange.received(b"".join(response.stream) if is_raw else getattr(response, "_content", b""))
        exchange.end()
        return True
    if not isinstance(response.stream, stream_class):
        exchange.end("closed")
        return True
    return False
