"""A reply as it is being said: text piece by piece, then the whole with its usage."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, AsyncIterator, Awaitable, Callable, Generic, Iterator, Self, TypeVar

from router.client.asking import Asking
from router.client.reply import Reply, tokens_in, typed
from router.errors import CallFailed, StreamBroke
from tracer.providers import MESSAGES, translate
from tracer.providers.base import mapping, parse, sequence, text
from tracer.providers.headers import Headers
from tracer.providers.openai_chat import OpenAIChat
from tracer.providers.stream import split_events

T = TypeVar("T")

#: Under it a client's own exceptions are raised as ours.
Naming = Callable[[Asking[Any]], AbstractContextManager[None]]


class Hearing(Generic[T]):
    """What was heard of a stream so far: ``feed`` gives the pieces of text that came, ``end`` the reply. Pure."""

    def __init__(self, asking: Asking[T], status: int, headers: Headers) -> None:
        self.asking = asking
        self._status = status
        self._headers = headers
        self._raw: list[bytes] = []
        self._said: list[str] = []
        self._chunks: list[dict[str, Any]] = []
        self._pending = b""
        # Anthropic's events are turned into OpenAI's, so that pieces are read in one way.
        is_other = not isinstance(asking.wire, OpenAIChat)
        self._turning = translate.streamed(by=MESSAGES, to=_CHAT, asked=asking.chat) if is_other else None

    @property
    def text(self) -> str:
        return "".join(self._said)

    def feed(self, data: bytes) -> list[str]:
        self._raw.append(data)
        return self._heard(data if self._turning is None else self._turning.feed(data))

    def _heard(self, data: bytes) -> list[str]:
        whole, self._pending = split_events(self._pending + data)
        chunks = [chunk for chunk in map(parse, whole) if chunk]
        self._chunks += chunks
        pieces = [piece for chunk in chunks if (piece := _piece(chunk))]
        self._said += pieces
        return pieces

    def end(self) -> Reply[T]:
        """Raises StreamBroke where it ended before the model had, or with an error, and InvalidAnswer."""
        body = b"".join(self._raw)
        answer = self.asking.wire.answer(self._status, self._headers, body)
        if answer.error is not None:
            raise self.broken(str(answer.error.get("message") or answer.error_type or "it says no reason"))
        # Some servers never say that they are done; why the model stopped they do say.
        if answer.finish_reason is None and not self.asking.wire.is_whole(self._headers, body):
            raise self.broken("its end never came")
        return typed(self.asking, answer, tokens_in(self._chunks or [parse(body)]))

    def unsaid(self, reply: Reply[Any]) -> str:
        """What a server that does not stream said all at once."""
        return "" if self._said else reply.text

    def broken(self, reason: str) -> StreamBroke:
        return StreamBroke(self.asking.target.name, reason, self.text)


_CHAT = OpenAIChat()


def _piece(chunk: dict[str, Any]) -> str | None:
    return next(
        (
            piece
            for choice in sequence(chunk.get("choices"))[:1]
            if (piece := text(mapping(mapping(choice).get("delta")).get("content")))
        ),
        None,
    )


class _Whole(Generic[T]):
    """The reply that a stream came to."""

    def __init__(self, hearing: Hearing[T]) -> None:
        self._hearing = hearing
        self._reply: Reply[T] | None = None

    @property
    def text(self) -> str:
        """What was said so far."""
        return self._hearing.text

    @property
    def reply(self) -> Reply[T]:
        """The whole, once the stream has been read to its end."""
        if self._reply is None:
            raise RuntimeError("the reply is whole when its stream was read to the end, and it was not")
        return self._reply

    def _ended(self) -> str:
        self._reply = self._hearing.end()
        return self._hearing.unsaid(self._reply)


class Spoken(_Whole[T]):
    """``for piece in spoken: ...``, then ``spoken.reply``. It can be read once; leaving a ``with`` closes it.

    A stream that breaks raises StreamBroke with what was said; an answer of another type InvalidAnswer at its end.
    """

    def __init__(self, hearing: Hearing[T], response: Any, naming: Naming) -> None:
        super().__init__(hearing)
        self._response = response
        self._naming = naming

    def __iter__(self) -> Iterator[str]:
        pieces = self._response.iter_bytes()
        try:
            while (data := self._next(pieces)) is not None:
                yield from self._hearing.feed(data)
        finally:
            self.close()
        if unsaid := self._ended():
            yield unsaid

    def _next(self, pieces: Iterator[bytes]) -> bytes | None:
        try:
            with self._naming(self._hearing.asking):
                return next(pieces, None)
        except CallFailed as error:
            raise self._hearing.broken(error.reason) from error

    def close(self) -> None:
        self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SpokenAsync(_Whole[T]):
    """``Spoken`` for coroutines: ``async for``, ``async with``."""

    def __init__(self, hearing: Hearing[T], response: Any, naming: Naming, leave: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(hearing)
        self._response = response
        self._naming = naming
        self._leave = leave

    async def __aiter__(self) -> AsyncIterator[str]:
        pieces = self._response.aiter_bytes()
        try:
            while (data := await self._next(pieces)) is not None:
                for piece in self._hearing.feed(data):
                    yield piece
        finally:
            await self.aclose()
        if unsaid := self._ended():
            yield unsaid

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        try:
            with self._naming(self._hearing.asking):
                return await anext(pieces, None)
        except CallFailed as error:
            raise self._hearing.broken(error.reason) from error

    async def aclose(self) -> None:
        try:
            await self._response.aclose()
        finally:
            await self._leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
