"""An event loop on a virtual clock: where nothing is ready and nothing real is outstanding, the next timer is now.

Outstanding is: a reader or writer that is registered (a connection that waits for its answer, a pipe), a job that was
handed to a thread and is not on that thread's stack, and a sleep that follows a live call. With any of them the loop
waits as every loop does, so that no deadline around a live call passes early.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from asyncio import futures
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, cast

from replay.clock.player import playing, waits_for_real
from replay.clock.virtual import VirtualClock, looks

#: What asyncio.sleep has its timer call; nothing else does.
_WAKE = getattr(futures, "_set_result_unless_cancelled", None)


class _Job:
    """Work for a thread. While that thread is seen to be at it, the loop need not be held, nor while all threads of its
    pool are at other jobs."""

    def __init__(self, function: Callable[..., Any], clock: VirtualClock) -> None:
        self.has_begun = False
        self.is_seen = False
        self.pool: Any = None
        self._function = function
        self._clock = clock

    def __call__(self, *args: Any) -> Any:
        player = playing()
        self.has_begun = True
        self.is_seen = player is not None and player.clock is self._clock
        try:
            return self._function(*args)
        finally:
            self.is_seen = False


class VirtualLoop(asyncio.SelectorEventLoop):
    """Timers run in the order of their times, as on any loop."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._jobs: set[_Job] = set()
        self._real_sleeps: list[asyncio.TimerHandle] = []
        self._is_ending = False
        super().__init__(_Selector(clock, self._is_held))

    def time(self) -> float:
        return self._clock.now_ns() / 1e9

    def call_at(  # type: ignore[override]  # the same, without naming each argument's type
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, context=context)
        if callback is _WAKE and waits_for_real():
            self._real_sleeps.append(handle)
        return handle

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]  # likewise
        job = _Job(func, self._clock)
        in_thread = executor is None or isinstance(executor, ThreadPoolExecutor)
        self._jobs.add(job)
        future = super().run_in_executor(executor, job if in_thread else func, *args)
        job.pool = executor or self._default_executor  # type: ignore[attr-defined]  # made just now, if not before
        future.add_done_callback(lambda _: self._jobs.discard(job))
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        self._is_ending = True  # it gives its threads a number of real seconds
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self._is_ending = False

    def _is_held(self) -> bool:
        if self._real_sleeps:
            now = self.time()
            self._real_sleeps = [each for each in self._real_sleeps if not each.cancelled() and each.when() > now]
        return self._is_ending or bool(self._real_sleeps) or self._has_a_job_on_its_way()

    def _has_a_job_on_its_way(self) -> bool:
        jobs = tuple(self._jobs)
        seen = Counter(id(job.pool) for job in jobs if job.is_seen)
        return any(
            not job.is_seen and (job.has_begun or seen[id(job.pool)] < getattr(job.pool, "_max_workers", math.inf))
            for job in jobs
        )


class _Selector(selectors.DefaultSelector):
    """Waits on the clock. ``is_held`` asks the loop; its own pipe, by which threads wake it, holds nothing."""

    def __init__(self, clock: VirtualClock, is_held: Callable[[], bool]) -> None:
        super().__init__()
        self._clock = clock
        self._loop_is_held = is_held

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        clock = self._clock
        due_ns = None if timeout is None else clock.now_ns() + math.ceil(timeout * 1e9)
        with clock.waiting(due_ns, self._is_held_or_awake) as wait:
            for look_s in looks():
                events = super().select(0)
                left_s = clock.left_s(wait)
                if events or left_s <= 0 or clock.skip_to(wait):
                    return events
                if due_ns is None:
                    return super().select(None)
                if events := super().select(min(look_s, left_s)):
                    return events
        raise AssertionError("a clock looks for ever")

    def _is_held(self) -> bool:
        return self._loop_is_held() or len(cast("Any", self.get_map())) > 1

    def _is_held_or_awake(self) -> bool:
        return self._is_held() or bool(super().select(0))
