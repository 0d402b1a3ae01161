"""A long document, chunk by chunk: what is called, what is recorded, what a replay runs again."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel

from replay import edit, replay
from router import ChunkFailed, Part, TooLongToReduce, map_reduce, map_reduce_async, split
from tests.recording import path_of, project  # noqa: F401 - a fixture
from tests.tracer.test_shapes import LOOPS
from tracer import recorder, step, workflow

WORDS = ["apple", "table", "house", "river", "money", "paper", "music", "water"]
DOCUMENT = "\n\n".join(f"{number}. {word.title()}. " + f"{word} " * 20 for number, word in enumerate(WORDS, 1))

#: With the fourth clause changed.
EDITED = DOCUMENT.replace("river", "ocean").replace("River", "Ocean")


def first_word(chunk):
    return chunk.text.split()[1].strip(".").lower()


def joined(parts):
    return " ".join(part.text for part in parts)


async def later(function, *args):
    await anyio.lowlevel.checkpoint()
    return function(*args)


def both(document=DOCUMENT, *, map=first_word, reduce=joined, **how):  # noqa: A002
    """The same by either driver."""

    async def map_later(chunk):
        return await later(map, chunk)

    async def reduce_later(parts):
        return await later(reduce, parts)

    async def run():
        return await map_reduce_async(document, map=map_later, reduce=reduce_later, **how)

    done = map_reduce(document, map=map, reduce=reduce, **how)
    for loop in LOOPS:
        assert anyio.run(run, backend=loop) == done
    return done


class TestADocument:
    def test_is_mapped_by_chunk_and_reduced_at_once_where_all_fits(self):
        done = both(window=40)
        assert done.value == " ".join(WORDS)
        assert done.levels == 1
        assert [part.value for part in done.parts] == WORDS
        assert [DOCUMENT[cite.start : cite.end].split()[1] for cite in done.cites] == [f"{w.title()}." for w in WORDS]
        assert done.cites[2].path == ("3. House",)

    def test_is_reduced_level_by_level_until_it_fits(self):
        asked = []

        def shorter(parts):
            asked.append([part.marker for part in parts])
            return " ".join(part.text for part in parts)[:20]

        done = map_reduce(DOCUMENT, map=lambda chunk: first_word(chunk) * 4, reduce=shorter, window=30, parallel=1)
        assert done.levels > 1
        assert len(asked[-1]) > 1
        assert asked[-1][0].startswith("[0, 1")
        assert len(done.cites) == len(done.parts)

    def test_may_be_given_in_chunks(self):
        chunks = split(DOCUMENT, max_tokens=40)
        assert both(chunks[2:4], window=40).value == "house river"

    def test_of_one_chunk_is_reduced_too(self):
        done = both("1. Alone.", window=40, reduce=lambda parts: f"only {parts[0].text}")
        assert (done.value, done.levels) == ("only alone", 1)

    def test_may_come_to_values_that_are_no_texts(self):
        done = both(
            split(DOCUMENT, max_tokens=40),
            window=400,
            map=lambda chunk: {"word": first_word(chunk)},
            reduce=lambda parts: [part.value for part in parts],
        )
        assert done.value == [{"word": word} for word in WORDS]
        assert done.parts[0].text == '{"word": "apple"}'

    def test_shows_what_an_answer_cites(self):
        done = both(window=40)
        assert [cite.number for cite in done.cited([1, 99])] == [1]

    @pytest.mark.parametrize("document", ["", " \n\n ", ()], ids=["empty", "blank", "no chunks"])
    def test_without_a_word_is_refused(self, document):
        with pytest.raises(ValueError, match="not a word in this document"):
            both(document, window=40)

    @pytest.mark.parametrize(
        ("how", "problem"), [({"parallel": 0}, "not 0"), ({"on_failure": "ignore"}, "'raise' or 'skip', not 'ignore'")]
    )
    def test_is_worked_on_in_no_senseless_way(self, how, problem):
        with pytest.raises(ValueError, match=problem):
            both(window=40, **how)

    def test_whose_parts_never_fit_is_given_up(self):
        with pytest.raises(TooLongToReduce, match="a window of 40") as raised:
            both(window=40, map=lambda chunk: chunk.text * 2)
        assert len(raised.value.tokens) == len(WORDS)

    def test_of_one_part_too_long_is_given_up_too(self):
        with pytest.raises(TooLongToReduce):
            both("1. Alone.", window=40, map=lambda chunk: "word " * 50)


class TestInParallel:
    def test_as_many_chunks_are_worked_on_at_once_as_allowed_and_no_more(self):
        together = threading.Barrier(3)
        at_once, most = 0, 0
        lock = threading.Lock()

        def mapped(chunk):
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            if chunk.number < 6:
                together.wait(timeout=30)  # three have to be here before one goes on
            with lock:
                at_once -= 1
            return first_word(chunk)

        map_reduce(DOCUMENT, map=mapped, reduce=joined, window=40, parallel=3)
        assert most == 3

    def test_the_same_holds_for_coroutines(self):
        async def run():
            at_once, most = 0, 0
            three = asyncio.Event()

            async def mapped(chunk):
                nonlocal at_once, most
                at_once += 1
                most = max(most, at_once)
                if at_once == 3:
                    three.set()
                await three.wait()
                at_once -= 1
                return first_word(chunk)

            async def reduced(parts):
                return joined(parts)

            done = await map_reduce_async(DOCUMENT, map=mapped, reduce=reduced, window=40, parallel=3)
            return most, done.value

        assert asyncio.run(run()) == (3, " ".join(WORDS))


def fails_at(*numbers):
    def mapped(chunk):
        if chunk.number in numbers:
            raise TimeoutError(f"chunk {chunk.number} was slow")
        return first_word(chunk)

    return mapped


class TestAChunkThatFails:
    def test_fails_the_document_and_is_named(self):
        with pytest.raises(
            ChunkFailed, match=r"chunk 3 \(characters \d+ to \d+\): TimeoutError: chunk 3 was slow"
        ) as raised:
            both(window=40, map=fails_at(3))
        assert isinstance(raised.value.__cause__, TimeoutError)
        assert DOCUMENT[raised.value.start : raised.value.end].startswith("4. River.")

    def test_keeps_those_that_have_not_begun_from_running(self):
        ran = []

        def mapped(chunk):
            ran.append(chunk.number)
            return fails_at(1)(chunk)

        with pytest.raises(ChunkFailed):
            map_reduce(DOCUMENT, map=mapped, reduce=joined, window=40, parallel=1)
        assert ran == [0, 1]

    def test_is_left_out_and_named_where_that_is_wanted(self):
        done = both(window=40, map=fails_at(1, 5), on_failure="skip")
        assert done.value == " ".join(word for number, word in enumerate(WORDS) if number not in {1, 5})
        assert [(each.cite.number, each.error) for each in done.skipped] == [
            (1, "TimeoutError: chunk 1 was slow"),
            (5, "TimeoutError: chunk 5 was slow"),
        ]
        assert 1 not in [cite.number for cite in done.cites]

    def test_fails_the_document_where_every_one_does(self):
        with pytest.raises(ChunkFailed, match="chunk 0"):
            both(window=40, map=fails_at(*range(8)), on_failure="skip")

    def test_is_another_thing_than_a_reduction_that_fails(self):
        def broken(parts):
            raise KeyError("reduce")

        with pytest.raises(KeyError):
            both(window=40, reduce=broken, on_failure="skip")


class Called:
    """What was really asked. No plain value, which would be part of the fingerprint of the code that names it."""

    def __init__(self):
        self.first_words = []


CALLED = Called()


@step(kind="tool")
def load() -> str:
    return DOCUMENT


@step(kind="llm", model="summariser")
def said(prompt: str) -> str:
    CALLED.first_words.append(prompt.split(maxsplit=1)[0])
    return prompt.split()[1]


@workflow
def summarise(parallel: int = 4, window: int = 40) -> str:
    return map_reduce(
        load(),
        map=lambda chunk: said(chunk.text),
        reduce=lambda parts: said(f"sum {'+'.join(part.text for part in parts)}"),
        window=window,
        parallel=parallel,
    ).value


@workflow
async def summarise_async() -> str:
    async def mapped(chunk):
        return await later(said, chunk.text)

    async def reduced(parts):
        return await later(said, f"sum {'+'.join(part.text for part in parts)}")

    return (await map_reduce_async(load(), map=mapped, reduce=reduced, window=40)).value


def run_async():
    return asyncio.run(summarise_async())


@pytest.fixture(autouse=True)
def _nothing_called():
    CALLED.first_words.clear()


class TestTheRecord:
    def test_has_every_chunk_and_every_reduction_as_a_step(self, project):  # noqa: F811
        trace = project.record(summarise)
        paths = path_of(trace)
        assert paths[:3] == ["summarise", "summarise/load", "summarise/map_reduce"]
        mapped = [step for step in trace.steps if step.name == "map"]
        assert sorted(step.tags["key"] for step in mapped) == list(range(8))
        (reduced,) = [step for step in trace.steps if step.name == "reduce"]
        assert reduced.tags["key"] == "0-7"
        assert sum(step.kind == "llm" for step in trace.steps) == 9
        by_key = {step.tags["key"]: project.value(step, "input")["chunk"] for step in mapped}
        assert [by_key[number].text.split()[0] for number in range(8)] == [f"{number}." for number in range(1, 9)]
        assert project.value(next(step for step in trace.steps if step.name == "map_reduce")).levels == 1

    def test_names_the_chunk_that_failed(self, project):  # noqa: F811
        @workflow
        def failing():
            return map_reduce(DOCUMENT, map=fails_at(2), reduce=joined, window=40, on_failure="skip").value

        trace = project.record(failing)
        (failed,) = [step for step in trace.steps if step.status == "failed"]
        assert (failed.name, failed.tags["key"]) == ("map", 2)


class TestAReplay:
    def edited(self, fn):
        """Replays with the fourth clause changed."""
        CALLED.first_words.clear()
        result = replay("latest", edit("load", EDITED), fn=fn, on_divergence="live")
        assert result.output == "Apple.+Table.+House.+Ocean.+Money.+Paper.+Music.+Water."
        recorder.flush()
        return sorted(CALLED.first_words)

    def test_serves_every_chunk(self, project):  # noqa: F811
        project.record(summarise)
        CALLED.first_words.clear()
        again = replay("latest", fn=summarise)
        assert (again.output, again.divergences, CALLED.first_words) == (
            "Apple.+Table.+House.+River.+Money.+Paper.+Music.+Water.",
            (),
            [],
        )

    def test_with_one_changed_chunk_runs_that_chunk_and_what_is_reduced_from_it(self, project):  # noqa: F811
        project.record(summarise)
        assert self.edited(summarise) == ["4.", "sum"]

    def test_of_coroutines_does_the_same(self, project):  # noqa: F811
        project.record(run_async)
        assert self.edited(summarise_async) == ["4.", "sum"]

    @pytest.mark.parametrize(
        ("fn", "recording"), [(summarise, summarise), (summarise_async, run_async)], ids=["sync", "async"]
    )
    def test_that_may_not_go_live_stops_at_the_changed_chunk(self, project, fn, recording):  # noqa: F811
        project.record(recording)
        CALLED.first_words.clear()
        stopped = replay("latest", edit("load", EDITED), fn=fn)
        assert stopped.stopped
        (divergence,) = stopped.divergences
        assert (divergence.kind, divergence.path.rsplit("/", 1)[-1]) == ("input-changed", "said")
        assert CALLED.first_words == []

    def test_runs_of_a_hierarchy_only_the_branch_that_is_reached(self, project):  # noqa: F811
        @workflow
        def deep():
            return map_reduce(
                load(),
                map=lambda chunk: said(chunk.text) * 4,
                reduce=lambda parts: said("sum " + "".join(part.text[0] for part in parts)),
                window=30,
            ).value

        trace = project.record(deep)
        reductions = [step for step in trace.steps if step.name == "reduce"]
        assert len(reductions) > 2
        CALLED.first_words.clear()
        replay("latest", edit("load", EDITED), fn=deep, on_divergence="live")
        recorder.flush()
        again = [step for step in project.trace().steps if step.name == "reduce" and step.origin == "live"]
        # the group that the fourth clause is in, and what is reduced from all groups
        reach = [[int(number) for number in step.tags["key"].split("-")] for step in again]
        assert sorted(reach) == sorted(each for each in reach if each[0] <= 3 <= each[1])
        assert len(again) == 2 < len(reductions)
        assert [each for each in CALLED.first_words if each != "sum"] == ["4."]


@dataclass(frozen=True)
class Finding:
    text: str
    pages: tuple[int, ...]


class TestAPart:
    def test_that_is_a_dataclass_reads_as_its_fields(self):
        part = Part([Finding("late", (1, 2))], ())
        assert json.loads(part.text) == [{"text": "late", "pages": [1, 2]}]

    def test_that_is_a_pydantic_model_reads_as_its_fields(self):
        class Answer(BaseModel):
            risk: str

        assert json.loads(Part({"answer": Answer(risk="high")}, ()).text) == {"answer": {"risk": "high"}}
