"""The support system on real tickets, with the models that need no server."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.figures import figures, percentile
from support.pipeline import support

import tracer
from replay import replay
from replay.answering.inbox import answer, go_on
from replay.answering.question import question_of
from router import Waiting
from tracer import recorder
from tracer.store import open_store

pytestmark = pytest.mark.usefixtures("without_llm")


def opened():
    assert tracer.flush()
    return open_store(recorder.current_config().database_url)


def outcome_or_none(ticket):
    """What became of a ticket; None where a human was asked."""
    try:
        return support(ticket)
    except Waiting:
        return None


class TestSupport:
    def test_a_ticket_that_nobody_is_sure_about_goes_to_a_human_and_nothing_is_sent(self, home):
        with pytest.raises(Waiting, match="What does this customer want"):
            support("qwertz uiop")
        assert not (home / "outbox.jsonl").exists()
        with opened() as store:
            (one,) = store.escalations.pending()
            assert store.trace(one.trace_id).summary.status == "waiting"
            assert question_of(one, store.value).context["reason"]

    def test_and_its_reply_is_sent_once_when_the_human_has_answered(self, home):
        with pytest.raises(Waiting):
            support("qwertz uiop")
        with opened() as store:
            (one,) = store.escalations.pending()
            assert answer(store, one, "change_pin", by="ann") == 0
        outcome = go_on(one.trace_id).output
        assert (outcome.guess.intent, outcome.guess.model) == ("change_pin", "a human")
        assert go_on(one.trace_id) is None
        lines = (home / "outbox.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["id"] for line in lines] == [outcome.receipt.message_id]

    def test_a_clear_ticket_is_answered_and_its_reply_is_in_the_outbox(self, home):
        outcome = support("How do I change my PIN?")
        assert (outcome.guess.intent, outcome.drafted_by) == ("change_pin", "reply-templates")
        lines = (home / "outbox.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["id"] for line in lines] == [outcome.receipt.message_id]

    def test_its_trace_names_each_step_in_order(self, home):
        support("How do I change my PIN?")
        with opened() as store:
            trace = store.trace(store.resolve("latest"))
        assert [(step.path.removeprefix("support/"), step.kind) for step in trace.steps] == [
            ("support", "workflow"),
            ("classify", "step"),
            ("classify/chat", "llm"),
            ("route", "router"),
            ("write_reply", "router"),
            ("write_reply/reply-templates", "attempt"),
            ("write_reply/reply-templates/draft", "step"),
            ("write_reply/reply-templates/draft/chat", "llm"),
            ("write_reply/reply-templates/draft/require", "guardrail"),
            ("write_reply/reply-templates/draft/require[1]", "guardrail"),
            ("send", "tool"),
        ]
        assert [step.call.model for step in trace.steps if step.kind == "llm"] == ["intent-lr", "reply-templates"]
        assert (trace.summary.cost_nusd, trace.summary.unpriced) == (0, 0)

    def test_a_replay_gives_the_same_outcome_and_sends_nothing(self, home):
        outcome = support("How do I change my PIN?")
        before = (home / "outbox.jsonl").read_bytes()
        done = replay("latest")
        assert done.output == outcome
        assert done.live == 0
        assert (home / "outbox.jsonl").read_bytes() == before


class TestFigures:
    def test_they_count_what_was_recorded(self, home, tickets):
        chosen = tickets[:8]
        outcomes = [outcome_or_none(ticket["text"]) for ticket in chosen]
        with opened() as store:
            traces = [store.trace(row.trace_id) for row in store.traces()]
            labels = {ticket["text"]: ticket["label"] for ticket in chosen}
            found = figures(traces, labels, store.value, classifier="intent-lr")
        assert found.tickets == 8
        assert found.answered == sum(outcome is not None for outcome in outcomes)
        assert found.answered + found.escalated + found.failed == 8
        assert (found.fell_back, found.cost_nusd) == (0, 0)
        assert 0 < found.p50_ns <= found.p95_ns
        right = sum(
            outcome is not None and outcome.guess.intent == ticket["label"]
            for outcome, ticket in zip(outcomes, chosen, strict=True)
        )
        asked = sum(step.name in {"classify", "second_opinion"} for trace in traces for step in trace.steps)
        assert found.accuracy["intent-lr"].asked == asked
        assert found.accuracy["intent-lr"].right >= right

    def test_a_run_of_nothing_divides_by_nothing(self):
        found = figures([], {}, lambda _: None, classifier="intent-lr")
        assert (found.tickets, found.p50_ns, found.cost_nusd, found.accuracy) == (0, 0, 0, {})


class TestPercentile:
    def test_of_nothing_it_is_zero(self):
        assert percentile([], 0.5) == 0

    @given(st.lists(st.integers(0, 10**12), min_size=1), st.floats(0.01, 1.0))
    def test_it_is_the_smallest_value_that_so_many_do_not_exceed(self, values, share):
        found = percentile(values, share)
        below = sum(value <= found for value in values)
        assert below >= share * len(values) - 1e-9
        assert sum(value < found for value in values) < share * len(values) + 1e-9
