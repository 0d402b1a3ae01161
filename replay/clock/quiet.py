"""What the other threads of a replay are doing, read off their stacks.

A thread belongs to a replay while it runs below one of its steps: tracer carries the running step into threads and
thread pools, and the frame that does so is on their stacks. It waits for another thread when it stands in
``Condition.wait`` (so in a queue, an event, a future, a semaphore too) without having been notified, or in
``Thread.join`` of a thread that still runs. Anything else is work, and so is a thread that is just being started.

Threads go on while they are looked at, so each is looked at twice: what waits for the same thing both times waited in
between, all of them at once.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Set as AbstractSet
from concurrent.futures import thread as _pools
from enum import Enum
from types import CodeType, FrameType
from typing import Any

from tracer.threads import within


class Others(Enum):
    #: Some other thread of the replay is at work.
    WORK = "work"
    #: All wait, but a pool's thread may be about to take up a job.
    MAY_COME = "may come"
    WAIT = "wait"


_WITHIN = within.__code__
_IN_POOL: CodeType = _pools._worker.__code__  # noqa: SLF001 - only as something to look for on a stack
_WAIT = threading.Condition.wait.__code__
#: Up to 3.12 the first is what join waits in.
_JOINS = frozenset(
    method.__code__
    for name in ("_wait_for_tstate_lock", "join")
    if (method := getattr(threading.Thread, name, None)) is not None
)
_OF_THREADING = vars(threading)


def others(player: Any, threads: AbstractSet[int], without: AbstractSet[int]) -> Others:
    """Of the threads in ``threads`` and those below a step of this player, all but those in ``without``."""
    first, second = (_look(player, threads, without) for _ in range(2))
    if first is None or second is None or first.keys() != second.keys():
        return Others.WORK
    if any(first[ident] is not second[ident] for ident in first):
        return Others.WORK
    return Others.MAY_COME if None in first.values() else Others.WAIT


def _look(player: Any, threads: AbstractSet[int], without: AbstractSet[int]) -> dict[int, object] | None:
    """Thread -> what it waits for; None for one of a pool that has no job. None at all where any is at work."""
    frames = sys._current_frames()  # noqa: SLF001 - documented for "specialized purposes", of which this is one
    found: dict[int, object] = {}
    for ident, frame in frames.items():
        if ident in without:
            continue
        stack = _stack(frame)
        if ident in threads or _is_below(stack, player):
            waits_for = _waits_for(stack, frames)
            if waits_for is None:
                return None
            found[ident] = waits_for
        elif _is_starting(stack):
            return None
        elif any(each.f_code is _IN_POOL for each in stack):
            found[ident] = None
    return found


def _stack(frame: FrameType) -> list[FrameType]:
    stack = []
    at: FrameType | None = frame
    while at is not None:
        stack.append(at)
        at = at.f_back
    return stack


def _is_below(stack: list[FrameType], player: Any) -> bool:
    steps = (frame.f_locals.get("step") for frame in stack if frame.f_code is _WITHIN)
    return any(step is not None and step.trace.player is player for step in steps)


def _is_starting(stack: list[FrameType]) -> bool:
    """Whether a thread has begun and not come to its own code yet, nor to the frame that says whose it is."""
    if stack[-1].f_globals is not _OF_THREADING:
        return False  # the main thread, or one that threading has not begun
    if len(stack) < 3:
        return True
    run = stack[-3]
    if run.f_code.co_name in {"run", "run_below"}:
        return stack[0] is run
    return run.f_globals is _OF_THREADING


def _waits_for(stack: list[FrameType], frames: dict[int, FrameType]) -> object | None:
    """What a thread waits for, that another one has to do; None where it is at work."""
    frame = stack[0]
    if frame.f_code is _WAIT:
        names = frame.f_locals
        waiter = names.get("waiter")
        # notify() takes the waiter out before its thread has noticed anything
        is_waiting = waiter is not None and waiter in tuple(names["self"]._waiters)  # noqa: SLF001 - see above
        starts = any(each.f_code.co_qualname == "Thread.start" for each in stack[1:3])
        return waiter if is_waiting and not starts else None
    if frame.f_code in _JOINS:
        joined: threading.Thread | None = frame.f_locals.get("self")
        return joined if joined is not None and joined.ident in frames else None
    return None
