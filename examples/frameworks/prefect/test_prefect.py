"""Prefect's tasks belong to their flow on whatever thread, and replay without a Prefect server."""

from __future__ import annotations

from collections import Counter

import pipeline
from openai import RateLimitError

from replay import replay, stand_in, substitute
from tracer import Target

TICKETS = ["Where is my order 1042? The delivery is late.", "My card was charged twice: a billing error."]


class TestAFlow:
    def test_is_recorded_with_its_tasks_below_it_and_nothing_of_prefects_own(self, provider, record, calls):
        trace = record(pipeline.support, TICKETS)
        below = Counter((each.path.rpartition("/")[0].partition("[")[0], each.name) for each in trace.steps)
        assert below == {
            ("", "support"): 1,
            ("support", "classify"): 2,
            ("support", "research"): 2,
            ("support", "draft"): 2,
            ("support", "send"): 1,
            ("support/classify", "chat"): 2,
            ("support/research", "chat"): 3,
            ("support/research", "lookup_order"): 1,
            ("support/draft", "chat"): 2,
        }
        assert {each.status for each in trace.steps} == {"completed"}
        assert Counter(row[2:] for row in calls(trace)) == provider.counted

    def test_replays_without_prefects_server(self, record, replay_offline):
        output = replay_offline(record(pipeline.support, TICKETS)).output
        assert output["intents"] == ["delivery", "billing"]
        assert output["sent"] == 2

    def test_that_is_async_is_recorded_and_replayed(self, provider, record, calls, replay_offline):
        trace = record(pipeline.digest, TICKETS)
        assert [row.around for row in calls(trace)] == ["digest/shorten", "digest/shorten[1]"]
        assert Counter(row[2:] for row in calls(trace)) == provider.counted
        replay_offline(trace)


class TestATaskThatPrefectTriesAgain:
    def test_is_a_step_for_each_try_and_ends_the_same_in_a_replay(self, provider, record, replay_offline):
        provider.fail(429, 500, where="Choose")
        trace = record(pipeline.support, TICKETS[:1])
        tries = [each.status for each in trace.steps if each.name == "classify"]
        assert tries == ["failed", "failed", "completed"]
        replay_offline(trace)

    def test_and_that_fails_for_good_fails_in_the_replay(self, provider, record, replay_offline):
        provider.fail(429, 429, where="Shorten")
        trace = record(pipeline.digest, TICKETS[:1], raises=RateLimitError)
        assert [each.status for each in trace.steps if each.name == "shorten"] == ["failed", "failed"]
        replay_offline(trace)


class TestAnotherModelInOneTask:
    def test_asks_for_that_and_for_what_follows_from_it_and_serves_the_rest(self, provider, record):
        trace = record(pipeline.support, TICKETS[:1])
        provider.reset()
        mine = Target("mine", call=lambda _: "billing")
        result = replay(trace.trace_id, substitute("classify", model=mine), stand_in("send", 1))
        assert (result.stopped, result.error) == (None, None)
        assert result.output["intents"] == ["billing"]
        assert [each.body["messages"][-1]["content"][:25] for each in provider.requests] == [
            "Reply to this billing tic"
        ]
