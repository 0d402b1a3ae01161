from __future__ import annotations

from collections import Counter

import pipeline

ASKED = "Are your opening hours good on Sunday?"


class TestAQuestion:
    def test_every_call_stands_below_the_step_that_made_it(self, record, calls):
        trace = record(pipeline.ask, ASKED)
        around = [row.around for row in calls(trace)]
        assert around[:2] == ["ask/retrieve", "ask/retrieve"]
        assert Counter(around) == {"ask/retrieve": 2, "ask/ask_agent": 2, "ask/answer": 1, "ask/judge": 2}
        assert "ask/ask_agent/opening_hours" in [step.path for step in trace.steps]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        rows = calls(record(pipeline.ask, ASKED))
        assert Counter(row[2:] for row in rows) == provider.counted
        assert {row.model for row in rows} == {"gpt-4o-mini", "claude-haiku-4-5", "text-embedding-3-small"}

    def test_it_replays_without_a_network(self, record, replay_offline):
        assert replay_offline(record(pipeline.ask, ASKED)).output["gpt"] == "good"

    def test_a_batch_in_an_event_loop_is_seen_whole_and_replayed(self, provider, record, calls, replay_offline):
        trace = record(pipeline.in_other_words, ["one", "two", "three"])
        assert [row.around for row in calls(trace)] == ["in_other_words/translate"] * 3
        assert Counter(row[2:] for row in calls(trace)) == provider.counted
        replay_offline(trace)


class TestAFault:
    def test_a_refused_call_is_retried_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, 500, where="Answer from this")
        trace = record(pipeline.ask, ASKED)
        attempts = [step for step in trace.steps if step.path.startswith("ask/answer/") and step.call is not None]
        assert [step.call.status_code for step in attempts] == [429, 500, 200]
        replay_offline(trace)

    def test_a_stream_that_is_cut_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="Answer from this")
        replay_offline(record(pipeline.ask, ASKED, raises=Exception))
