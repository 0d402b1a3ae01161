from __future__ import annotations

from collections import Counter

import pipeline
import requests

TEXTS = ["a complaint about the paint", "praise for the paint", "paint"]


class TestLetters:
    def test_every_call_stands_below_the_step_that_made_it(self, record, calls):
        rows = calls(record(pipeline.letters, TEXTS))
        assert Counter(row.around for row in rows) == Counter(
            ["letters/sort", "letters/sort[1]", "letters/sort[2]", "letters/reply"]
        )

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        assert Counter(row[2:] for row in calls(record(pipeline.letters, TEXTS))) == provider.counted

    def test_they_replay_without_a_network(self, record, replay_offline):
        trace = record(pipeline.letters, TEXTS)
        assert replay_offline(trace).output["sorts"] == ["complaint", "praise", "other"]


class TestAFault:
    def test_a_refused_call_is_retried_by_urllib3_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, 500, where="Write one reply")
        trace = record(pipeline.letters, TEXTS)
        codes = [step.call.status_code for step in trace.steps if step.path.startswith("letters/reply/")]
        assert codes == [429, 500, 200]
        replay_offline(trace)

    def test_a_stream_that_is_cut_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="Write one reply")
        trace = record(pipeline.letters, TEXTS, raises=requests.exceptions.ChunkedEncodingError)
        replay_offline(trace)
