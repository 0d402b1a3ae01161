"""A replay's waits take no real time, and nothing real is hurried by that."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep as taken_before
from typing import Any, Callable

import anyio
import openai
import pytest
from click.testing import CliRunner

import tracer
from replay import PlanError, fail, live, replay
from replay.clock import patches, virtual
from tests.loopback import Reply
from tests.replay.support import DONE, done
from tracer import current, step, workflow
from tracer.cli import main

HOUR = 3600.0


@pytest.fixture
def waited(monkeypatch) -> list[float]:
    """The seconds that something on this process's main ways to wait really asked for, of half a second and more."""
    asked: list[float] = []
    real = time.sleep

    def noted(seconds: float) -> None:
        if seconds >= 0.5:
            asked.append(seconds)
            return
        real(seconds)

    monkeypatch.setattr(patches._sleep, "real", noted)
    monkeypatch.setattr(virtual, "_real_sleep", noted)
    return asked


def nap(seconds: float) -> None:
    """Waits only in a replay: a recording of these tests need not take an hour."""
    if current().is_replay:
        time.sleep(seconds)


async def doze(seconds: float) -> None:
    await asyncio.sleep(seconds if current().is_replay else 0)


@step(kind="tool")
def look_up(value: Any) -> Any:
    DONE.append(value)
    return value


@workflow
def sleepy(value: int) -> tuple:
    before = (time.monotonic(), time.time(), time.perf_counter(), time.time_ns())
    look_up(value)
    nap(HOUR)
    after = (time.monotonic(), time.time(), time.perf_counter(), time.time_ns() / 1)
    return tuple(after[at] - before[at] for at in range(4))


class TestASleep:
    def test_it_takes_no_time_and_moves_every_clock_that_the_workflow_reads(self, recorded, waited):
        sleepy(1)
        again = replay("latest")
        assert waited == []
        for moved in (*again.output[:3], again.output[3] / 1e9):
            assert HOUR <= moved < HOUR + 60
        assert HOUR - 1 < again.virtual_s <= HOUR + 1

    def test_the_new_trace_says_how_long_it_really_took(self, recorded):
        sleepy(1)
        again = replay("latest")
        assert recorded.trace(again.trace_id).summary.duration_ns < HOUR * 1e9 / 2

    def test_a_function_that_was_taken_from_time_before_is_reached_too(self, recorded, waited, module):
        code = """
            from time import sleep as rest, monotonic
            from tracer import current, workflow

            @workflow
            def flow():
                begun = monotonic()
                if current().is_replay:
                    rest(3600)
                return monotonic() - begun
        """
        module(code).flow()
        again = replay("latest")
        assert again.output >= HOUR
        assert waited == []

    def test_that_replaces_nothing_a_fingerprint_sees(self, recorded, module):
        code = """
            from time import sleep
            from tracer import step, workflow

            @step
            def rest():
                sleep(0)

            @workflow
            def flow():
                rest()
        """
        module(code).flow()
        module(code)  # imported anew, so that its fingerprints are taken while the clock is in place
        again = replay("latest")
        assert (again.divergences, again.served_steps) == ((), 1)

    def test_what_was_replaced_is_put_back(self, recorded):
        before = (time.sleep, time.monotonic, taken_before, asyncio.new_event_loop)
        sleepy(1)
        replay("latest")
        assert before == (time.sleep, time.monotonic, taken_before, asyncio.new_event_loop)

    def test_other_threads_keep_real_time(self, recorded):
        seen: list[float] = []
        asked, answered = threading.Event(), threading.Event()

        def outside() -> None:
            asked.wait(30)
            seen.append(time.monotonic())
            answered.set()

        def ask() -> None:
            asked.set()
            answered.wait(30)

        thread = threading.Thread(target=outside)
        thread.start()
        passing.__wrapped__.__globals__["ASK"] = ask
        try:
            passing()
            asked.clear()
            answered.clear()
            thread.join(30)
            thread = threading.Thread(target=outside)
            thread.start()
            begun = time.monotonic()
            inside = replay("latest").output
        finally:
            thread.join(30)
            passing.__wrapped__.__globals__["ASK"] = None
        assert seen[-1] - begun < HOUR / 2 < inside - begun

    @pytest.mark.parametrize("seconds", [-1, "a", None])
    def test_what_can_not_be_slept_is_refused_as_ever(self, recorded, seconds):
        with pytest.raises((ValueError, TypeError)) as real:
            time.sleep(seconds)
        refused(seconds)
        again = replay("latest")
        assert (type(again.error), str(again.error)) == (type(real.value), str(real.value))

    def test_with_the_real_clock_it_is_really_slept(self, recorded, monkeypatch):
        slept: list[float] = []
        sleepy(1)
        monkeypatch.setattr(time, "sleep", slept.append)
        again = replay("latest", clock="real")
        assert slept == [HOUR]
        assert again.virtual_s == 0

    def test_a_clock_or_a_pace_that_is_none_is_refused_before_anything_runs(self, recorded):
        sleepy(1)
        done()
        for wrong in ({"clock": "fast"}, {"streams": "slow"}):
            with pytest.raises(PlanError, match=next(iter(wrong))):
                replay("latest", **wrong)
        assert done() == []


ASK: Callable[[], None] | None = None


@workflow
def passing() -> float:
    nap(HOUR)
    if ASK is not None:
        ASK()
    return time.monotonic()


@workflow
def refused(seconds: Any) -> None:
    if current().is_replay:
        time.sleep(seconds)


@workflow
def many_threads(naps: list) -> list:
    woken: list[int] = []

    def one(at: int) -> None:
        for seconds in naps[at]:
            nap(seconds)
            woken.append(at)

    threads = [threading.Thread(target=one, args=(at,)) for at in range(len(naps))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return woken


@workflow
def pooled(naps: list) -> list:
    woken: list[float] = []

    def one(seconds: float) -> None:
        nap(seconds)
        woken.append(seconds)

    with ThreadPoolExecutor(len(naps)) as pool:
        list(pool.map(one, naps))
    return woken


@workflow
def working(gate: str) -> str:
    """Sleeps while another thread is at work, which ends only after that."""
    thread = threading.Thread(target=Path(gate).read_text)  # a named pipe: read once somebody writes
    thread.start()
    nap(0.3)
    Path(gate).write_text("go", encoding="utf-8")
    thread.join()
    return "done"


class TestSeveralThreads:
    def test_they_wake_in_the_order_in_which_they_are_due(self, recorded, waited):
        naps = [[300, 50], [100, 150], [200, 400], [10, 20, 30]]
        many_threads(naps)
        again = replay("latest")
        due = sorted((sum(each[: upto + 1]), at) for at, each in enumerate(naps) for upto in range(len(each)))
        assert again.output == [at for _, at in due]
        assert waited == []
        assert 590 < again.virtual_s < 601

    def test_so_do_those_of_a_pool(self, recorded, waited):
        pooled([30.0, 10.0, 20.0])
        again = replay("latest")
        assert again.output == [10.0, 20.0, 30.0]
        assert 29 < again.virtual_s < 31

    def test_one_at_work_holds_the_clock(self, recorded, tmp_path):
        gate = str(tmp_path / "gate")
        os.mkfifo(gate)
        working(gate)
        again = replay("latest", guarded=False)  # it writes to the pipe
        assert (again.output, again.virtual_s) == ("done", 0)


# -- waits between calls -----------------------------------------------------------------------------------------------


def ask(url: str, **more: Any) -> str:
    with openai.OpenAI(base_url=url, api_key="not-a-real-key", **more) as client:
        messages = [{"role": "user", "content": "again"}]
        found = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        return found.choices[0].message.content or ""


@workflow
def retrying(url: str) -> str:
    return ask(url, max_retries=2)


@workflow
def polling(value: int) -> int:
    """A tool, and a wait after it: a poll, or a backoff of the workflow's own."""
    for _ in range(3):
        found = look_up(value)
        nap(0.7)
    return found


class TestABackoffOfAnSdk:
    def test_recorded_refusals_are_waited_on_the_virtual_clock_only(self, recorded, server, waited):
        refusal = Reply(status=429, headers={"retry-after-ms": "499"})  # just what the fixture lets pass
        server.next(refusal, refusal, Reply(("at last",)))
        retrying(server.url)
        again = replay("latest")
        assert (again.output, again.served, waited) == ("at last", 3, [])
        assert 0.5 < again.virtual_s < 1.1

    def test_injected_ones_too(self, recorded, server, waited):
        retrying(server.url)
        again = replay("latest", fail("retrying", "rate_limited"))
        assert type(again.error).__name__ == "RateLimitError"
        assert waited == []
        assert again.virtual_s > 1.9  # the injected refusal asks for a second, twice


class TestAWaitAfterALiveCall:
    def test_it_takes_its_time_lest_whoever_is_asked_be_hammered(self, recorded, waited):
        polling(1)
        again = replay("latest", live("look_up"))
        assert waited == [0.7, 0.7, 0.7]
        assert again.virtual_s == 0

    def test_one_after_a_served_call_does_not(self, recorded, waited):
        polling(1)
        again = replay("latest", live("look_up[0]"))
        assert waited == [0.7]
        assert 0.9 < again.virtual_s < 1.5


# -- streams -----------------------------------------------------------------------------------------------------------


@workflow
def streaming(url: str) -> list:
    begun = time.monotonic()
    with openai.OpenAI(base_url=url, api_key="not-a-real-key", max_retries=0) as client:
        messages = [{"role": "user", "content": "go"}]
        chunks = client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
        return [
            (chunk.choices[0].delta.content, time.monotonic() - begun)
            for chunk in chunks
            if chunk.choices and chunk.choices[0].delta.content
        ]


@workflow
async def streaming_async(url: str) -> list:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with openai.AsyncOpenAI(base_url=url, api_key="not-a-real-key", max_retries=0) as client:
        messages = [{"role": "user", "content": "go"}]
        chunks = await client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
        return [
            (chunk.choices[0].delta.content, loop.time() - begun)
            async for chunk in chunks
            if chunk.choices and chunk.choices[0].delta.content
        ]


@pytest.fixture(params=["sync", "async"])
def streamed(request, recorded, server) -> list:
    """The words of a recorded stream, which came half a second apart, and when."""
    gates = {at: threading.Event() for at in (2, 3)}
    server.next(Reply(gates=gates))

    def pace() -> None:
        while not server.seen:
            time.sleep(0.001)
        for gate in gates.values():
            time.sleep(0.5)
            gate.set()

    pacing = threading.Thread(target=pace)
    pacing.start()
    found = streaming(server.url) if request.param == "sync" else asyncio.run(streaming_async(server.url))
    pacing.join(30)
    return found


def arrivals(recorded: Any, trace: str) -> list[float]:
    """When each chunk of the recorded stream came, in seconds after it was asked for."""
    (chat,) = (each for each in recorded.trace(trace).steps if each.kind == "llm")
    return [chunk.after_ns / 1e9 for chunk in recorded.value(chat).chunks]


class TestAServedStream:
    def test_it_comes_at_once(self, streamed):
        again = replay("latest")
        assert [word for word, _ in again.output] == [word for word, _ in streamed] == ["Hello", ", ", "world"]
        assert again.virtual_s == 0

    def test_or_at_its_recorded_pace_which_takes_no_real_time(self, recorded, streamed, waited):
        again = replay("latest", streams="recorded")
        assert [word for word, _ in again.output] == [word for word, _ in streamed]
        arrived = arrivals(recorded, again.replay_of)
        assert waited == []
        assert 0.5 * arrived[-1] < again.virtual_s <= arrived[-1] + 0.1
        # the words came when they had come, later only by what this process took for itself
        assert all(at >= 0.9 * there for (_, at), there in zip(again.output, arrived[1:4], strict=True))

    def test_or_in_real_time(self, recorded, streamed, monkeypatch):
        slept: list[float] = []
        monkeypatch.setattr(time, "sleep", slept.append)

        async def noted(seconds: float) -> None:
            slept.append(seconds)

        monkeypatch.setattr(anyio, "sleep", noted)
        again = replay("latest", streams="recorded", clock="real")
        assert sum(slept) == pytest.approx(arrivals(recorded, again.replay_of)[-1])
        assert again.virtual_s == 0


class TestTheCommandLine:
    def test_it_says_how_much_waiting_was_skipped(self, recorded):
        sleepy(1)
        assert tracer.flush()
        assert "; 1 h 00 m of waiting skipped" in CliRunner().invoke(main, ["replay", "latest"]).output

    def test_it_takes_the_switch_and_the_pace(self, streamed, monkeypatch):
        def virtual_s(*words: str) -> float:
            result = CliRunner().invoke(main, ["replay", trace, "--json", *words])
            assert result.exit_code == 0, result.output
            return json.loads(result.stdout)["virtual_s"]

        trace = replay("latest").replay_of
        assert virtual_s("--stream-pace", "recorded") > 0.4
        assert virtual_s("--stream-pace", "at-once") == 0
        assert virtual_s("--stream-pace", "recorded", "--real-time") == 0
