"""The list of questions that waiting runs have asked, on SQLite and Postgres."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.builders import NEW_YEAR_NS, Story
from tracer.store import Store
from tracer.tail import Keep
from tracer.waiting import DUE


def waiting(*questions: str, due_ns: int | None = None, **attrs: Any) -> Story:
    """A run that has asked these, one beside the other, and ended with it."""
    told = Story("support", **attrs)
    for question in questions:
        asked = told.begin("escalate", kind="human", input={"asked": {"question": question}})
        told.end(asked, outcome="waiting", tags={} if due_ns is None else {DUE: due_ns})
    return told.finish(None, outcome="waiting")


def put(store: Store, *stories: Story) -> None:
    for story in stories:
        store.apply(story.events, owner="me")


class TestTheList:
    def test_has_a_row_for_each_question_the_longest_waiting_first(self, store: Store) -> None:
        first, second = waiting("Refund?"), waiting("Which?", "When?", at_ns=NEW_YEAR_NS + 10**9, due_ns=7)
        put(store, second, first)
        found = store.escalations.pending()
        assert [(one.trace_id, one.path, one.due_ns) for one in found] == [
            (first.trace_id, "support/escalate", None),
            (second.trace_id, "support/escalate", 7),
            (second.trace_id, "support/escalate[1]", 7),
        ]
        assert {one.state for one in found} == {"open"}
        assert found[0].input is not None
        assert store.value(found[0].input)["asked"]["question"] == "Refund?"
        assert store.escalations.count_open() == 3

    def test_has_none_of_a_replay_and_none_of_a_run_that_went_on_by_itself(self, store: Store) -> None:
        went_on = Story("support")
        asked = went_on.begin("escalate", kind="human", input={"asked": {"question": "Well?"}})
        went_on.end(asked, outcome="waiting")
        put(store, waiting("Refund?", replay_of="0" * 32), went_on.finish("done"))
        assert store.escalations.pending() == []

    def test_has_it_also_where_the_question_comes_in_behind_the_end_of_its_run(self, store: Store) -> None:
        events = waiting("Refund?").events
        *begun, asked, root = events
        store.apply([*begun, root], owner="me")
        assert store.escalations.pending() == []
        store.apply([asked], owner="me")
        assert store.escalations.count_open() == 1
        store.apply(events, owner="me")
        assert store.escalations.count_open() == 1

    def test_is_no_longer_than_what_tail_sampling_keeps(self, store: Store) -> None:
        store.apply(waiting("Refund?").events, owner="me", keep=Keep(0.0))
        assert store.escalations.count_open() == 1

    def test_tells_what_time_is_over(self, store: Store) -> None:
        put(store, waiting("Soon?", due_ns=10), waiting("Later?", due_ns=20), waiting("Whenever?"))
        assert [one.due_ns for one in store.escalations.due(15)] == [10]


class TestAQuestion:
    def test_is_closed_by_one_of_all_who_try_at_once(self, store: Store) -> None:
        put(store, waiting("Refund?"))
        (one,) = store.escalations.pending()

        def answer(number: int) -> int | None:
            return store.escalations.close(one, "answered", by=f"person {number}", value=number)

        with ThreadPoolExecutor(8) as threads:
            given = list(threads.map(answer, range(16)))
        assert sorted(given, key=str) == [0, *[None] * 15]
        (kept,) = store.escalations.of(one.trace_id)
        assert (kept.state, kept.answer, kept.closed_by) == ("answered", given.index(0), f"person {given.index(0)}")

    def test_is_seen_to_be_the_last_of_its_run_by_one_only(self, store: Store) -> None:
        for _ in range(5):
            story = waiting("This?", "That?", "Those?", "These?")
            put(store, story)
            asked = store.escalations.of(story.trace_id)
            with ThreadPoolExecutor(4) as threads:
                left = list(
                    threads.map(lambda one: store.escalations.close(one, "answered", by="me", value="x"), asked)
                )
            assert sorted(left) == [0, 1, 2, 3]

    def test_is_pending_until_its_run_has_gone_on(self, store: Store) -> None:
        put(store, waiting("Refund?"))
        (one,) = store.escalations.pending()
        store.escalations.close(one, "expired", by="timeout")
        (closed,) = store.escalations.pending()
        assert (closed.state, closed.answer, store.escalations.count_open()) == ("expired", None, 0)
        store.escalations.gone_on(one.trace_id, "f" * 32)
        assert store.escalations.pending() == []
        assert [each.resumed_as for each in store.escalations.newest()] == ["f" * 32]

    def test_that_is_withdrawn_is_pending_no_more(self, store: Store) -> None:
        put(store, waiting("Refund?"))
        (one,) = store.escalations.pending()
        assert store.escalations.close(one, "withdrawn", by="me") == 0
        assert store.escalations.pending() == []

    def test_is_assigned_while_it_is_open(self, store: Store) -> None:
        put(store, waiting("Refund?"))
        (one,) = store.escalations.pending()
        assert store.escalations.assign(one, "ann")
        assert store.escalations.pending()[0].assignee == "ann"
        store.escalations.close(one, "answered", by="ann", value=None)
        assert not store.escalations.assign(one, "bob")
        assert store.escalations.pending()[0].answer is None


def test_a_story_goes_back_to_the_run_that_asked_first(store: Store) -> None:
    first = waiting("Refund?")
    second = waiting("How much?", resume_of=first.trace_id)
    third = waiting("Sure?", resume_of=second.trace_id)
    put(store, first, second, third)
    assert store.escalations.story(third.trace_id) == [third.trace_id, second.trace_id, first.trace_id]
