"""The same of event loops: timers come in their order, and a live call keeps its real time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator

import anyio
import openai
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from replay import fail, replay, substitute
from replay.clock import VirtualClock
from replay.clock.loop import VirtualLoop
from tests.loopback import Loopback, Reply
from tracer import FREE, Target, current, step, workflow

HOUR = 3600.0


def only_in_a_replay(seconds: float) -> float:
    return seconds if current().is_replay else 0


@step(kind="tool")
async def look_up(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


@workflow
async def waiting(how: str) -> Any:
    seconds = only_in_a_replay(HOUR)
    found = await look_up(how)
    if how == "sleep":
        await asyncio.sleep(seconds)
    elif how == "timeout":
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds or 0.001):
                await asyncio.Event().wait()
    elif how == "wait_for":
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), seconds or 0.001)
    elif how == "wait":
        await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=seconds)
    elif how == "anyio":
        await anyio.sleep(seconds)
    elif how == "move_on":
        with anyio.move_on_after(seconds):
            await anyio.sleep_forever()
    elif how == "thread":
        await asyncio.to_thread(time.sleep, seconds)
    return found


@workflow
def nested(how: str) -> Any:
    return asyncio.run(waiting.__wrapped__(how))


HOW = ["sleep", "timeout", "wait_for", "wait", "anyio", "move_on", "thread"]


class TestAWaitOfAnEventLoop:
    @pytest.mark.parametrize("how", HOW)
    def test_it_takes_no_time(self, recorded, how):
        asyncio.run(waiting(how))
        again = replay("latest")
        assert (again.error, again.output) == (None, how)
        assert HOUR - 1 < again.virtual_s < HOUR + 1

    @pytest.mark.parametrize("how", ["sleep", "thread"])
    def test_nor_does_one_of_a_loop_that_a_plain_workflow_runs(self, recorded, how):
        nested(how)
        again = replay("latest")
        assert (again.error, again.output) == (None, how)
        assert HOUR - 1 < again.virtual_s < HOUR + 1

    def test_nor_where_the_replay_is_itself_called_inside_a_loop(self, recorded):
        async def outside() -> Any:
            await waiting("sleep")
            return replay("latest")

        assert asyncio.run(outside()).virtual_s > HOUR - 1

    def test_under_trio_it_takes_its_time(self, recorded):
        trio.run(trio_flow)
        again = replay("latest", fn=lambda_of(trio_flow))
        assert again.error is None
        assert again.virtual_s == 0


@workflow
async def trio_flow() -> None:
    await trio.sleep(0.001)


def lambda_of(flow: Any) -> Any:
    @workflow(name="trio_flow")
    def running() -> None:
        trio.run(flow.__wrapped__)

    return running


# -- what is real ------------------------------------------------------------------------------------------------------


async def ask(url: str, text: str, **more: Any) -> str:
    async with openai.AsyncOpenAI(base_url=url, api_key="not-a-real-key", **{"max_retries": 0, **more}) as client:
        messages = [{"role": "user", "content": text}]
        found = await client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        return found.choices[0].message.content or ""


@step
async def recorded_part(url: str) -> str:
    return await ask(url, "recorded")


@step
async def live_part(url: str) -> str:
    async with asyncio.timeout(60):
        return await ask(url, "live")


@step
async def resting(seconds: float) -> None:
    await asyncio.sleep(only_in_a_replay(seconds))


@workflow
async def mixed(url: str) -> list:
    found = [await live_part(url), await recorded_part(url)]
    await asyncio.sleep(only_in_a_replay(HOUR))
    return found


@workflow
async def beside(url: str) -> list:
    """A live call, and beside it a task with a deadline that would have passed had the clock been let run."""
    order: list[str] = []

    async def tick() -> None:
        await asyncio.sleep(only_in_a_replay(HOUR))
        order.append("tick")

    async def call() -> None:
        order.append(await live_part(url))
        order.append(await recorded_part(url))

    await asyncio.gather(tick(), call())
    return order


@pytest.fixture
def held() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


class TestALiveCall:
    def replayed(self, server: Loopback, **more: Any) -> Any:
        """With a model that answers only once a real while has passed since it was asked."""
        gate = threading.Event()
        server.next(Reply(("live",), before=gate))

        def answer() -> None:
            while not server.seen:
                time.sleep(0.001)
            time.sleep(0.3)
            gate.set()

        answering = threading.Thread(target=answer)
        answering.start()
        target = Target("slow", base_url=server.url, price=FREE)
        again = replay("latest", substitute("live_part", model=target), **more)
        answering.join(30)
        return again

    def test_it_keeps_its_deadline_in_real_time_while_a_recorded_wait_takes_none(self, recorded, server, held):
        asyncio.run(mixed(server.url))
        again = self.replayed(held)
        assert again.output == ["live", "Hello, world"]
        assert (again.live, again.served) == (1, 1)
        assert HOUR - 1 < again.virtual_s < HOUR + 1

    def test_what_waits_beside_it_does_not_overtake_it(self, recorded, server, held):
        asyncio.run(beside(server.url))
        again = self.replayed(held)
        assert again.output == ["live", "Hello, world", "tick"]
        assert HOUR - 2 < again.virtual_s < HOUR

    @pytest.mark.parametrize("where", ["thread", "anyio"])
    def test_work_in_a_thread_keeps_its_real_time_too(self, recorded, tmp_path, where):
        pipe = str(tmp_path / "pipe")
        os.mkfifo(pipe)
        for run in (lambda: asyncio.run(threaded(pipe, where)), lambda: replay("latest")):
            writing = threading.Thread(target=write, args=(pipe,))
            writing.start()
            again = run()
            writing.join(30)
        assert again.output == "read"
        assert again.virtual_s < 1

    def test_the_backoff_after_it_is_really_waited(self, recorded, server, held):
        server.next(Reply(("first",)))
        asyncio.run(retrying(server.url))
        held.next(Reply(status=429, headers={"retry-after-ms": "30"}), Reply(("second",)))
        target = Target("busy", base_url=held.url, price=FREE)
        again = replay("latest", substitute("retrying", model=target))
        assert again.output == "second"
        assert again.virtual_s == 0

    def test_a_job_on_its_way_to_a_thread_is_waited_for(self, recorded):
        asyncio.run(handed_over())
        again = replay("latest")
        assert (again.error, again.output) == (None, "done")

    def test_one_that_waits_for_others_to_end_holds_nothing(self, recorded):
        asyncio.run(crowded())
        again = replay("latest")
        assert 3 * HOUR - 1 < again.virtual_s < 3 * HOUR + 1


@workflow
async def retrying(url: str) -> str:
    return await ask(url, "again", max_retries=2)


def write(pipe: str) -> None:
    """Some real time after it was opened for reading."""
    with Path(pipe).open("w", encoding="utf-8") as opened:
        time.sleep(0.2)
        opened.write("go")


def read(pipe: str) -> str:
    Path(pipe).read_text(encoding="utf-8")
    return "read"


@workflow
async def threaded(pipe: str, where: str) -> str:
    async with asyncio.timeout(60):
        if where == "anyio":
            return await anyio.to_thread.run_sync(read, pipe)
        return await asyncio.to_thread(read, pipe)


@workflow
async def handed_over() -> str:
    """The pool's thread takes half a second until it takes up the job."""
    slow_start = threading.Event()
    opening = threading.Timer(0.5, slow_start.set)
    opening.start()
    with ThreadPoolExecutor(1, initializer=slow_start.wait) as pool:
        async with asyncio.timeout(60):
            return await asyncio.get_running_loop().run_in_executor(pool, str, "done")


@workflow
async def crowded() -> None:
    loop = asyncio.get_running_loop()
    seconds = only_in_a_replay(HOUR)
    with ThreadPoolExecutor(2) as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, time.sleep, seconds) for _ in range(6)))


class TestABackoff:
    """The waits of the real SDK, against recorded refusals."""

    def test_its_recorded_waits_take_no_time(self, recorded, server):
        refusal = Reply(status=429, headers={"retry-after-ms": "200"})
        server.next(refusal, refusal, Reply(("at last",)))
        asyncio.run(retrying(server.url))
        slower = replay("latest", fn=retrying)
        assert slower.output == "at last"
        assert slower.served == 3
        assert 0.001 < slower.virtual_s < 1

    def test_nor_do_those_after_an_injected_fault(self, recorded, server):
        server.next(Reply(("fine",)))
        asyncio.run(retrying(server.url))
        again = replay("latest", fail("retrying", "rate_limited"))
        assert type(again.error).__name__ == "RateLimitError"
        assert again.virtual_s > 1.5  # two retries, after the second that the injected header asks for

    def test_an_injected_timeout_takes_the_time_that_one_takes(self, recorded, server):
        asyncio.run(mixed(server.url))
        again = replay("latest", fail("live_part", "timeout"))
        assert isinstance(again.error, TimeoutError | openai.APITimeoutError)
        assert 59 < again.virtual_s < 62


# -- the order of timers -----------------------------------------------------------------------------------------------

#: A task: waits one after another, some of them cut short by a deadline.
TASKS = st.lists(
    st.lists(st.tuples(st.integers(1, 500), st.none() | st.integers(1, 500)), min_size=1, max_size=5),
    min_size=1,
    max_size=6,
)


def simulated(tasks: list) -> list[tuple[int, int, bool]]:
    """(when, which task, whether it was cut short) of each wait's end, on a clock of whole numbers."""
    ends, waiting = [], [(0, number, 0) for number in range(len(tasks))]
    heapq.heapify(waiting)
    while waiting:
        at, number, upto = heapq.heappop(waiting)
        if upto:
            seconds, deadline = tasks[number][upto - 1]
            ends.append((at, number, deadline is not None and deadline < seconds))
        if upto < len(tasks[number]):
            seconds, deadline = tasks[number][upto]
            heapq.heappush(waiting, (at + min(seconds, deadline or seconds), number, upto + 1))
    return ends


async def on_loop(tasks: list) -> list[tuple[int, int, bool]]:
    loop = asyncio.get_running_loop()
    ends, begun = [], loop.time()

    async def one(number: int) -> None:
        for seconds, deadline in tasks[number]:
            cut = False
            try:
                async with asyncio.timeout(deadline if deadline != seconds else None):
                    await asyncio.sleep(seconds)
            except TimeoutError:
                cut = True
            ends.append((round(loop.time() - begun), number, cut))

    await asyncio.gather(*map(one, range(len(tasks))))
    return ends


class TestTimers:
    @settings(deadline=None, max_examples=150)
    @given(TASKS)
    def test_they_come_in_the_order_of_a_simulated_clock(self, tasks):
        clock = VirtualClock()
        with clock.enter(object()), asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
            found = runner.run(on_loop(tasks))
        expected = simulated(tasks)
        # what is due in the same second has no order
        assert [at for at, *_ in found] == sorted(at for at, *_ in expected)
        by_second = lambda ends: [sorted(same) for _, same in itertools.groupby(ends, key=lambda each: each[0])]  # noqa: E731
        assert by_second(found) == by_second(sorted(expected))
