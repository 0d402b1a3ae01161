"""Tail sampling: which traces stay once it is known how they ended."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracer
from router import Waiting, escalate
from tests import recording
from tests.recording import Project
from tracer import Keep, current, recorder, step, workflow
from tracer.errors import ConfigError
from tracer.reading import open_reading

#: Every test here records into a project of its own.
project = recording.project

_DAY_NS = 24 * 3600 * 10**9


@step
def echo(text: str) -> str:
    return text


@workflow
def ordinary(text: str) -> str:
    return echo(text)


def kept_of(project: Project) -> list[str]:
    return [trace.summary.workflow for trace in project.traces()]


class TestAnOrdinaryTrace:
    @pytest.mark.parametrize("batches", [1, 2], ids=["in one batch", "in two"])
    def test_is_not_kept_where_none_are(self, project: Project, batches: int) -> None:
        tracer.configure(keep=0.0)

        @workflow
        def flow() -> str:
            echo("first")
            if batches == 2:
                assert tracer.flush()
            return echo("second")

        assert flow() == "second"
        assert kept_of(project) == []
        with open_reading() as store:
            assert (store.facts().steps, store.verify_totals()) == (0, [])

    def test_leaves_no_body_where_a_batch_holds_it_whole(self, project: Project) -> None:
        tracer.configure(keep=0.0)
        ordinary("nobody will read this")
        assert tracer.flush()
        with open_reading() as store:
            assert store.facts().payloads == 0

    def test_takes_with_it_what_comes_of_it_later(self, project: Project) -> None:
        tracer.configure(keep=0.0)
        may_end = threading.Event()
        late = step(name="late")(may_end.wait)
        threads: list[threading.Thread] = []

        @workflow
        def flow() -> None:
            threads.append(threading.Thread(target=late, args=(30,)))
            threads[0].start()
            echo("x")

        flow()
        assert tracer.flush()
        may_end.set()
        threads[0].join()
        assert kept_of(project) == []

    def test_stays_in_the_share_that_is_asked_for(self, project: Project) -> None:
        tracer.configure(keep=0.5)
        for n in range(200):
            ordinary(str(n))
        assert tracer.flush()
        with open_reading() as store:
            assert 60 < store.facets().total < 140

    def test_stays_until_it_has_ended(self, project: Project) -> None:
        tracer.configure(keep=0.0)

        @workflow
        def flow() -> list[str]:
            echo("x")
            assert tracer.flush()
            with open_reading() as store:
                return [row.status for row in store.traces()]

        assert flow() == ["running"]

    def test_is_decided_by_the_setting_at_its_end(self, project: Project) -> None:
        @workflow
        def flow() -> None:
            tracer.configure(keep=0.0)

        flow()
        assert kept_of(project) == []


class TestATraceThatStays:
    @pytest.mark.parametrize("batches", [1, 2], ids=["in one batch", "in two"])
    @pytest.mark.parametrize("why", ["failed", "escalated", "scored", "slow", "dear"])
    def test_is_one_that(self, project: Project, why: str, batches: int) -> None:
        limits = {"slow": {"slow_s": 0.0}, "dear": {"dear_usd": 0.01}}
        tracer.configure(keep=Keep(0.0, **limits.get(why, {})))
        tracer.configure(models=[tracer.Target("own", call=lambda _: "x", price=tracer.Price(10**6, 10**6))])

        @workflow(name=why)
        def flow() -> None:
            ordinary("inside")
            if batches == 2:
                assert tracer.flush()
            if why == "escalated":
                escalate("which one?", options=["a", "b"])
            if why == "scored":
                current().score("quality", 0.9)
            if why == "dear":
                paid()
            if why == "failed":
                raise ValueError(why)

        @step(kind="llm", model="own")
        def paid() -> None:
            current().set(usage={"input_tokens": 1_000, "output_tokens": 1_000})

        ordinary("beside it")
        with contextlib.suppress(ValueError, Waiting):
            flow()
        wanted = ["ordinary", "slow"] if why == "slow" else [why]
        assert kept_of(project) == wanted
        with open_reading() as store:
            assert store.verify_totals() == []

    def test_can_be_searched_though_others_have_gone(self, project: Project) -> None:
        from tracer.store import Filter

        tracer.configure(keep=0.0)

        @workflow
        def flow(text: str) -> None:
            echo(text)
            assert tracer.flush()
            if text == "needle":
                raise ValueError(text)

        for text in ("hay", "needle", "straw"):
            project.record(flow, text) if text == "needle" else flow(text)
        assert recorder.flush()
        with open_reading() as store:
            assert len(store.traces(Filter(text="needle"))) == 1
            assert store.traces(Filter(text="straw")) == []
            assert store.check().damaged == ()


class TestKeep:
    @given(st.floats(0, 1), st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=20))
    def test_keeps_more_of_the_same_traces_for_a_larger_share(self, share: float, ids: list[bytes]) -> None:
        def kept(of: float) -> set[str]:
            return {
                each.hex()
                for each in ids
                if Keep(of).keeps(each.hex(), is_ordinary=True, duration_ns=_DAY_NS, cost_nusd=0)
            }

        assert kept(0.0) == set()
        assert kept(share) <= kept(min(1.0, share + 0.1)) <= kept(1.0) == {each.hex() for each in ids}

    @pytest.mark.parametrize(
        "wrong",
        [1.5, "most", {"share": -1}, {"slow_s": "long"}, {"unknown": 1}],
        ids=["1.5", "text", "share", "slow", "name"],
    )
    def test_refuses_what_can_not_be(self, wrong: Any) -> None:
        with pytest.raises(ConfigError, match="keep"):
            tracer.configure(keep=wrong)
