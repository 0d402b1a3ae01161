from __future__ import annotations

from collections import Counter

import pipeline

from replay import allow

TICKETS = ["Where is my order 17? The delivery is late.", "Your billing charged me twice for order 18."]

#: A kickoff keeps what its tasks gave in a database of CrewAI's own.
OWN_FILES = allow("answer")


class TestACrew:
    def test_calls_of_crews_that_run_at_once_stand_below_their_own_kickoff(self, record, calls):
        trace = record(pipeline.desk, TICKETS)
        assert Counter(row.around for row in calls(trace)) == {"desk/answer": 4, "desk/answer[1]": 4}
        tools = {step.path for step in trace.steps if step.kind == "tool"}
        assert tools == {"desk/answer/find_order", "desk/answer[1]/find_order"}

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        rows = calls(record(pipeline.desk, TICKETS))
        assert Counter(row[2:] for row in rows) == provider.counted

    def test_it_replays_without_a_network(self, record, replay_offline):
        told = replay_offline(record(pipeline.desk, TICKETS), OWN_FILES).output
        assert [each["intent"] for each in told] == ["delivery", "billing"]
        assert ["17" in told[0]["known"], "18" in told[1]["known"]] == [True, True]


class TestAFault:
    def test_a_refused_call_is_asked_again_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, 500, where="Sort this ticket")
        trace = record(pipeline.desk, TICKETS[:1])
        told = [step.call.status_code for step in trace.steps if step.call is not None]
        assert [status for status in told if status != 200] == [429, 500]
        assert trace.summary.status == "completed"
        replay_offline(trace, OWN_FILES)

    def test_an_agent_that_is_started_again_after_an_error_shows_both_attempts(self, provider, record, replay_offline):
        provider.fail(401, where="Answer this ticket")
        trace = record(pipeline.desk, TICKETS[:1])
        assert [step.call.status_code for step in trace.steps if step.call is not None] == [200, 200, 200, 401, 200]
        replay_offline(trace, OWN_FILES)
