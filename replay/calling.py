"""Calling a function of any sort and waiting for its end, also where an event loop already runs."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from typing import Any, AsyncIterator, Callable, Coroutine, TypeVar

T = TypeVar("T")


def to_its_end(result: Any, new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> Any:
    """What a call gave, run to its end: a coroutine's result, a generator's items as a list, anything else as it is.

    ``new_loop`` makes the event loop for it, where it needs one.
    """
    if inspect.iscoroutine(result):
        return _run(result, new_loop)
    if inspect.isasyncgen(result):
        return _run(_collected(result), new_loop)
    return list(result) if inspect.isgenerator(result) else result


def _run(result: Coroutine[Any, Any, Any], new_loop: Callable[[], asyncio.AbstractEventLoop] | None) -> Any:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(result)


async def _collected(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def apart(run: Callable[[], T]) -> T:
    """Run in a copy of this context; on a thread of its own where this one runs an event loop, which then waits."""
    context = contextvars.copy_context()
    if not _in_loop():
        return context.run(run)
    given: list[T] = []
    raised: list[BaseException] = []

    def on_thread() -> None:
        try:
            given.append(context.run(run))
        except BaseException as error:  # noqa: BLE001 - raised again, below
            raised.append(error)

    thread = threading.Thread(target=on_thread, name="playhead-replay")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return given[0]


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
