from __future__ import annotations

from collections import Counter

import dspy
import pipeline

from replay import replay

TICKETS = ["Where is my order 17? The delivery is late.", "Your billing charged me twice for order 18."]


class TestAProgram:
    def test_calls_of_its_own_threads_stand_below_the_step_that_started_them(self, record, calls):
        trace = record(pipeline.triage, TICKETS)
        assert [row.around for row in calls(trace)] == [
            "triage/classify",
            "triage/classify",
            "triage/look_up",
            "triage/draft",
        ]
        assert "triage/look_up/find_order" in [step.path for step in trace.steps]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        trace = record(pipeline.triage, TICKETS)
        assert Counter(row[2:] for row in calls(trace)) == provider.counted
        assert [step.call.streamed for step in trace.steps if step.path == "triage/draft/chat"] == [True]

    def test_it_replays_without_a_network(self, record, replay_offline):
        told = replay_offline(record(pipeline.triage, TICKETS)).output
        assert told["intents"] == ["delivery", "billing"]
        assert told["known"] == "17 left the warehouse on Monday"
        assert told["streamed"]

    def test_a_second_run_is_seen_like_the_first(self, record, calls):
        assert len(calls(record(pipeline.triage, TICKETS))) == len(calls(record(pipeline.triage, TICKETS)))


class TestTheCache:
    def test_is_asked_before_the_record_and_its_answers_are_no_calls(self, record, calls, monkeypatch, tmp_path):
        monkeypatch.setattr(pipeline, "CACHED", True)
        dspy.configure_cache(disk_cache_dir=str(tmp_path / "cache"))
        first, second = record(pipeline.triage, TICKETS), record(pipeline.triage, TICKETS)
        assert (len(calls(first)), len(calls(second))) == (4, 0)
        again = replay(first.trace_id, verify=True)
        assert [each.kind for each in again.divergences] == ["never-reached"] * 4


class TestAFault:
    def test_a_refused_call_is_asked_again_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, where="twice")
        trace = record(pipeline.triage, TICKETS)
        sorting = [step.call.status_code for step in trace.steps if step.path.startswith("triage/classify/chat")]
        assert sorted(sorting) == [200, 200, 429]
        replay_offline(trace)

    def test_an_answer_that_is_no_json_is_asked_for_again_and_replayed_to_the_same_end(
        self, provider, record, replay_offline
    ):
        provider.fail("bad-json", where="twice")
        replay_offline(record(pipeline.triage, TICKETS, raises=Exception))

    def test_a_stream_that_is_cut_ends_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="known")
        replay_offline(record(pipeline.triage, TICKETS, raises=Exception))
