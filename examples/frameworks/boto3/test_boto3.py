from __future__ import annotations

from collections import Counter

import botocore.exceptions
import pipeline

ASKED = "What is the price of zinc today?"


class TestAnAnalysis:
    def test_every_call_stands_below_the_step_that_made_it(self, record, calls):
        trace = record(pipeline.analyse, ASKED)
        assert [row.around for row in calls(trace)] == [
            "analyse/look_up",
            "analyse/look_up",
            "analyse/write",
            "analyse/grade",
        ]
        assert "analyse/look_up/price_of" in [step.path for step in trace.steps]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        assert Counter(row[2:] for row in calls(record(pipeline.analyse, ASKED))) == provider.counted

    def test_it_replays_without_a_network(self, record, replay_offline):
        assert "zinc" in replay_offline(record(pipeline.analyse, ASKED)).output["note"]


class TestAFault:
    def test_a_refused_call_is_retried_by_botocore_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, 500, where="Write a note")
        trace = record(pipeline.analyse, ASKED)
        codes = [step.call.status_code for step in trace.steps if step.path.startswith("analyse/write/")]
        assert codes == [429, 500, 200]
        replay_offline(trace)

    def test_a_stream_that_is_cut_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="Write a note")
        trace = record(pipeline.analyse, ASKED, raises=Exception)
        replay_offline(trace)

    def test_a_limit_that_stays_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail(429, 429, 429)
        replay_offline(record(pipeline.analyse, ASKED, raises=botocore.exceptions.ClientError))
