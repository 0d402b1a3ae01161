from __future__ import annotations

from collections import Counter

import openai
import pipeline

from replay import live, replay

ASKED = "Where is my order 1042? The delivery is late."


class TestASupportDesk:
    def test_every_call_stands_below_the_step_that_made_it(self, record, calls):
        trace = record(pipeline.support, ASKED)
        assert [row.around for row in calls(trace)] == [
            "support/classify",
            "support/look_up",
            "support/look_up",
            "support/draft",
            "support/similar",
            "support/similar",
            "support/similar",
        ]
        assert "support/look_up/lookup_order" in [step.path for step in trace.steps]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        rows = calls(record(pipeline.support, ASKED))
        assert Counter(row[2:] for row in rows) == provider.counted

    def test_it_replays_without_a_network(self, record, replay_offline):
        assert "1042" in replay_offline(record(pipeline.support, ASKED)).output["reply"]

    def test_calls_that_run_at_once_are_all_seen_and_replayed(self, provider, record, calls, replay_offline):
        trace = record(pipeline.digest, ["The parcel is late.", "The bill is wrong.", "Thank you."])
        rows = calls(trace)
        assert [row.around for row in rows] == [
            "digest/summarise",
            "digest/summarise[1]",
            "digest/summarise[2]",
            "digest/conclude",
        ]
        assert Counter(row[2:] for row in rows) == provider.counted
        replay_offline(trace)


class TestAFault:
    def test_a_refused_call_is_retried_by_the_sdk_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, 500, where="Answer kindly")
        trace = record(pipeline.support, ASKED)
        attempts = [step for step in trace.steps if step.path.startswith("support/draft/") and step.call is not None]
        assert [step.call.status_code for step in attempts] == [429, 500, 200]
        assert trace.summary.status == "completed"
        replay_offline(trace)

    def test_a_stream_that_is_cut_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="Answer kindly")
        trace = record(pipeline.support, ASKED, raises=Exception)
        (call,) = [step for step in trace.steps if step.path.startswith("support/draft/")]
        assert call.status == "failed"
        assert trace.root.failure is not None
        replay_offline(trace)

    def test_broken_json_in_an_answer_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("bad-json", where="Sort the")
        replay_offline(record(pipeline.support, ASKED, raises=Exception))

    def test_a_key_that_is_refused_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail(401)
        replay_offline(record(pipeline.support, ASKED, raises=openai.AuthenticationError))


class TestALiveCall:
    def test_that_gives_a_tool_call_another_id_changes_nothing_for_the_next(self, provider, record):
        trace = record(pipeline.support, ASKED)
        before = len(provider.requests)
        result = replay(trace.trace_id, live("support/look_up/chat[0]"))
        assert (result.stopped, result.error, result.divergences) == (None, None, ())
        assert (result.live, len(provider.requests) - before) == (1, 1)
