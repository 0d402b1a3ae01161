from __future__ import annotations

from collections import Counter

import pipeline
from aiohttp import ClientResponseError

TEXTS = ["un roman french et fin", "ein german Roman", "novela"]


class TestReviews:
    def test_every_call_stands_below_the_step_that_made_it(self, record, calls):
        assert [row.around for row in calls(record(pipeline.reviews, TEXTS))] == [
            "reviews/language",
            "reviews/language[1]",
            "reviews/language[2]",
            "reviews/translate",
            "reviews/embed",
        ]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        assert Counter(row[2:] for row in calls(record(pipeline.reviews, TEXTS))) == provider.counted

    def test_they_replay_without_a_network(self, record, replay_offline):
        trace = record(pipeline.reviews, TEXTS)
        assert replay_offline(trace).output["languages"] == ["french", "german", "other"]


class TestAFault:
    def test_a_refused_call_is_asked_again_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, where="ein german")
        trace = record(pipeline.reviews, TEXTS)
        codes = [step.call.status_code for step in trace.steps if step.path.startswith("reviews/language[1]/")]
        assert codes == [429, 200]
        replay_offline(trace)

    def test_a_stream_that_is_cut_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="Translate into")
        trace = record(pipeline.reviews, TEXTS, raises=Exception)
        assert "ClientPayloadError" in trace.root.failure.type
        replay_offline(trace)

    def test_an_error_that_the_pipeline_raises_is_raised_in_the_replay(self, provider, record, replay_offline):
        provider.fail(500, where="Translate into")
        replay_offline(record(pipeline.reviews, TEXTS, raises=ClientResponseError))
