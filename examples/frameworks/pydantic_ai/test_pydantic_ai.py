from __future__ import annotations

from collections import Counter

import pipeline
from provider_answers import Said

TICKET = "Where is my order 17? The delivery is late."
SHOP = pipeline.Shop({17: "on its way"})


class TestAnAgent:
    def test_every_call_stands_below_the_step_that_made_it(self, record, calls):
        trace = record(pipeline.desk, TICKET, SHOP)
        assert [(row.around, row.model) for row in calls(trace)] == [
            ("desk/classify", "gpt-4o-mini"),
            ("desk/answer", "gpt-4o-mini"),
            ("desk/answer", "gpt-4o-mini"),
            ("desk/retell", "claude-haiku-4-5"),
        ]

    def test_a_tool_that_runs_in_a_thread_stands_below_the_step_that_asked(self, record):
        assert "desk/answer/look_up" in [step.path for step in record(pipeline.desk, TICKET, SHOP).steps]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        trace = record(pipeline.desk, TICKET, SHOP)
        assert Counter(row[2:] for row in calls(trace)) == provider.counted
        assert [step.call.streamed for step in trace.steps if step.call is not None] == [False, False, False, True]

    def test_it_replays_without_a_network(self, record, replay_offline):
        told = replay_offline(record(pipeline.desk, TICKET, SHOP)).output
        assert (told["intent"], told["streamed"]) == ("delivery", True)
        assert "on its way" in told["reply"]


class TestAFault:
    def test_a_refused_call_is_asked_again_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, where="Sort this ticket")
        trace = record(pipeline.desk, TICKET, SHOP)
        told = [step.call.status_code for step in trace.steps if step.path.startswith("desk/classify/")]
        assert told == [429, 200]
        replay_offline(trace)

    def test_an_answer_of_the_wrong_type_is_asked_for_again_below_the_same_step(
        self, provider, record, calls, replay_offline
    ):
        wrong = iter([Said('{"intent": "complaint"}')])
        provider.rules.append(lambda question: next(wrong, None))
        trace = record(pipeline.desk, TICKET, SHOP)
        assert [row.around for row in calls(trace)].count("desk/classify") == 2
        replay_offline(trace)

    def test_a_stream_that_is_cut_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="warmer tone")
        replay_offline(record(pipeline.desk, TICKET, SHOP, raises=Exception))
