"""Decorated generators. The running step is set only while the generator's own frame runs, never across a ``yield``:
what the consumer does in between belongs to the consumer.

What a generator gave is recorded as one ``Yielded`` value when it ends, is closed early, or fails (``returned`` then
holds the exception).
"""

from __future__ import annotations

import contextlib
from typing import Any, AsyncGenerator, Callable, Generator, Iterator, Mapping

from tracer.codec import Yielded
from tracer.context import CURRENT, ActiveStep
from tracer.player import Answer, Raise

Begin = Callable[[tuple[Any, ...], Mapping[str, Any]], ActiveStep | None]


def wrap(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    """The recorded form of a generator function; its step begins when the first item is asked for."""

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        step = begin(args, kwargs)
        if step is None:
            return (yield from function(*args, **kwargs))
        if isinstance(step.decision, Answer | Raise):
            return (yield from _served(step, step.decision))
        return (yield from _recorded(step, function(*args, **kwargs)))

    return call


def wrap_async(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    """The recorded form of an async generator function."""

    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        step = begin(args, kwargs)
        if step is not None and isinstance(step.decision, Answer | Raise):
            for item in _served(step, step.decision):
                yield item
            return
        inner = function(*args, **kwargs)
        items: list[Any] = []
        resume: Callable[[], Any] = inner.__anext__
        while True:
            try:
                with _running(step):
                    item = await resume()
            except StopAsyncIteration:
                _finish(step, items, None)
                return
            except BaseException as error:
                _fail(step, items, error)
                raise
            items.append(item)
            try:
                sent = yield item
            except GeneratorExit as closed:
                with _running(step):
                    await inner.aclose()
                _fail(step, items, closed)
                raise
            except BaseException as thrown:  # noqa: BLE001 - it goes into the generator, as it would without us
                resume = _bind(inner.athrow, thrown)
            else:
                resume = inner.__anext__ if sent is None else _bind(inner.asend, sent)

    return call


def _recorded(step: ActiveStep, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    items: list[Any] = []
    resume: Callable[[], Any] = inner.__next__
    while True:
        try:
            with _running(step):
                item = resume()
        except StopIteration as stop:
            _finish(step, items, stop.value)
            return stop.value
        except BaseException as error:
            _fail(step, items, error)
            raise
        items.append(item)
        try:
            sent = yield item
        except GeneratorExit as closed:
            with _running(step):
                inner.close()
            _fail(step, items, closed)
            raise
        except BaseException as thrown:  # noqa: BLE001 - it goes into the generator, as it would without us
            resume = _bind(inner.throw, thrown)
        else:
            resume = inner.__next__ if sent is None else _bind(inner.send, sent)


def _served(step: ActiveStep, decision: Answer | Raise) -> Generator[Any, Any, Any]:
    """Give the items of the record again, and end as it ended."""
    if isinstance(decision, Raise):
        step.fail(decision.error)
        raise decision.error
    value = decision.value
    step.finish(value)
    if not isinstance(value, Yielded):
        yield from value
        return None
    yield from value.items
    if decision.source is not None and decision.source.outcome == "failed" and isinstance(value.returned, BaseException):
        raise value.returned
    return value.returned


@contextlib.contextmanager
def _running(step: ActiveStep | None) -> Iterator[None]:
    if step is None:
        yield
        return
    token = CURRENT.set(step)
    try:
        yield
    finally:
        CURRENT.reset(token)


def _bind(resume: Callable[[Any], Any], value: Any) -> Callable[[], Any]:
    return lambda: resume(value)


def _finish(step: ActiveStep | None, items: list[Any], returned: Any) -> None:
    if step is not None:
        step.finish(Yielded(tuple(items), returned))


def _fail(step: ActiveStep | None, items: list[Any], error: BaseException) -> None:
    if step is not None:
        returned = None if isinstance(error, GeneratorExit) else error
        step.fail(error, Yielded(tuple(items), returned))
