from __future__ import annotations

from collections import Counter

import pipeline

TICKETS = ["Where is my order 17? The delivery is late.", "Your billing charged me twice for order 18."]


class TestADesk:
    def test_every_call_stands_below_the_step_that_made_it(self, record, calls):
        trace = record(pipeline.desk, TICKETS)
        assert [row.around for row in calls(trace)] == [
            "desk/classify",
            "desk/classify[1]",
            "desk/embed",
            "desk/look_up",
            "desk/look_up",
            "desk/draft",
        ]
        assert "desk/look_up/find_order" in [step.path for step in trace.steps]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        trace = record(pipeline.desk, TICKETS)
        assert Counter(row[2:] for row in calls(trace)) == provider.counted
        assert [step.path for step in trace.steps if step.call is not None and step.call.streamed] == [
            "desk/draft/chat"
        ]

    def test_it_replays_without_a_network(self, record, replay_offline):
        told = replay_offline(record(pipeline.desk, TICKETS)).output
        assert (told["intents"], told["streamed"]) == (["delivery", "billing"], True)


class TestAFault:
    def test_a_refused_call_is_asked_again_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, where="twice")
        trace = record(pipeline.desk, TICKETS)
        told = [step.call.status_code for step in trace.steps if step.path.startswith("desk/classify[1]/")]
        assert told == [429, 200]
        replay_offline(trace)

    def test_a_stream_that_is_cut_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="Known:")
        trace = record(pipeline.desk, TICKETS, raises=Exception)
        assert trace.steps[-1].status == "failed"
        replay_offline(trace)
