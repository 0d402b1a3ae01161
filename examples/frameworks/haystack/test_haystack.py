from __future__ import annotations

from collections import Counter

import pipeline

TICKET = "Where is my order 17? The delivery is late."
NOTES = ["Parcels go by Acme.", "Invoices are sent monthly, by mail."]


class TestAPipeline:
    def test_calls_of_its_components_stand_below_the_step_that_runs_them(self, record, calls):
        trace = record(pipeline.desk, TICKET, NOTES)
        assert [(row.around, row.model) for row in calls(trace)] == [
            ("desk/look_up", "gpt-4o-mini"),
            ("desk/look_up", "gpt-4o-mini"),
            ("desk/index", "text-embedding-3-small"),
            ("desk/answer", "text-embedding-3-small"),
            ("desk/answer", "gpt-4o-mini"),
        ]
        assert "desk/look_up/find_order" in [step.path for step in trace.steps]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        trace = record(pipeline.desk, TICKET, NOTES)
        assert Counter(row[2:] for row in calls(trace)) == provider.counted

    def test_nothing_but_model_calls_and_tools_is_recorded(self, record):
        trace = record(pipeline.desk, TICKET, NOTES)
        assert {step.kind for step in trace.steps} == {"workflow", "step", "tool", "llm", "embedding"}

    def test_it_replays_without_a_network(self, record, replay_offline):
        told = replay_offline(record(pipeline.desk, TICKET, NOTES)).output
        assert told["streamed"]
        assert "17 left the warehouse" in told["reply"]


class TestAFault:
    def test_a_refused_call_is_asked_again_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, 500, where="Answer this ticket")
        trace = record(pipeline.desk, TICKET, NOTES)
        told = [step.call.status_code for step in trace.steps if step.path.startswith("desk/answer/chat")]
        assert told == [429, 500, 200]
        replay_offline(trace)

    def test_a_stream_that_is_cut_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="Answer this ticket")
        trace = record(pipeline.desk, TICKET, NOTES, raises=Exception)
        assert trace.steps[-1].status == "failed"
        replay_offline(trace)
