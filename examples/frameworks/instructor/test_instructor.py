from __future__ import annotations

from collections import Counter

import pipeline

TICKETS = ["Where is my order 17? The delivery is late.", "Your billing charged me twice for order 18."]


class TestADesk:
    def test_every_call_stands_below_the_step_that_made_it(self, record, calls):
        rows = calls(record(pipeline.desk, TICKETS))
        assert sorted((row.around, row.model) for row in rows) == [
            ("desk/draft", "gpt-4o-mini"),
            ("desk/sort", "gpt-4o-mini"),
            ("desk/sort[1]", "gpt-4o-mini"),
            ("desk/summarize", "claude-haiku-4-5"),
            ("desk/summarize[1]", "claude-haiku-4-5"),
        ]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        trace = record(pipeline.desk, TICKETS)
        assert Counter(row[2:] for row in calls(trace)) == provider.counted
        streamed = [step.path for step in trace.steps if step.call is not None and step.call.streamed]
        assert streamed == ["desk/draft/chat"]

    def test_it_replays_without_a_network(self, record, replay_offline):
        assert replay_offline(record(pipeline.desk, TICKETS)).output["intents"] == ["delivery", "billing"]


class TestAFault:
    def test_an_answer_that_does_not_validate_is_asked_for_again_below_the_same_step(
        self, provider, record, calls, replay_offline
    ):
        provider.fail("bad-json", where="gpt-4o-mini")
        trace = record(pipeline.desk, TICKETS)
        assert [row.around for row in calls(trace)].count("desk/sort") == 2
        assert replay_offline(trace).output["intents"][0] in {"billing", "delivery", "other"}

    def test_a_refused_call_is_asked_again_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, where="claude")
        trace = record(pipeline.desk, TICKETS)
        told = [
            step.call.status_code
            for step in trace.steps
            if step.path.startswith("desk/summarize") and step.call is not None
        ]
        assert sorted(told) == [200, 200, 429]
        replay_offline(trace)
