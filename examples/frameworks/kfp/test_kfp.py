"""Kubeflow's components, each in a process of its own, belong to the step that ran the pipeline."""

from __future__ import annotations

from collections import Counter

import pipeline

from replay import live, replay

TICKET = "Where is my order 1042? The delivery is late."


def tree(trace):
    names = {each.step_id: each.name for each in trace.steps}
    return Counter((names.get(each.parent_id), each.name) for each in trace.steps)


class TestComponentsInTheirOwnProcesses:
    def test_are_below_the_step_that_ran_the_pipeline(self, provider, record, calls):
        trace = record(pipeline.support, TICKET)
        assert tree(trace) == {
            (None, "support"): 1,
            ("support", "run"): 1,
            ("run", "classify"): 1,
            ("classify", "chat"): 1,
            ("run", "research"): 1,
            ("research", "chat"): 2,
            ("research", "lookup_order"): 1,
            ("run", "draft"): 1,
            ("draft", "chat"): 1,
            ("draft", "send"): 1,
        }
        assert {each.status for each in trace.steps} == {"completed"}
        assert Counter(row[2:] for row in calls(trace)) == provider.counted

    def test_are_replayed_without_a_process_or_a_network(self, record, replay_offline):
        replay_offline(record(pipeline.support, TICKET))

    def test_are_not_started_by_a_replay_even_if_it_is_told_to(self, provider, record):
        trace = record(pipeline.support, TICKET)
        arrived = len(provider.requests)
        result = replay(trace.trace_id, live("run"))
        assert "nothing was started" in str(result.stopped)
        assert len(provider.requests) == arrived


class TestAFault:
    def test_that_the_sdk_mends_is_recorded_and_replayed(self, provider, record, replay_offline):
        provider.fail(429, where="Choose")
        trace = record(pipeline.support, TICKET)
        tried = [each.call.status_code for each in trace.steps if each.call is not None][:2]
        assert tried == [429, 200]
        replay_offline(trace)

    def test_that_ends_a_component_ends_the_pipeline_in_the_replay_as_well(self, provider, record, replay_offline):
        provider.fail(401, where="Choose")
        trace = record(pipeline.support, TICKET, raises=RuntimeError)
        assert {each.name: each.status for each in trace.steps}["classify"] == "failed"
        replay_offline(trace)


class TestAComponentByItself:
    def test_is_a_trace_of_its_own_and_is_replayed_as_a_plain_function(self, record, replay_offline):
        def alone():
            pipeline.started()
            pipeline.research(ticket=TICKET)

        trace = record(alone)
        assert trace.root.name == "research"
        assert "left our house" in replay_offline(trace).output
