from __future__ import annotations

from collections import Counter

import pipeline

from replay import replay

TICKET = "Where is my order 17? The delivery is late."


class TestATeam:
    def test_calls_of_its_agents_stand_below_the_step_that_runs_it(self, record, calls):
        trace = record(pipeline.desk, TICKET)
        assert [(row.around, row.model) for row in calls(trace)] == [
            ("desk/classify", "gpt-4o-mini"),
            ("desk/converse", "gpt-4o-mini"),
            ("desk/converse", "gpt-4o-mini"),
            ("desk/converse", "claude-sonnet-4-5"),
        ]
        assert "desk/converse/find_order" in [step.path for step in trace.steps]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        trace = record(pipeline.desk, TICKET)
        assert Counter(row[2:] for row in calls(trace)) == provider.counted
        assert [step.call.streamed for step in trace.steps if step.call is not None] == [False, False, False, True]

    def test_it_replays_without_a_network(self, record, replay_offline):
        told = replay_offline(record(pipeline.desk, TICKET)).output
        assert (told["intent"], told["streamed"]) == ("delivery", True)
        assert "17 left the warehouse" in told["clerk"]


class TestAFault:
    def test_a_refused_call_is_asked_again_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, 529, where="claude")
        trace = record(pipeline.desk, TICKET)
        told = [step.call.status_code for step in trace.steps if step.call is not None]
        assert told == [200, 200, 200, 429, 529, 200]
        replay_offline(trace)

    def test_a_stream_that_is_cut_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="claude")
        trace = record(pipeline.desk, TICKET, raises=RuntimeError)
        provider.stop()
        again = replay(trace.trace_id)
        assert (again.stopped, again.live, again.divergences) == (None, 0, ())
        # A team puts the traceback into its error's words, and a replay comes another way; the last line is the cause.
        assert str(again.error).splitlines()[-1] == trace.root.failure.message.splitlines()[-1]
        assert "peer closed connection" in str(again.error)
