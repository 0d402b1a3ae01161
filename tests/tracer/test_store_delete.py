"""Traces taken out by hand, and what is told of several at once."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from tests.builders import NEW_YEAR_NS, Story
from tracer.errors import TraceNotFound
from tracer.store import Filter, Store, open_store
from tracer.store.tables import model_calls, notes, step_texts, steps, traces

SECOND_NS = 10**9


def rows_in(store: Store) -> dict[str, int]:
    with store._engine.connect() as connection:
        tables = (traces, steps, model_calls, notes, step_texts)
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
        }


def full(workflow: str = "support", **fields: object) -> Story:
    told = Story(workflow, input="my card is lost", **fields)  # type: ignore[arg-type]
    told.call("gpt-4o", input_tokens=5, output="a new card comes")
    told.note(told.root, "quality", 0.9, kind="score")
    return told.finish("a new card comes")


class TestDelete:
    def test_takes_everything_that_is_said_of_a_trace_and_nothing_of_another(self, store: Store) -> None:
        first, other = full(), full()
        store.apply(other.events, owner="me")
        store.traces(Filter(text="card"))
        before = rows_in(store)
        assert all(before.values()), before
        store.apply(first.events, owner="me")
        assert len(store.traces(Filter(text="card"))) == 2
        deleted = store.delete([first.trace_id])
        assert deleted.gone == (first.trace_id,)
        assert rows_in(store) == before
        with pytest.raises(TraceNotFound):
            store.trace(first.trace_id)
        assert store.trace(other.trace_id).summary.steps == 2

    def test_leaves_shared_values_and_the_store_whole(self, store: Store) -> None:
        first, other = full(), full()
        for told in (first, other):
            store.apply(told.events, owner="me")
        store.delete([first.trace_id])
        root = store.trace(other.trace_id).root
        assert root is not None
        assert root.output is not None
        assert store.value(root.output) == "a new card comes"
        assert store.verify_totals() == []
        assert store.check().damaged == ()

    def test_refuses_what_still_runs(self, store_url: str) -> None:
        with open_store(store_url, alive=lambda owner: owner == "alive") as store:
            running, killed = Story("support"), Story("support")
            store.apply(running.events, owner="alive")
            store.apply(killed.events, owner="dead")
            deleted = store.delete([running.trace_id, killed.trace_id, "ff" * 16, "no\x00id"])
            assert deleted.gone == (killed.trace_id,)
            assert deleted.running == (running.trace_id,)
            assert set(deleted.unknown) == {"ff" * 16, "no\ufffdid"}
            assert [row.trace_id for row in store.traces()] == [running.trace_id]

    def test_a_replay_outlives_its_origin(self, store: Store) -> None:
        origin = full()
        replay = full(replay_of=origin.trace_id)
        for told in (origin, replay):
            store.apply(told.events, owner="me")
        store.delete([origin.trace_id])
        assert store.trace(replay.trace_id).summary.replay_of == origin.trace_id

    def test_what_is_deleted_may_be_brought_in_again(self, store: Store) -> None:
        told = full()
        store.apply(told.events, owner="me")
        store.delete([told.trace_id])
        store.apply(told.events, owner="me")
        assert store.trace(told.trace_id).summary.steps == 2

    def test_steps_that_wait_to_be_searched_are_passed_over(self, store: Store) -> None:
        told = full()
        store.apply(told.events, owner="me")
        store.delete([told.trace_id])
        assert store.traces(Filter(text="card")) == []
        assert not any(rows_in(store).values())


class TestFollowers:
    def test_are_the_replays_and_the_runs_that_went_on(self, store: Store) -> None:
        origin = full(at_ns=NEW_YEAR_NS)
        replay = full(replay_of=origin.trace_id, at_ns=NEW_YEAR_NS + SECOND_NS)
        resumed = full(resume_of=origin.trace_id, at_ns=NEW_YEAR_NS + 2 * SECOND_NS)
        for told in (origin, replay, resumed, full(replay_of="ff" * 16)):
            store.apply(told.events, owner="me")
        assert [row.trace_id for row in store.followers([origin.trace_id])] == [resumed.trace_id, replay.trace_id]
        assert [row.trace_id for row in store.summaries([replay.trace_id, "x"])] == [replay.trace_id]
        assert store.followers([]) == store.summaries([]) == []


class TestHits:
    def test_name_the_step_and_the_part_that_says_most_of_the_words(self, store: Store) -> None:
        told = Story("support", input="my CARD is lost")
        told.step("look_up", "nothing found", input="the lost card of ann")
        failed = told.step("draft", error=TimeoutError("the card service is down"))
        told.finish(error=TimeoutError("the card service is down"))
        store.apply(told.events, owner="me")
        wanted = [told.trace_id]
        assert store.traces(Filter(text="card"))

        def hit(*words: str) -> tuple[str, str]:
            found = store.hits(wanted, words)[told.trace_id]
            return found.name, found.part

        assert store.hits(wanted, ["card"])[told.trace_id].step_id == failed.hex
        assert hit("card") == ("draft", "error")
        assert hit("Card", "ANN") == ("look_up", "input")
        assert hit("found") == ("look_up", "output")
        assert hit("look_") == ("look_up", "name")
        assert store.hits(wanted, ["100%"]) == store.hits(wanted, []) == store.hits([], ["card"]) == {}
