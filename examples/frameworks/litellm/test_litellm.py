from __future__ import annotations

import gc
from collections import Counter

import pipeline

import tracer
from tracer.reading import open_reading

NEWS = "The harbour in the local news again"


class TestAnArticle:
    def test_every_call_stands_below_the_step_that_made_it(self, record, calls):
        trace = record(pipeline.article, NEWS)
        assert [row.around for row in calls(trace)] == [
            "article/sort",
            "article/background",
            "article/background",
            "article/write",
        ]
        assert "article/background/search_archive" in [step.path for step in trace.steps]

    def test_models_and_tokens_are_those_that_the_provider_counted(self, provider, record, calls):
        rows = calls(record(pipeline.article, NEWS))
        assert Counter(row[2:] for row in rows) == provider.counted
        assert {row.model for row in rows} == {"gpt-4o-mini", "claude-haiku-4-5"}

    def test_it_replays_without_a_network(self, record, replay_offline):
        assert replay_offline(record(pipeline.article, NEWS)).output["desk"] == "local"


class TestAFrontPage:
    def test_async_calls_over_aiohttp_are_recorded_once_each_and_replayed(
        self, provider, record, calls, replay_offline
    ):
        trace = record(pipeline.front_page, ["The harbour", "The match", "The vote"])
        rows = calls(trace)
        assert Counter(row.around.partition("[")[0] for row in rows) == {
            "front_page/headline": 3,
            "front_page": 1,
            "front_page/lead": 1,
        }
        assert Counter(row[2:] for row in rows) == provider.counted
        replay_offline(trace)


class TestAStreamThatIsDropped:
    def test_is_recorded_whole_once_python_has_collected_it(self, provider, record, calls, replay_offline):
        recorded = record(pipeline.teaser, "The harbour")
        gc.collect()
        assert tracer.flush()
        with open_reading() as store:
            trace = store.trace(recorded.trace_id)
        assert Counter(row[2:] for row in calls(trace)) == provider.counted
        assert [step.status for step in trace.steps] == ["completed", "completed"]
        replay_offline(trace)


class TestAFault:
    def test_a_refused_call_is_retried_and_replayed_to_the_same_end(self, provider, record, replay_offline):
        provider.fail(429, 500, where="Write an article")
        trace = record(pipeline.article, NEWS)
        attempts = [step for step in trace.steps if step.path.startswith("article/write/chat")]
        assert [step.call.status_code for step in attempts] == [429, 500, 200]
        replay_offline(trace)

    def test_a_model_that_is_down_is_replaced_by_the_fallback_in_the_replay_too(
        self, provider, record, calls, replay_offline
    ):
        provider.fail(*[500] * 3, where="gpt-4o-mini")
        trace = record(pipeline.article, NEWS)
        asked = [step.call.model_asked for step in trace.steps if step.path.startswith("article/sort/")]
        assert asked == ["gpt-4o-mini"] * 3 + ["claude-haiku-4-5"]
        replay_offline(trace)

    def test_a_stream_that_is_cut_fails_in_the_replay_as_it_did(self, provider, record, replay_offline):
        provider.fail("cut", where="Write an article")
        replay_offline(record(pipeline.article, NEWS, raises=Exception))
