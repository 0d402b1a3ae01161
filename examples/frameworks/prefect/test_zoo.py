"""Flow code sees in a replay, without a Prefect server, what it sees in Prefect."""

from __future__ import annotations

import zoo

from replay import replay


class TestAFlowInAReplay:
    def test_sees_what_it_sees_in_prefect(self, record, replay_offline):
        output = replay_offline(record(zoo.zoo)).output
        assert output["submitted"] == [3, 30]
        assert output["mapped"] == [2, 4, 6]
        assert output["states"] == [("Completed", True), ("Failed", False)]
        assert output["tried"] == [3, 3, 1]
        assert output["inner"] == 5

    def test_sees_it_in_async_code_as_well(self, record, replay_offline):
        assert replay_offline(record(zoo.aquarium)).output["fish"] == [2, 3]

    def test_that_asks_prefects_api_itself_is_stopped_before_it_does(self, record):
        trace = record(zoo.signpost, "here")
        assert [each.name for each in trace.steps if each.kind == "http"] == []
        result = replay(trace.trace_id)
        assert "signpost/GET 127.0.0.1: new" in str(result.stopped)
