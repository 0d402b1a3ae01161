from __future__ import annotations

from collections import Counter

import anthropic
import pipeline

ASKED = "What does clause 7 say about leaving?"


class TestAReview:
    def test_every_call_stands_below_the_step_that_made_it(self, record, calls):
        trace = record(pipeline.review, ASKED)
        assert [row.around for row in calls(trace)] == ["review/read", "review/read", "review/write"]
        assert "review/read/fetch_clause" in [step.path for step in trace.steps]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        assert Counter(row[2:] for row in calls(record(pipeline.review, ASKED))) == provider.counted

    def test_it_replays_without_a_network(self, record, replay_offline):
        assert "clause 7" in replay_offline(record(pipeline.review, ASKED)).output

    def test_clauses_that_are_rated_at_once_are_all_seen_and_replayed(self, provider, record, calls, replay_offline):
        trace = record(pipeline.rate_all, ["a risky clause", "a harmless clause", "a clause"])
        assert [row.around for row in calls(trace)] == ["rate_all/rate", "rate_all/rate[1]", "rate_all/rate[2]"]
        assert Counter(row[2:] for row in calls(trace)) == provider.counted
        assert replay_offline(trace).output == ["risky", "harmless", "unclear"]


class TestAFault:
    def test_a_refused_call_is_retried_by_the_sdk_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, 500, where="Explain plainly")
        trace = record(pipeline.review, ASKED)
        attempts = [step for step in trace.steps if step.path.startswith("review/write/") and step.call is not None]
        assert [step.call.status_code for step in attempts] == [429, 500, 200]
        replay_offline(trace)

    def test_a_stream_that_is_cut_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="Explain plainly")
        trace = record(pipeline.review, ASKED, raises=Exception)
        assert "RemoteProtocolError" in trace.root.failure.type
        replay_offline(trace)

    def test_a_limit_that_stays_fails_in_the_replay_as_it_did(self, provider, record, calls, replay_offline):
        provider.fail(429, 429, 429)
        trace = record(pipeline.review, ASKED, raises=anthropic.RateLimitError)
        assert len(calls(trace)) == 3
        replay_offline(trace)
