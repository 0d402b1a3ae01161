"""MLflow's tracing and playhead see the same calls, each once, and a logged model is replayed without a network."""

from __future__ import annotations

from collections import Counter

import mlflow
import pipeline
import pytest
from mlflow.entities import SpanType

from replay import allow

TICKETS = ["Where is my order 1042? The delivery is late.", "My card was charged twice: a billing error."]


@pytest.fixture(scope="module")
def desk():
    return pipeline.log()


def seen_by_mlflow():
    """The model calls of the latest trace, by name."""
    found = mlflow.get_trace(mlflow.get_last_active_trace_id())
    return [span for span in found.data.spans if span.span_type == SpanType.CHAT_MODEL]


class TestALoggedModel:
    def test_is_recorded_with_its_steps_below_the_caller(self, provider, record, calls, desk):
        trace = record(pipeline.support, desk, TICKETS)
        below = Counter((each.path.rpartition("/")[0].partition("[")[0], each.name) for each in trace.steps)
        assert below == {
            ("", "support"): 1,
            ("support", "classify"): 2,
            ("support", "research"): 2,
            ("support", "draft"): 2,
            ("support/classify", "chat"): 2,
            ("support/research", "chat"): 3,
            ("support/research", "lookup_order"): 1,
            ("support/draft", "chat"): 2,
        }
        assert Counter(row[2:] for row in calls(trace)) == provider.counted

    def test_is_seen_by_mlflow_as_well_and_no_call_twice_by_either(self, provider, record, calls, desk):
        trace = record(pipeline.support, desk, TICKETS[:1])
        assert len(provider.requests) == 4
        assert len(calls(trace)) == 4
        assert len(seen_by_mlflow()) == 4

    def test_replays_without_a_network(self, record, replay_offline, desk):
        output = replay_offline(record(pipeline.support, desk, TICKETS), allow("support")).output
        assert "1042" in output[0]


class TestACallThatIsRefused:
    def test_is_tried_again_by_the_sdk_and_replayed_to_the_same_end(
        self, provider, record, calls, replay_offline, desk
    ):
        provider.fail(429, where="Sort the")
        trace = record(pipeline.support, desk, TICKETS[:1])
        tried = [each.call.status_code for each in trace.steps if each.path.startswith("support/classify/")]
        assert tried == [429, 200]
        assert len(seen_by_mlflow()) == 4
        replay_offline(trace, allow("support"))
