"""``@step(key=...)``: an item of a fan-out is held against itself, whatever its position and its other inputs."""

from __future__ import annotations

import asyncio
import random

import pytest

from replay import replay
from tests.replay.support import did, done
from tracer import current, step, workflow
from tracer.errors import ConfigError
from tracer.guard import PlayheadWarning

_version = 1


@step(kind="tool", key="ticket")
async def handle(ticket: int, version: int) -> str:
    await asyncio.sleep(0)
    did(ticket)
    return f"{ticket} v{version}"


@workflow
async def handles(count: int) -> list[str]:
    order = random.Random(_version).sample(range(count), count)
    return sorted(await asyncio.gather(*(handle(ticket, _version if ticket == 3 else 1) for ticket in order)))


@step(kind="tool", key=lambda text: current_item())
def answer(text: str) -> str:
    did(current_item())
    return f"{text} for {current_item()}"


def current_item() -> str:
    return _items[0]


_items = ["none"]


@workflow
def answers(items: tuple[str, ...]) -> list[str]:
    said = []
    for item in items if _version == 1 else reversed(items):
        _items[0] = item
        said.append(answer("hello"))
    return sorted(said)


@pytest.fixture(autouse=True)
def first_version():
    global _version  # noqa: PLW0603
    _version = 1


class TestAnItem:
    def test_is_a_tag_of_its_step(self, recorded):
        asyncio.run(handles(4))
        steps = [each for each in recorded.trace().steps if each.name == "handle"]
        assert sorted(each.tags["key"] for each in steps) == [0, 1, 2, 3]

    def test_whose_input_changed_is_held_against_itself_in_any_order(self, recorded):
        global _version  # noqa: PLW0603
        asyncio.run(handles(8))
        trace = recorded.trace()
        _version = 2
        again = replay(trace.trace_id, on_divergence="live")
        (only,) = again.divergences
        assert only.kind == "input-changed"
        held = next(each for each in trace.steps if each.step_id == only.recorded_step_id)
        assert held.tags["key"] == 3
        assert [(change.path, change.before, change.after) for change in only.changes] == [("$.version", 1, 2)]
        assert again.served == 7

    def test_that_the_record_does_not_hold_is_new_and_no_other_item(self, recorded):
        asyncio.run(handles(2))
        trace = recorded.trace()

        @workflow(name="handles")
        async def more(count: int) -> list[str]:
            return [await handle(ticket, 1) for ticket in (1, 7)]

        again = replay(trace.trace_id, fn=more)
        assert (again.stopped.divergence.kind, again.stopped.divergence.recorded_step_id) == ("new", None)

    def test_that_a_function_names_tells_equal_inputs_apart(self, recorded):
        global _version  # noqa: PLW0603
        expected = answers(("ann", "bob", "cy"))
        _version = 2
        done()
        again = replay("latest")
        assert (again.output, again.served, again.divergences, done()) == (expected, 3, (), [])
        steps = [each for each in recorded.trace(again.trace_id).steps if each.name == "answer"]
        assert [each.tags["key"] for each in steps] == ["cy", "bob", "ann"]

    def test_is_named_by_an_input_that_there_is(self):
        with pytest.raises(ConfigError, match="handle has no input of the name tikcet"):

            @step(key="tikcet")
            def handle(ticket: int) -> None: ...

        with pytest.raises(ConfigError, match="a key is the name of an input or a function"):
            step(key=3)(len)

    def test_that_its_function_cannot_name_is_recorded_without(self, recorded, monkeypatch):
        monkeypatch.delenv("PLAYHEAD_STRICT")

        @step(key=lambda text: text.no_such_thing)
        def plain(text: str) -> str:
            return current().step_id and text

        @workflow
        def flow() -> str:
            return plain("a")

        with pytest.warns(PlayheadWarning, match="take the key of plain"):
            assert flow() == "a"
        assert recorded.step("plain").tags == {}
