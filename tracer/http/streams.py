"""Bodies on their way to the reader: recorded as they pass, or served from the record.

httpx tells sync from async bodies by class, and has its own classes in each of its two packages; so these are mixed
into a package's classes when that is first met.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any, AsyncIterator, Iterator

from tracer.context import CURRENT
from tracer.http.exchange import Exchange, abandon
from tracer.http.faults import revived
from tracer.wire import HttpResponse


class _Recorded:
    """Passes chunks through as they come. ``owner`` is a transport that lives only for this one response."""

    def __init__(self, inner: Any, exchange: Exchange, owner: Any = None) -> None:
        self._inner = inner
        self._exchange = exchange
        self._owner = owner

    def __del__(self) -> None:
        abandon(self._exchange)


class _RecordedSync(_Recorded):
    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._inner:
                self._exchange.received(data)
                yield data
        except GeneratorExit:
            raise  # dropped or about to be closed: __del__ and close() know which
        except BaseException as error:
            self._exchange.end("broken", error)
            raise
        self._exchange.end()

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._exchange.end("closed")
            if self._owner is not None:
                self._owner.close()


class _RecordedAsync(_Recorded):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        inner = self._inner.__aiter__()
        try:
            async for data in inner:
                self._exchange.received(data)
                yield data
        except GeneratorExit:
            raise
        except BaseException as error:
            self._exchange.end("broken", error)
            raise
        finally:
            # An async generator that nobody closes is closed by the event loop, in another task; httpx closes its own.
            if hasattr(inner, "aclose"):
                await inner.aclose()
        self._exchange.end()

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            self._exchange.end("closed")
            if self._owner is not None:
                await self._owner.aclose()


class _Served:
    """A body from the record, chunk by chunk, up to where it broke if it did: without waiting, or where the player is
    ``paced`` as long after one another as they came."""

    def __init__(self, client: Any, response: HttpResponse) -> None:
        self._client = client
        self._response = response
        step = CURRENT.get()
        self._paced = step is not None and getattr(step.trace.player, "paced", False)
        # One for all who read: an SDK that has seen the last event drains what is left of the body, which is nothing.
        self._left = self._timed()

    def __iter__(self) -> Iterator[bytes]:
        for wait_s, data in self._left:
            if wait_s:
                time.sleep(wait_s)
            yield data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for wait_s, data in self._left:
            if wait_s:
                import anyio  # noqa: PLC0415 - what httpx itself stands on; only where somebody wants to wait

                await anyio.sleep(wait_s)
            yield data

    def _timed(self) -> Iterator[tuple[float, bytes]]:
        at_ns = 0
        for chunk in self._response.chunks:
            yield max(0, chunk.after_ns - at_ns) / 1e9 if self._paced else 0, chunk.data
            at_ns = max(at_ns, chunk.after_ns)
        if self._response.ended == "broken":
            raise revived(self._client, self._response.error)

    def close(self) -> None:
        """Nothing is held."""

    async def aclose(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class Streams:
    """The three bodies, as classes of one package."""

    recorded: type
    recorded_async: type
    served: type


@cache
def streams_of(client: Any) -> Streams:
    """Of an ``of_httpx.Httpx``."""
    module = client.module
    return Streams(
        type("RecordedStream", (_RecordedSync, module.SyncByteStream), {}),
        type("RecordedAsyncStream", (_RecordedAsync, module.AsyncByteStream), {}),
        type("ServedStream", (_Served, module.SyncByteStream, module.AsyncByteStream), {}),
    )
