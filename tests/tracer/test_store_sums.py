"""Totals: added up in memory for a trace that comes whole, and not counted over and over for a long one."""

from __future__ import annotations

from typing import Any, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from tests.builders import Begun, Story
from tracer.events import Event
from tracer.store import Store, open_store

ERRORS = [ValueError("one\nmore"), KeyError("two"), TimeoutError("three")]
MODELS = ["gpt-4o-mini", "gpt-4o", "nobody-knows-me"]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A whole trace: steps in steps, calls in calls, failures that pass through and failures that were caught."""
    told = Story(tags=draw(st.sampled_from([None, {"a": 1}])))
    above = [told.root]
    for _ in range(draw(st.integers(0, 12))):
        error = draw(st.none() | st.sampled_from(ERRORS))
        kind = draw(st.sampled_from(["step", "human", "call", "open", "end"]))
        if kind == "call":
            usage = draw(st.sampled_from([{}, {"input_tokens": 10, "output_tokens": 5}]))
            origin = draw(st.sampled_from(["live", "recorded", "substituted"]))
            told.call(draw(st.sampled_from(MODELS)), under=above[-1], error=error, origin=origin, **usage)
        elif kind == "open":
            model = {"model": draw(st.sampled_from(MODELS))} if draw(st.booleans()) else {}
            above.append(told.begin("part", under=above[-1], kind="llm" if model else "step", **model))
        elif kind == "end" and len(above) > 1:
            told.end(above.pop(), error=error)
        else:
            told.step("step", under=above[-1], kind="human" if kind == "human" else "step", error=error)
    _end(draw, told, above)
    error = draw(st.none() | st.sampled_from(ERRORS))
    if error is not None and draw(st.booleans()):
        wrapped = RuntimeError("wrapped")
        wrapped.__cause__ = error
        error = wrapped
    return told.finish(error=error) if error is not None else told.finish(tags={"b": 2})


def _end(draw: st.DrawFn, told: Story, above: list[Begun]) -> None:
    for step in reversed(above[1:]):
        if draw(st.booleans()):
            told.end(step, error=draw(st.none() | st.sampled_from(ERRORS)))


@pytest.fixture(scope="module")
def one_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(tmp_path_factory.mktemp("sums") / "a.db") as store:
        yield store


def asked(store: Store) -> list[str]:
    """All statements from now on."""
    seen: list[str] = []
    event.listen(store._engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    return seen


def counts_of_steps(statements: list[str]) -> int:
    return sum(" FROM steps" in each and each.startswith("SELECT") and "count(" in each for each in statements)


class TestInMemory:
    @settings(deadline=None, max_examples=150)
    @given(stories())
    def test_a_whole_trace_adds_up_to_what_the_store_would_count(self, one_store: Store, told: Story) -> None:
        one_store.apply(told.events, owner="me")
        assert one_store.verify_totals() == []
        assert one_store.trace(told.trace_id).summary.steps == len({each.step_id for each in told.events})

    @settings(deadline=None, max_examples=40)
    @given(stories(), st.randoms(use_true_random=False))
    def test_in_whatever_order_its_events_come(self, one_store: Store, told: Story, chance: Any) -> None:
        events = [*told.events, *told.events[:3]]
        chance.shuffle(events)
        one_store.apply(events, owner="me")
        assert one_store.verify_totals() == []

    @settings(deadline=None, max_examples=80)
    @given(stories(), st.data())
    def test_a_trace_that_still_runs_adds_up_as_well(self, one_store: Store, told: Story, data: st.DataObject) -> None:
        so_far = data.draw(st.integers(1, len(told.events)))
        for batch in (told.events[:so_far], told.events[so_far:]):
            one_store.apply(batch, owner="me")
            assert one_store.verify_totals() == []

    def test_what_came_of_it_so_far_is_not_read_back(self, store: Store) -> None:
        seen = asked(store)
        told = Story(tags={"a": 1})
        told.call("gpt-4o-mini", input_tokens=1, output_tokens=1)
        store.apply(told.events, owner="me")
        assert not [each for each in seen if each.startswith("SELECT") and " steps" in each]
        (shown,) = store.traces()
        assert (shown.steps, shown.model_calls, shown.tags, shown.status) == (2, 1, {"a": 1}, "running")

    def test_a_whole_trace_is_not_read_back(self, store: Store) -> None:
        seen = asked(store)
        told = Story()
        told.call("gpt-4o-mini", input_tokens=1, output_tokens=1)
        told.step("draft", error=ValueError("no"))
        store.apply(told.finish(error=ValueError("no")).events, owner="me")
        assert not [each for each in seen if each.startswith("SELECT") and " steps" in each]
        assert store.traces()[0].failed_step == "draft"


def long_story(number: int) -> Iterator[list[Event]]:
    """A trace of 6,000 steps in batches of 200 events, but for its end."""
    told = Story(number=number)
    for count in range(6_000):
        told.step("word")
        if count % 100 == 99:
            yield told.events[:]
            told.events.clear()


class TestLongTraces:
    def test_a_long_trace_is_counted_when_it_has_grown_by_a_tenth(self, store: Store) -> None:
        seen = asked(store)
        for batch in long_story(8):
            store.apply(batch, owner="me")
            shown = store.traces()[0].steps
        # ten times up to 1,000 steps, and 19 times until six times as many
        assert counts_of_steps(seen) <= 35
        assert 6_000 * 0.9 <= shown <= 6_001

    def test_its_end_makes_it_exact(self, store: Store) -> None:
        for batch in long_story(9):
            store.apply(batch, owner="me")
        told = Story(number=9)
        told.events.clear()
        store.apply(told.finish().events, owner="me")
        assert store.traces()[0].steps == 6_001
        assert store.verify_totals() == []

    def test_so_does_the_end_of_its_process(self, store: Store) -> None:
        store.announce("me", pid=1)
        for batch in long_story(10):
            store.apply(batch, owner="me")
        store.withdraw("me")
        assert store.traces()[0].steps == 6_001
        assert store.verify_totals() == []

    def test_what_comes_late_is_counted_too(self, store: Store) -> None:
        batches = list(long_story(11))
        told = Story(number=11)
        told.events.clear()
        told.finish()
        for batch in (batches[0], told.events, *batches[1:]):
            store.apply(batch, owner="me")
        store.withdraw("me")
        assert store.traces()[0].steps == 6_001
        assert store.traces()[0].status == "completed"
        assert store.verify_totals() == []


class TestSeveralRoots:
    @pytest.mark.parametrize("order", [1, -1], ids=["the first one first", "the last one first"])
    def test_the_earliest_says_how_the_trace_ended(self, store: Store, order: int) -> None:
        """Two requests of one trace that began in another service, each with a workflow of its own here."""
        first, second = Story("first", number=77), Story("second", number=77, at_ns=1_800_000_000 * 10**9)
        second.root.id = b"\xff" * 8
        begun = second.events[0]._replace(step_id=second.root.id)
        second.finish(error=ValueError("late"))
        first.finish("well")
        told = [first.events, [begun, *second.events[1:]]][::order]
        for events in told:
            store.apply(events, owner="me")
        (row,) = store.traces()
        assert (row.status, row.started_ns) == ("completed", first.events[0].at_ns)
        assert store.verify_totals() == []
