"""Streams through a Router: they pass at once, and where one breaks another goes on."""

from __future__ import annotations

import asyncio
import gc

import pytest

from router import AllTargetsFailed, OutputRejected, Restarted, Retry, Router, Target, deadline, time_left
from tests.router.test_router import Circuit, decision, tries
from tracer import current, span, workflow

ONE, TWO, THREE = Target("one"), Target("two"), Target("three")


class Source:
    """A stream that breaks where it is told to, and remembers that it was closed."""

    def __init__(self, name, *, breaks_after=None, log=None):
        self.name = name
        self.breaks_after = breaks_after
        self.closed = False
        self.log = [] if log is None else log
        self.given = 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.given == self.breaks_after:
            raise ConnectionError(f"{self.name} was cut")
        if self.given == 3:
            raise StopIteration
        self.given += 1
        self.log.append(f"{self.name} gives {self.given}")
        return f"{self.name}{self.given}"

    def close(self):
        self.closed = True

    def __aiter__(self):
        return self

    async def __anext__(self):
        await asyncio.sleep(0)
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self):
        self.closed = True


class Sources:
    """Makes one for each attempt; ``breaks`` says for each target after how many chunks its stream breaks."""

    def __init__(self, **breaks):
        self.breaks = breaks
        self.made = []
        self.said = []
        self.log = []

    def __call__(self, attempt):
        self.said.append(attempt.said)
        self.made.append(Source(attempt.name, breaks_after=self.breaks.get(attempt.name), log=self.log))
        return self.made[-1]


def read(router, sources):
    return list(router.stream(sources))


def read_async(router, sources):
    async def all_of_it():
        return [chunk async for chunk in router.astream(sources)]

    return asyncio.run(all_of_it())


both = pytest.mark.parametrize("read", [read, read_async], ids=["plain", "async"])


def cut_at(*targets, **more):
    return Router(targets, on=ConnectionError, **more)


@both
class TestABreak:
    def test_after_the_first_chunk_is_raised_as_it_is(self, read):
        sources = Sources(one=2)
        with pytest.raises(ConnectionError, match="one was cut"):
            read(cut_at(ONE, TWO), sources)
        assert [source.closed for source in sources.made] == [True]

    def test_before_the_first_chunk_leads_to_the_next_unseen(self, read):
        assert read(cut_at(ONE, TWO), Sources(one=0)) == ["two1", "two2", "two3"]
        assert read(cut_at(ONE, TWO, on_break="restart"), Sources(one=0)) == ["two1", "two2", "two3"]

    def test_is_marked_where_it_begins_anew(self, read):
        chunks = read(cut_at(ONE, TWO, THREE, on_break="restart"), Sources(one=1, two=2))
        assert chunks == ["one1", Restarted("two"), "two1", "two2", Restarted("three"), "three1", "three2", "three3"]

    def test_is_marked_once_where_the_next_one_breaks_before_its_first_chunk(self, read):
        chunks = read(cut_at(ONE, TWO, THREE, on_break="restart"), Sources(one=1, two=0))
        assert chunks == ["one1", Restarted("three"), "three1", "three2", "three3"]

    def test_is_continued_by_one_that_is_told_what_was_said(self, read):
        sources = Sources(one=1, two=2)
        chunks = read(cut_at(ONE, TWO, THREE, on_break="continue"), sources)
        assert chunks == ["one1", "two1", "two2", "three1", "three2", "three3"]
        assert sources.said == [(), ("one1",), ("one1", "two1", "two2")]

    def test_of_every_stream_is_all_targets_failed(self, read):
        with pytest.raises(AllTargetsFailed):
            read(cut_at(ONE, TWO, on_break="restart"), Sources(one=1, two=1))

    def test_that_is_not_named_is_raised_even_where_it_could_be_restarted(self, read):
        with pytest.raises(ConnectionError):
            read(Router([ONE, TWO], on=TimeoutError, on_break="restart"), Sources(one=1))

    def test_is_retried_at_the_same_target_where_that_is_said(self, read):
        router = Router([ONE], retry=Retry(on=ConnectionError, attempts=2, base_s=0.0), on_break="restart")
        with pytest.raises(AllTargetsFailed):
            read(router, sources := Sources(one=1))
        assert len(sources.made) == 2


@both
class TestGibberish:
    def test_at_the_end_is_refused_or_begun_anew(self, read):
        def reject(chunks):
            return "gibberish" if "one3" in chunks else None

        router = Router([ONE, TWO], on=(), reject=reject, on_break="restart")
        assert read(router, Sources())[3:] == [Restarted("two"), "two1", "two2", "two3"]
        with pytest.raises(OutputRejected, match="gibberish"):
            read(Router([ONE, TWO], on=(), reject=reject), Sources())

    def test_is_judged_of_the_whole_where_it_was_continued(self, read):
        judged = []
        read(cut_at(ONE, TWO, on_break="continue", reject=judged.append), Sources(one=1))
        assert judged == [("one1", "two1", "two2", "two3")]


class TestReading:
    def test_a_chunk_passes_before_the_next_is_asked_for(self):
        sources = Sources()
        stream = cut_at(ONE).stream(sources)
        assert (next(stream), sources.log) == ("one1", ["one gives 1"])
        assert (next(stream), sources.log) == ("one2", ["one gives 1", "one gives 2"])

    def test_a_reader_that_stops_early_lets_go_of_the_connection_and_the_permit(self):
        sources, one = Sources(), Circuit("one")
        stream = cut_at(ONE, breakers={"one": one}).stream(sources)
        next(stream)
        stream.close()
        assert (sources.made[0].closed, one.told) == (True, ["abandoned"])

    def test_a_reader_that_stops_early_does_so_in_a_coroutine_too(self):
        sources, one = Sources(), Circuit("one")

        async def first():
            stream = cut_at(ONE, breakers={"one": one}).astream(sources)
            async for _ in stream:
                break
            await stream.aclose()

        asyncio.run(first())
        assert (sources.made[0].closed, one.told) == (True, ["abandoned"])

    def test_a_reader_that_is_cancelled_gives_the_permit_back(self):
        one = Circuit("one")

        async def main():
            waiting = asyncio.Event()

            async def call(attempt):
                yield "a"
                waiting.set()
                await asyncio.Event().wait()

            async def reader():
                async for _ in cut_at(ONE, breakers={"one": one}).astream(call):
                    pass

            task = asyncio.create_task(reader())
            await waiting.wait()
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())
        assert one.told == ["abandoned"]

    def test_a_stream_that_is_dropped_leaves_nothing_open(self):
        sources = Sources()
        stream = cut_at(ONE).stream(sources)
        next(stream)
        del stream
        gc.collect()
        assert sources.made[0].closed

    def test_a_rule_may_answer_with_one_text(self):
        router = Router([ONE, lambda: "a template"], on=ConnectionError)
        assert read(router, Sources(one=0)) == ["a template"]
        assert read_async(router, Sources(one=0)) == ["a template"]

    def test_a_coroutine_function_may_give_the_stream(self):
        async def call(attempt):
            await asyncio.sleep(0)
            return Source(attempt.name)

        assert read_async(Router([ONE], on=()), call) == ["one1", "one2", "one3"]

    def test_the_generator_returns_what_answered(self):
        stream = cut_at(ONE, TWO).stream(Sources(one=0))
        for _ in range(3):
            next(stream)
        with pytest.raises(StopIteration) as stop:
            next(stream)
        assert (stop.value.value.target, stop.value.value.value) == ("two", ("two1", "two2", "two3"))

    def test_a_timeout_of_asyncio_works_inside_it(self):
        async def call(attempt):
            if attempt.name == "one":
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()
            yield attempt.name

        assert read_async(Router([ONE, TWO], on=TimeoutError), call) == ["two"]


class TestTheRecord:
    def test_the_reader_is_never_inside_the_routers_steps(self, recorded):
        def chunks(attempt):
            for number in range(2):
                inside.append((current().path, time_left() is not None))
                yield number

        @workflow
        def answer():
            for _ in cut_at(ONE, deadline_s=60).stream(chunks):
                outside.append((current().path, time_left()))
                with span("shown"):
                    pass

        inside, outside = [], []
        answer()
        assert inside == [("answer/fallback/one", True)] * 2
        assert outside == [("answer", None)] * 2
        trace = recorded()
        assert [each.path for each in trace.steps if each.name == "shown"] == ["answer/shown", "answer/shown[1]"]
        assert {each.status for each in trace.steps} == {"completed"}

    def test_coroutines_neither(self, recorded):
        async def chunks(attempt):
            for number in range(2):
                await asyncio.sleep(0)
                inside.append(current().path)
                yield number

        @workflow
        async def answer():
            async for _ in cut_at(ONE).astream(chunks):
                outside.append(current().path)
                with deadline(1):
                    await asyncio.sleep(0)

        inside, outside = [], []
        asyncio.run(answer())
        assert inside == ["answer/fallback/one"] * 2
        assert outside == ["answer"] * 2
        assert {each.status for each in recorded().steps} == {"completed"}

    def test_says_where_it_broke_and_who_went_on(self, recorded):
        @workflow
        def answer():
            return [str(chunk) for chunk in cut_at(ONE, TWO, on_break="restart").stream(Sources(one=1))]

        answer()
        trace = recorded()
        assert [(each["target"], each["verdict"]) for each in tries(trace)] == [("one", "next"), ("two", "done")]
        assert decision(trace).chosen == "two"
        assert decision(trace).fell_back

    def test_a_reader_that_stops_early_is_seen(self, recorded):
        @workflow
        def answer():
            stream = cut_at(ONE).stream(Sources())
            next(stream)
            stream.close()

        answer()
        trace = recorded()
        assert decision(trace).reason == "its reader stopped before the end"
        assert "verdict" not in tries(trace)[0]
