from __future__ import annotations

import uuid
from collections import Counter

import pipeline

TOPIC = "the sales of this year"


def thread():
    return str(uuid.uuid4())


class TestAReport:
    def test_every_call_stands_below_the_node_that_made_it(self, record, calls):
        trace = record(pipeline.report, TOPIC, thread())
        rows = calls(trace)
        assert Counter(row.around.partition("[")[0] for row in rows) == {
            "report/sort": 1,
            "report/section": 3,
            "report/research": 2,
            "report/draft": 1,
        }
        assert len({row.around for row in rows}) == 7
        assert "report/use_tools/figures" in [step.path for step in trace.steps]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        assert Counter(row[2:] for row in calls(record(pipeline.report, TOPIC, thread()))) == provider.counted

    def test_it_replays_without_a_network(self, record, replay_offline):
        assert replay_offline(record(pipeline.report, TOPIC, thread())).output["kind"] == "sales"

    def test_an_async_graph_is_seen_and_replayed(self, provider, record, calls, replay_offline):
        trace = record(pipeline.brief, TOPIC)
        assert [row.around for row in calls(trace)] == ["brief/shorten"]
        assert Counter(row[2:] for row in calls(trace)) == provider.counted
        replay_offline(trace)


class TestAFault:
    def test_a_refused_branch_is_retried_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, where="the present of")
        trace = record(pipeline.report, TOPIC, thread())
        codes = Counter(step.call.status_code for step in trace.steps if step.call is not None)
        assert codes == {200: 7, 429: 1}
        replay_offline(trace)

    def test_a_stream_that_is_cut_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="Summarise")
        replay_offline(record(pipeline.report, TOPIC, thread(), raises=Exception))
