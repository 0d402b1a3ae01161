"""Running a workflow's nodes: what stands beside another runs beside it, at most so many at once.

Where a node fails, no other is begun; those that run come to their end, and are recorded, before the error is raised.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from router.paper.course import Course
from router.paper.node import Node, Take
from router.paper.performing import Done, perform, perform_async
from tracer.player import ReplayStopped

if TYPE_CHECKING:
    import asyncio

_ENDS_ALL = (ReplayStopped, KeyboardInterrupt, SystemExit)


def run(course: Course, *, parallel: int) -> None:
    """Run all that there is to run: a node that stands alone on the caller's thread, others on threads of a pool."""
    running: dict[Future[Done], Node] = {}
    failed: dict[str, BaseException] = {}
    with contextlib.ExitStack() as stack:
        pool: ThreadPoolExecutor | None = None
        while True:
            ready = [] if failed else course.ready()
            if not running and (len(ready) == 1 or parallel == 1):
                for node in ready:
                    done = perform(node, _given(course, node))
                    course.settle(node, done.value, took=done.took)
                if ready:
                    continue
            for node in ready:
                pool = pool or stack.enter_context(ThreadPoolExecutor(parallel, thread_name_prefix="playhead-workflow"))
                # The caller's context goes along: the running step, and whatever else it keeps there.
                future = pool.submit(copy_context().run, perform, node, _given(course, node))
                running[future] = node
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                _settle(course, running.pop(future), future, failed)
            for future in [each for each in running if failed and each.cancel()]:
                del running[future]
    _raise(failed, course)


async def run_async(course: Course, *, parallel: int) -> None:
    """The same on an event loop; plain functions run on threads."""
    import asyncio  # noqa: PLC0415 - who awaits has it loaded; it takes longer than all of the router

    running: dict[asyncio.Task[Done], Node] = {}
    waiting: list[Node] = []
    failed: dict[str, BaseException] = {}
    try:
        while True:
            waiting += course.ready()
            if failed:
                waiting.clear()
            while waiting and len(running) < parallel:
                node = waiting.pop(0)
                running[asyncio.create_task(perform_async(node, _given(course, node)))] = node
            if not running:
                break
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                _settle(course, running.pop(task), task, failed)
    finally:
        for task in running:  # we were cancelled: so are they
            task.cancel()
        if running:
            await asyncio.wait(running)
    _raise(failed, course)


def _given(course: Course, node: Node) -> dict[Take, Any]:
    """What a node is called with, read before it starts: what others give meanwhile is not for it."""
    try:
        found = {take: course.given(node, take) for take in node.takes}
    except AttributeError as error:
        error.add_note(f"{node.place}: an input of {node.name} is that attribute (takes=)")
        raise
    return {take: value for take, (value,) in ((take, each) for take, each in found.items() if each)}


def _settle(
    course: Course, node: Node, ended: Future[Done] | asyncio.Task[Done], failed: dict[str, BaseException]
) -> None:
    try:
        done = ended.result()
    except BaseException as error:  # noqa: BLE001 - raised once the others have come to their end
        failed[node.name] = error
    else:
        course.settle(node, done.value, took=done.took)


def _raise(failed: Mapping[str, BaseException], course: Course) -> None:
    """Raise the first of what failed, in the workflow's order: what ends the process or the replay goes before it, what
    only waits or was cancelled comes after."""
    if not failed:
        return

    def weight(error: BaseException) -> int:
        return 0 if isinstance(error, _ENDS_ALL) else 1 if isinstance(error, Exception) else 2

    names: Sequence[str] = sorted(failed, key=lambda name: (weight(failed[name]), course.rank(name)))
    first, *others = (failed[name] for name in names)
    for name, error in zip(names[1:], others, strict=True):
        first.add_note(f"beside it {name} failed: {type(error).__name__}: {error}")
    raise first
