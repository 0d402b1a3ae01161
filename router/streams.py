"""Streams through a Router: chunks pass at once, and where a stream breaks another goes on.

The steps of a routed stream are the running ones only while its own frame runs, never in the code that reads it: it has
a context of its own.
"""

from __future__ import annotations

import inspect
import time
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, AsyncGenerator, Awaitable, Callable, Generator, Iterator

from router.flow import Answered, Attempt, Wait
from router.routed import Routed

if TYPE_CHECKING:
    from router.router import Router


@dataclass(frozen=True, slots=True)
class Restarted:
    """Stands in a stream where it begins anew, at ``target``: what was given before is no part of the answer."""

    target: str


def pause(seconds: float) -> None:
    """Sleep, if there is anything to sleep: even no time at all takes some microseconds."""
    if seconds > 0:
        time.sleep(seconds)


def stream(router: Router, call: Callable[[Attempt], Any]) -> Generator[Any, None, Answered[Any]]:
    """The chunks of the first target that gives all of them, from a context of its own."""
    context = copy_context()
    inner = _stream(router, call)
    resume: Callable[[], Any] = inner.__next__
    while True:
        try:
            chunk = context.run(resume)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # a StopIteration's value is Any
        try:
            yield chunk
        except GeneratorExit:
            context.run(inner.close)
            raise
        except BaseException as thrown:  # noqa: BLE001 - it goes in, as it would into the generator itself
            resume = _throwing(inner.throw, thrown)
        else:
            resume = inner.__next__


def _throwing(throw: Callable[[BaseException], Any], thrown: BaseException) -> Callable[[], Any]:
    return lambda: throw(thrown)


def _stream(router: Router, call: Callable[[Attempt], Any]) -> Generator[Any, None, Answered[Any]]:
    given = _Given(router)
    with Routed(router) as routed:
        while (todo := routed.next()) is not None:
            if isinstance(todo, Wait):
                pause(todo.seconds)
                continue
            with routed.trying(todo) as trying:
                source: Any = None
                try:
                    source = call(todo)
                    for chunk in _chunks(source):
                        yield from given.before(todo)
                        trying.said.append(chunk)
                        yield chunk
                finally:
                    _close(source)
                trying.take((*todo.said, *trying.said))
        return routed.result()


async def stream_async(router: Router, call: Callable[[Attempt], Any]) -> AsyncGenerator[Any, None]:
    """``stream`` for async iterables."""
    context = copy_context()
    inner = _stream_async(router, call)
    resume: Callable[[], Awaitable[Any]] = inner.__anext__
    while True:
        try:
            chunk = await _Within(context, resume())
        except StopAsyncIteration:
            return
        try:
            yield chunk
        except GeneratorExit:
            await _Within(context, inner.aclose())
            raise
        except BaseException as thrown:  # noqa: BLE001 - it goes in, as it would into the generator itself
            resume = _throwing(inner.athrow, thrown)
        else:
            resume = inner.__anext__


async def _stream_async(router: Router, call: Callable[[Attempt], Any]) -> AsyncGenerator[Any, None]:
    import anyio  # noqa: PLC0415 - for those who are async

    given = _Given(router)
    with Routed(router) as routed:
        while (todo := routed.next()) is not None:
            if isinstance(todo, Wait):
                await anyio.sleep(todo.seconds)
                continue
            with routed.trying(todo) as trying:
                source: Any = None
                chunks: AsyncGenerator[Any, None] | None = None
                try:
                    source = call(todo)
                    if inspect.isawaitable(source):
                        source = await source
                    chunks = _chunks_async(source)
                    async for chunk in chunks:
                        for mark in given.before(todo):
                            yield mark
                        trying.said.append(chunk)
                        yield chunk
                finally:
                    await _close_async(chunks)
                    await _close_async(source)
                trying.take((*todo.said, *trying.said))
        routed.result()


class _Given:
    """What the reader of a stream has been given."""

    def __init__(self, router: Router) -> None:
        self._restarts = router.on_break == "restart"
        #: Whose chunks came last.
        self._by: Attempt | None = None

    def before(self, attempt: Attempt) -> Iterator[Restarted]:
        """What comes before a chunk of this attempt: a mark, where the chunks of another one came before."""
        if self._restarts and self._by is not None and self._by is not attempt:
            yield Restarted(attempt.name)
        self._by = attempt


class _Within:
    """An awaitable, each step of which runs in ``context``."""

    def __init__(self, context: Context, awaitable: Awaitable[Any]) -> None:
        self._context = context
        self._steps = awaitable.__await__()

    def __await__(self) -> Generator[Any, Any, Any]:
        steps, run = self._steps, self._context.run
        try:
            waited_for = run(next, steps)
            while True:
                try:
                    sent = yield waited_for
                except BaseException as thrown:  # noqa: BLE001 - a cancellation, among others
                    waited_for = run(steps.throw, thrown)
                else:
                    waited_for = run(next, steps) if sent is None else run(steps.send, sent)
        except StopIteration as stop:
            return stop.value


def _chunks(source: Any) -> Any:
    """A rule may answer with one text instead of a stream."""
    return (source,) if isinstance(source, str | bytes) else source


async def _chunks_async(source: Any) -> AsyncGenerator[Any, None]:
    if hasattr(source, "__aiter__"):
        async for chunk in source:
            yield chunk
    else:
        for chunk in _chunks(source):
            yield chunk


def _close(source: Any) -> None:
    """Let go of the connection behind a stream, however it ended."""
    if callable(close := getattr(source, "close", None)):
        close()


async def _close_async(source: Any) -> None:
    close = getattr(source, "aclose", None) or getattr(source, "close", None)
    if callable(close):
        closed = close()
        if inspect.isawaitable(closed):
            await closed
