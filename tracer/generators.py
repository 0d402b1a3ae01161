"""Decorated generators. The running step is set only while the generator's own frame runs, never across a ``yield``:
what the consumer does in between belongs to the consumer.

What a generator gave is recorded as one ``Yielded`` value when it ends, is closed early, or fails (``returned`` then
holds the exception).
"""

from __future__ import annotations

import contextlib
from typing import Any, AsyncGenerator, Callable, Generator, Iterator, Mapping, NamedTuple

from tracer import codec
from tracer.codec import Yielded
from tracer.context import CURRENT, ActiveStep, leave
from tracer.declared import Capture
from tracer.guard import guard
from tracer.player import Answer, Raise

_FIXED = frozenset({str, bytes, int, float, bool, type(None)})

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
        given = _Given(step)
        resume: Callable[[], Any] = inner.__anext__
        while True:
            try:
                with _running(step):
                    item = await resume()
            except StopAsyncIteration:
                given.finish(None)
                return
            except BaseException as error:
                given.fail(error)
                raise
            given.add(item)
            try:
                sent = yield item
            except GeneratorExit as closed:
                with given.closed_by(closed), _running(step):
                    await inner.aclose()
                raise
            except BaseException as thrown:  # noqa: BLE001 - it goes into the generator, as it would without us
                resume = _bind(inner.athrow, thrown)
            else:
                resume = inner.__anext__ if sent is None else _bind(inner.asend, sent)

    return call


def _recorded(step: ActiveStep, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    given = _Given(step)
    resume: Callable[[], Any] = inner.__next__
    while True:
        try:
            with _running(step):
                item = resume()
        except StopIteration as stop:
            given.finish(stop.value)
            return stop.value
        except BaseException as error:
            given.fail(error)
            raise
        given.add(item)
        try:
            sent = yield item
        except GeneratorExit as closed:
            with given.closed_by(closed), _running(step):
                inner.close()
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
    has_failed = decision.source is not None and decision.source.outcome == "failed"
    if has_failed and isinstance(value.returned, BaseException):
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
        leave(token)


def _bind(resume: Callable[[Any], Any], value: Any) -> Callable[[], Any]:
    return lambda: resume(value)


class _Given:
    """What a generator has given so far. An item that can change is kept as the bytes it was when it was given."""

    __slots__ = ("_items", "_step")

    def __init__(self, step: ActiveStep | None) -> None:
        self._step = step
        self._items: list[Any] = []

    def add(self, item: Any) -> None:
        if self._step is None or self._step.capture is not Capture.FULL:
            return
        with guard("record what a generator gave"):
            self._items.append(item if type(item) in _FIXED else _Kept(codec.encode(item).data))

    def finish(self, returned: Any) -> None:
        if self._step is not None:
            self._step.finish(self._so_far(returned))

    def fail(self, error: BaseException) -> None:
        if self._step is not None:
            self._step.fail(error, self._so_far(None if isinstance(error, GeneratorExit) else error))

    @contextlib.contextmanager
    def closed_by(self, closed: GeneratorExit) -> Iterator[None]:
        """The generator is being closed: it ends with that, or with the error that its own cleaning up raises."""
        try:
            yield
        except BaseException as error:
            last = error
            while (before := last.__context__) is not None and before is not closed:
                last = before
            last.__context__ = None  # ours: without us, its chain ended here
            self.fail(error)
            raise
        self.fail(closed)

    def _so_far(self, returned: Any) -> Yielded:
        items = (codec.decode(item.data) if isinstance(item, _Kept) else item for item in self._items)
        return Yielded(tuple(items), returned)


class _Kept(NamedTuple):
    data: bytes
