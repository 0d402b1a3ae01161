"""aiohttp's bodies: recorded as they arrive, or served from the record.

A body is pushed by the connection into a StreamReader that the connection holds on to. So the reader stays the object
that it is, and is given a subclass of its class, of the same shape, that tells us what passes.
"""

from __future__ import annotations

import asyncio
import importlib
from functools import cache
from typing import Any, AsyncIterator

from tracer.http.client import Client
from tracer.http.exchange import Exchange, abandon
from tracer.http.faults import revived
from tracer.http.inflate import inflated
from tracer.wire import HttpResponse

#: By the reader's identity, for there is no room for one more thing in a reader. It is taken out when it ends.
_exchanges: dict[int, Exchange] = {}
#: What a reader is told when its response is closed or let go before the end.
_CLOSED = "Connection closed"
_SWITCHED = 101


def listen(exchange: Exchange, response: Any) -> None:
    """Record the body of a response: what has come already, and what will."""
    reader = response.content
    for data in reader._buffer:  # noqa: SLF001 - what came together with the head
        exchange.received(data)
    if reader.is_eof():
        exchange.end_soon(asyncio.get_running_loop())
    elif response.status == _SWITCHED:
        exchange.end()
    elif (error := reader.exception()) is not None:
        exchange.end("broken", error)
    else:
        _exchanges[id(reader)] = exchange
        reader.__class__ = _recorded_class(reader.__class__)


class _Recorded:
    """Mixed in before a reader's class, whose methods these are. ``super()`` is that class."""

    __slots__ = ()

    def feed_data(self, data: bytes, *size: int) -> Any:
        if (known := _exchanges.get(id(self))) is not None and data:
            known.received(data)
        return super().feed_data(data, *size)  # type: ignore[misc]  # of the class that it is mixed into

    def feed_eof(self) -> None:
        super().feed_eof()  # type: ignore[misc]
        if (known := _exchanges.pop(id(self), None)) is not None:
            known.end_soon(self._loop)  # type: ignore[attr-defined]  # of the class that it is mixed into

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        if str(exc) == _CLOSED:
            self._end("closed")
        else:
            self._end("broken", exc)
        super().set_exception(exc, *cause)  # type: ignore[misc]

    async def _wait(self, func_name: str) -> None:
        try:
            await super()._wait(func_name)  # type: ignore[misc]
        except BaseException as error:
            self._end("broken", error)  # the time is up, or the reader's task is cancelled: nobody tells the reader
            raise

    def _end(self, ended: str, error: BaseException | None = None) -> None:
        if (known := _exchanges.pop(id(self), None)) is not None:
            known.end(ended, error)

    def __del__(self) -> None:
        if (known := _exchanges.pop(id(self), None)) is not None:
            abandon(known)


@cache
def _recorded_class(kind: Any) -> type:
    return type(kind.__name__, (_Recorded, kind), {"__slots__": (), "__module__": kind.__module__})


class _Served:
    """Mixed in before StreamReader: whoever waits for more is given the next piece."""

    def __init__(self, pieces: AsyncIterator[bytes], *, chunked: bool) -> None:
        super().__init__(_Connected(), limit=2**16, loop=asyncio.get_running_loop())  # type: ignore[call-arg]
        self._pieces = pieces
        self._chunked = chunked

    async def _wait(self, _: str) -> None:
        await asyncio.sleep(0)
        reader: Any = self
        try:
            data = await anext(self._pieces, None)
        except BaseException as error:
            reader.set_exception(error)
            raise
        if data is None:
            reader.feed_eof()
            return
        if self._chunked:
            reader.begin_http_chunk_receiving()
        reader.feed_data(data)
        if self._chunked:
            reader.end_http_chunk_receiving()

    async def wait_eof(self) -> None:
        while not self.is_eof():  # type: ignore[attr-defined]  # of the class that it is mixed into
            await self._wait("wait_eof")


class _Connected:
    """As much of a connection as a reader asks for."""

    connected = True
    _reading_paused = False

    def pause_reading(self, *_: Any, **__: Any) -> None:
        """There is nothing that could be held up."""

    def resume_reading(self, *_: Any, **__: Any) -> None:
        """Nothing is."""


@cache
def _served_class() -> Any:
    return type("StreamReader", (_Served, importlib.import_module("aiohttp").StreamReader), {})


async def pieces_of(client: Client, response: HttpResponse, *, inflates: bool) -> AsyncIterator[bytes]:
    """A recorded body, chunk by chunk, up to where it broke if it did. ``inflates``: decompressed."""
    for _, data in inflated(response) if inflates else ((chunk.after_ns, chunk.data) for chunk in response.chunks):
        if data:
            yield data
    if response.ended == "broken":
        raise revived(client, response.error)


def served_reader(head: HttpResponse, pieces: AsyncIterator[bytes]) -> Any:
    """A StreamReader that reads these pieces."""
    return _served_class()(pieces, chunked=any(name.lower() == "transfer-encoding" for name, _ in head.headers))
