"""The order in which steps that run at once come to their ends: as recorded, or as a seed draws it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from replay import PlanError, replay
from tests.loopback import Reply
from tracer import step, workflow

NAMES = ("a", "b", "c", "d", "e")
#: Who ends when, while it is recorded: each waits for the one before it in this order.
RECORDED = ("d", "a", "e", "c", "b")


class Gates:
    """Lets steps end in one order only."""

    def __init__(self) -> None:
        self.open = {name: threading.Event() for name in NAMES}
        self.open[RECORDED[0]].set()

    def ended(self, name: str) -> None:
        place = RECORDED.index(name) + 1
        if place < len(RECORDED):
            self.open[RECORDED[place]].set()


_gates: Gates


@pytest.fixture(autouse=True)
def gates() -> Gates:
    global _gates  # noqa: PLW0603
    _gates = Gates()
    return _gates


def wait_for_turn(name: str) -> None:
    assert _gates.open[name].wait(30)


@step(kind="tool")
async def task(name: str) -> str:
    await asyncio.get_running_loop().run_in_executor(None, wait_for_turn, name)
    return name


@workflow
async def tasks() -> list[str]:
    found = []

    async def one(name: str) -> None:
        found.append(await task(name))
        _gates.ended(name)

    await asyncio.gather(*map(one, NAMES))
    return found


@step(kind="tool")
def job(name: str) -> str:
    wait_for_turn(name)
    return name


@workflow
def jobs() -> list[str]:
    found = []

    def one(name: str) -> None:
        found.append(job(name))
        _gates.ended(name)

    with ThreadPoolExecutor(len(NAMES)) as pool:
        list(pool.map(one, NAMES))
    return found


def run(shape: str) -> list[str]:
    return asyncio.run(tasks()) if shape == "tasks" else jobs()


SHAPES = pytest.mark.parametrize("shape", ["tasks", "threads"])


class TestTheOrderOfEnds:
    @SHAPES
    def test_is_the_recorded_one_where_that_is_asked_for(self, recorded, shape):
        assert run(shape) == list(RECORDED)
        again = replay("latest", order="recorded")
        assert (again.output, again.live, again.divergences) == (list(RECORDED), 0, ())

    @SHAPES
    def test_is_another_for_another_seed_and_the_same_for_the_same(self, recorded, shape):
        run(shape)
        trace = recorded.trace().trace_id
        drawn = [replay(trace, order="shuffled", seed=seed).output for seed in (1, 2, 3, 1, 2, 3)]
        assert drawn[:3] == drawn[3:]
        assert len({tuple(each) for each in drawn}) == 3
        assert {frozenset(each) for each in drawn} == {frozenset(NAMES)}

    def test_holds_for_model_calls_that_are_made_at_once(self, recorded, server):
        gates = {name: threading.Event() for name in ("one", "two", "three")}

        @workflow
        async def asks(url: str) -> list[str]:
            found: list[str] = []
            async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:

                async def ask(name: str) -> None:
                    messages: Any = [{"role": "user", "content": name}]
                    await client.chat.completions.create(model="m", messages=messages)
                    found.append(name)
                    following = {"three": "one", "one": "two"}.get(name)
                    if following:
                        gates[following].set()

                for name, gate in gates.items():
                    server.route(name, Reply(before=gate))
                gates["three"].set()
                await asyncio.gather(*map(ask, gates))
            return found

        assert asyncio.run(asks(server.url)) == ["three", "one", "two"]
        assert replay("latest", fn=asks, order="recorded").output == ["three", "one", "two"]

    def test_is_kept_by_the_virtual_clock_alone(self, recorded):
        run("threads")
        with pytest.raises(PlanError, match="leave clock at 'virtual'"):
            replay("latest", order="recorded", clock="real")
        with pytest.raises(PlanError, match="order is 'at-once' or 'recorded' or 'shuffled'"):
            replay("latest", order="sorted")
