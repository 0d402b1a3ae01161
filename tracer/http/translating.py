"""Answers of another format than the client's, on their way to it: whole ones read and dressed, streams turned as they
come."""

from __future__ import annotations

from functools import cache
from typing import Any, AsyncIterator, Iterator

from tracer.http.elsewhere import EVENT_STREAM, Translation
from tracer.wire import Chunk, HttpResponse

_STREAM = [("content-type", EVENT_STREAM)]


def translated(module: Any, response: Any, translation: Translation) -> Any:
    """The client's own Response, in the format that its SDK expects."""
    if translation.is_stream(response.status_code, response.headers):
        return _turned(module, response, translation)
    response.read()
    return _worn(module, response, translation)


async def translated_async(module: Any, response: Any, translation: Translation) -> Any:
    if translation.is_stream(response.status_code, response.headers):
        return _turned(module, response, translation)
    await response.aread()
    return _worn(module, response, translation)


def _turned(module: Any, response: Any, translation: Translation) -> Any:
    return module.Response(response.status_code, headers=_STREAM, stream=_stream_class(module)(response, translation))


def _worn(module: Any, response: Any, translation: Translation) -> Any:
    headers = tuple(response.headers.multi_items())
    worn = translation.whole(HttpResponse(response.status_code, headers, (Chunk(0, response.content),)))
    return module.Response(worn.status, headers=list(worn.headers), content=worn.raw)


class _Turned:
    """Iterated a second time it goes on where the first one stopped: so SDKs drain what they need no more."""

    def __init__(self, response: Any, translation: Translation) -> None:
        self._response = response
        self._turning = translation.stream()
        self._pieces: Any = None

    def __iter__(self) -> Iterator[bytes]:
        self._pieces = self._pieces or self._response.iter_bytes()
        for data in self._pieces:
            if turned := self._turning.feed(data):
                yield turned
        if rest := self._turning.end():
            yield rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._pieces = self._pieces or self._response.aiter_bytes()
        async for data in self._pieces:
            if turned := self._turning.feed(data):
                yield turned
        if rest := self._turning.end():
            yield rest

    def close(self) -> None:
        self._response.close()

    async def aclose(self) -> None:
        await self._response.aclose()


@cache
def _stream_class(module: Any) -> type:
    return type("TranslatedStream", (_Turned, module.SyncByteStream, module.AsyncByteStream), {})
