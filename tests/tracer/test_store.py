"""Writing to the store: batches, repetition, totals, several writers, and what can't be reached."""

from __future__ import annotations

import itertools
import os
import random
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from tests.builders import NEW_YEAR_NS, Story
from tracer import codec
from tracer.errors import StoreUnreachable
from tracer.events import Event, Finished, Noted, Started
from tracer.model import PayloadRef, Trace
from tracer.store import Filter, Store, open_store
from tracer.store.engine import locate
from tracer.store.tables import metadata, packs, traces
from tracer.wire import Chunk, HttpRequest, HttpResponse

ROOT = Path(__file__).resolve().parents[2]


def a_whole_story(number: int | None = None) -> Story:
    told = Story("support", input={"ticket": "My card is lost"}, number=number, tags={"tier": "gold"}, version="3")
    draft = told.begin("draft", input={"tone": "kind"}, tags={"try": 1})
    told.call("gpt-4o-mini", under=draft, input_tokens=1_000, output_tokens=200)
    told.note(draft, "now", 5)
    told.end(draft, "Dear customer, " * 40, tags={"words": 80})
    told.step("check", under=told.root, error=ValueError("too long"))
    told.step("ask", kind="human")
    return told.finish("sent", tags={"outcome": "escalated"})


ARRIVAL = ("seq", "counted", "pack", "start")


def everything_in(store: Store) -> dict[str, list[Any]]:
    """All rows of all tables, in order, once the search index is brought up to date; seq and counted are left out, for
    they are nothing but the order of arrival, and so is where a body lies."""
    store.traces(Filter(text="anything"))
    engine = create_engine(store._engine.url)
    found = {}
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            if table is packs:
                continue
            columns = [column for column in table.columns if column.name not in ARRIVAL]
            rows = connection.execute(table.select().with_only_columns(*columns)).all()
            found[table.name] = sorted(map(repr, rows))
    engine.dispose()
    return found


def empty(store: Store) -> None:
    with store._engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())


def in_batches(store: Store, events: Iterable[Event], size: int) -> None:
    waiting = list(events)
    for start in range(0, len(waiting), size):
        store.apply(waiting[start : start + size], owner="me")


@pytest.fixture(scope="module")
def straight_and_mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    """A store that holds a whole story, and one to tell it to in another order."""
    directory = tmp_path_factory.mktemp("orders")
    with open_store(directory / "a.db") as straight, open_store(directory / "b.db") as mixed:
        straight.apply(a_whole_story(number=5).events, owner="me")
        yield straight, mixed


class TestApply:
    def test_what_was_recorded_is_there_afterwards(self, store: Store) -> None:
        told = a_whole_story()
        store.apply(told.events, owner="me", position=(0, 512))
        trace = store.trace(told.trace_id)
        assert [step.path for step in trace.steps] == [
            "support",
            "support/draft",
            "support/draft/chat",
            "support/check",
            "support/ask",
        ]
        assert store.value(trace.steps[0].input) == {"ticket": "My card is lost"}
        assert store.value(trace.steps[1].output) == "Dear customer, " * 40
        assert store.position("me") == (0, 512)

    def test_the_same_events_again_change_nothing(self, store: Store) -> None:
        told = a_whole_story()
        store.apply(told.events, owner="me", position=(0, 100))
        before = everything_in(store)
        store.apply(told.events, owner="me", position=(0, 100))
        in_batches(store, told.events, 1)
        store.apply(reversed(told.events), owner="me")
        assert everything_in(store) == before

    def test_batches_of_any_size_come_to_the_same_rows(self, store: Store) -> None:
        shapes = []
        for size in (1, 2, 3, 100):
            told = a_whole_story(number=77)
            in_batches(store, told.events, size)
            shapes.append(everything_in(store))
            empty(store)
        assert shapes == [shapes[0]] * 4

    @settings(max_examples=30, deadline=None)
    @given(order=st.permutations(range(len(a_whole_story(1).events))), size=st.integers(1, 5))
    def test_events_in_any_order_come_to_the_same_rows(
        self, straight_and_mixed: tuple[Store, Store], order: list[int], size: int
    ) -> None:
        straight, mixed = straight_and_mixed
        events = a_whole_story(number=5).events
        empty(mixed)
        in_batches(mixed, [events[index] for index in order], size)
        assert everything_in(mixed) == everything_in(straight)

    def test_a_step_of_which_only_the_end_arrived_waits_for_its_beginning(self, store: Store) -> None:
        told = Story()
        told.step("lost")
        began, ended = told.events[1:3]
        store.apply([told.events[0], ended], owner="me")
        assert [step.name for step in store.trace(told.trace_id).steps] == ["support"]
        assert store.traces()[0].steps == 1
        store.apply([began], owner="me")
        assert [step.name for step in store.trace(told.trace_id).steps] == ["support", "lost"]
        assert store.trace(told.trace_id).steps[1].status == "completed"

    def test_a_batch_that_fails_half_way_leaves_nothing_behind(self, store: Store) -> None:
        told = a_whole_story()
        store.apply([], owner="me", position=(0, 8))
        before = everything_in(store)

        def torn() -> Iterable[Event]:
            yield from told.events
            raise RuntimeError("the disk went away")

        with pytest.raises(RuntimeError):
            store.apply(torn(), owner="me", position=(0, 900))
        impossible = Noted(told.id, told.root.id, "value", "now", 0, 1, None)
        with pytest.raises(IntegrityError):
            store.apply([*told.events, impossible], owner="me", position=(0, 900))
        assert everything_in(store) == before

    def test_a_position_never_goes_back(self, store: Store) -> None:
        assert store.position("me") is None
        for position in ((0, 100), (1, 50), (0, 900), (1, 20)):
            store.apply([], owner="me", position=position)
        assert store.position("me") == (1, 50)
        assert store.position("you") is None

    def test_a_batch_may_touch_thousands_of_traces(self, store: Store) -> None:
        stories = [Story(input=f"question {index}").finish() for index in range(2_000)]
        store.apply(itertools.chain.from_iterable(told.events for told in stories), owner="me")
        assert store.facts().traces == 2_000
        assert store.verify_totals() == []

    def test_steps_that_began_in_the_same_nanosecond_keep_the_order_they_came_in(self, store: Store) -> None:
        told = Story()
        names = [f"step-{index}" for index in range(20)]
        random.Random(4).shuffle(names)
        for name in names:
            told.step(name)
        same_time = [
            event._replace(at_ns=NEW_YEAR_NS) if isinstance(event, Started) else event for event in told.events
        ]
        in_batches(store, same_time, 7)
        steps = store.trace(told.trace_id).steps
        assert [step.name for step in steps[1:]] == names
        assert [step.seq for step in steps] == list(range(21))


class TestOddEvents:
    """Nothing that a workflow may say can stop the journal behind it."""

    def test_bytes_that_are_no_payload_are_kept_and_do_not_stop_the_batch(self, store: Store) -> None:
        told = Story(input="hello").finish()
        torn = [event._replace(input=b"\xc1torn") if isinstance(event, Started) else event for event in told.events]
        store.apply(torn, owner="me")
        trace = store.trace(told.trace_id)
        assert store.payload(trace.root.input.digest) == b"\xc1torn"
        assert trace.summary.preview == ""

    def test_a_failure_that_cannot_be_read_is_a_failure_still(self, store: Store) -> None:
        told = Story().finish(error=ValueError("gone"))
        torn = [event._replace(failure=b"\xc1") if isinstance(event, Finished) else event for event in told.events]
        store.apply(torn, owner="me")
        assert store.trace(told.trace_id).root.failure.message == "(its record can't be read)"
        assert store.traces()[0].status == "failed"

    def test_text_that_a_database_refuses_is_stored_all_the_same(self, store: Store) -> None:
        told = Story("nul\x00flow", input={"ticket": "a\x00b \ud800 c"}, tags={"x": "y\x00z"})
        told.step("st\x00ep", "out\x00put", error=ValueError("bad \x00 \udfff byte"))
        store.apply(told.finish().events, owner="me")
        trace = store.trace(told.trace_id)
        assert trace.summary.preview == "a\ufffdb ? c"
        assert trace.summary.workflow == "nul\ufffdflow"
        assert trace.summary.tags == {"x": "y\x00z"}
        assert trace.steps[1].failure.message == "bad \x00 \udfff byte"

    def test_numbers_beyond_64_bits_are_unknown(self, store: Store) -> None:
        told = Story()
        told.call("gpt-4o-mini", input_tokens=10**30, output_tokens=1, told={"first_token_ns": 10**40})
        store.apply(told.finish().events, owner="me")
        call = store.trace(told.trace_id).steps[1].call
        assert call.usage.input_tokens is None
        assert call.first_token_ns is None

    def test_a_provider_that_answers_nonsense_for_usage_costs_an_unknown_amount(self, store: Store) -> None:
        told = Story()
        told.call("gpt-4o-mini", input_tokens=-5, output_tokens="many")
        store.apply(told.finish().events, owner="me")
        call = store.trace(told.trace_id).steps[1].call
        assert call.cost is None
        assert call.unpriced_because.startswith("the usage does not add up")

    def test_tags_of_any_type_are_kept_as_far_as_json_goes(self, store: Store) -> None:
        told = Story(tags={"raw": b"bytes", "deep": {"list": [1, None]}})
        store.apply(told.finish().events, owner="me")
        assert store.traces()[0].tags == {"raw": "b'bytes'", "deep": {"list": [1, None]}}

    def test_very_long_names_and_errors_are_cut_in_lists_and_whole_in_the_trace(self, store: Store) -> None:
        told = Story("w" * 10_000)
        told.finish(error=ValueError("e" * 10_000 + "\nsecond line"))
        store.apply(told.events, owner="me")
        summary = store.traces()[0]
        assert len(summary.workflow) == 500
        assert summary.error_message == "e" * 500
        assert len(store.trace(told.trace_id).root.failure.message) == 10_012


PREVIEWS = [
    ({"n": 3, "question": "How\n  much?"}, "How much?"),
    ({"id": "T-1", "ticket": {"id": "T-2", "text": "Lost card"}}, "Lost card"),
    ({"messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hi"}]}, "Hi"),
    ({"rows": [1, 2, [3]]}, ""),
    ("word " * 100, ("word " * 40).strip()),
    (None, ""),
    (ValueError("no card"), "no card"),
    (
        HttpRequest(
            "POST", "https://x.y", (("a", "b"),), {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        ),
        "Hi",
    ),
    (HttpResponse(200, (), (Chunk(1, b'{"id": 1, "text": "Hel'), Chunk(2, b'lo"}'))), "Hello"),
    ([["deep"] * 3] * 3, "deep"),
]


class TestPayloads:
    def test_the_same_value_is_stored_once(self, store: Store) -> None:
        told = Story(input="the same words")
        told.step("one", "the same words")
        told.step("two", "the same words")
        store.apply(told.finish("the same words").events, owner="me")
        assert store.facts().payloads == 1

    def test_texts_are_compressed_together(self, store: Store) -> None:
        told = Story(input="x" * 3_000)
        told.step("say", "x" * 2_000)
        store.apply(told.finish("short").events, owner="me")
        with store._engine.connect() as connection:
            (pack,) = connection.execute(packs.select())
        assert (pack.encoding, pack.size > 5_000, len(pack.body) < 100) == ("zstd", True, True)

    def test_what_does_not_get_smaller_stays_as_it_is(self, store: Store) -> None:
        noise = random.Random(7).randbytes(5_000)
        told = Story(input=noise).finish()
        store.apply(told.events, owner="me")
        assert store.value(store.trace(told.trace_id).root.input) == noise

    def test_a_served_step_points_at_the_payload_that_is_there(self, store: Store) -> None:
        first = Story(input={"question": "Where is my card?"}).finish("in the post")
        store.apply(first.events, owner="me")
        root = store.trace(first.trace_id).root
        second = Story(input="anything").finish("anything")
        served = [
            event._replace(input=root.input.digest)
            if isinstance(event, Started)
            else event._replace(output=root.output.digest)
            for event in second.events
        ]
        store.apply(served, owner="me")
        again = store.trace(second.trace_id)
        assert (again.root.input, again.root.output) == (root.input, root.output)
        assert again.summary.preview == "Where is my card?"

    def test_lossy_paths_stay_with_the_step(self, store: Store) -> None:
        told = Story(input={"client": object()}).finish()
        store.apply(told.events, owner="me")
        ref = store.trace(told.trace_id).root.input
        assert not ref.exact
        assert ref.lossy == tuple(told.events[0].input_lossy)

    def test_the_preview_is_the_first_thing_a_human_said(self, store: Store) -> None:
        for value, line in PREVIEWS:
            told = Story(input=value).finish()
            store.apply(told.events, owner="me")
            assert store.trace(told.trace_id).summary.preview == line


class TestTotals:
    def test_a_row_sums_up_what_its_steps_used(self, store: Store) -> None:
        told = Story(tags={"tier": "gold"})
        draft = told.begin("draft")
        told.call("gpt-4o-mini", under=draft, input_tokens=1_000, output_tokens=200)
        told.call("gpt-4o", under=draft, input_tokens=100, output_tokens=20)
        told.call("gpt-4o-mini", under=draft, input_tokens=10, output_tokens=2)
        told.end(draft)
        told.step("ask", kind="human")
        store.apply(told.finish(tags={"done": True}).events, owner="me")
        row = store.traces()[0]
        assert (row.steps, row.model_calls, row.escalations) == (6, 3, 1)
        assert row.models == ("gpt-4o-mini", "gpt-4o")
        assert (row.input_tokens, row.output_tokens) == (1_110, 222)
        assert row.cost_nusd == sum(step.call.cost.nusd for step in store.trace(told.trace_id).steps if step.call)
        assert row.cost_nusd > 0
        assert row.unpriced == 0
        assert row.tags == {"tier": "gold", "done": True}
        assert row.duration_ns == told.events[-1].at_ns - told.events[0].at_ns

    def test_a_call_without_a_known_price_is_counted_and_never_zero(self, store: Store) -> None:
        told = Story()
        told.call("nobody-knows-me", input_tokens=5, output_tokens=5)
        told.call("gpt-4o-mini")
        store.apply(told.finish().events, owner="me")
        row = store.traces()[0]
        assert (row.unpriced, row.cost_nusd) == (2, 0)
        first, second = (step.call for step in store.trace(told.trace_id).steps if step.call)
        assert first.unpriced_because == "no price known for nobody-knows-me"
        assert second.unpriced_because == "the provider reported no usage"

    def test_a_call_that_still_runs_is_not_unpriced_yet(self, store: Store) -> None:
        told = Story()
        told.begin("chat", kind="llm", model="gpt-4o-mini")
        store.apply(told.events, owner="me")
        row = store.traces()[0]
        assert (row.model_calls, row.models, row.unpriced) == (1, ("gpt-4o-mini",), 0)
        assert store.trace(told.trace_id).steps[1].call.unpriced_because == "the call has not ended"

    def test_a_served_call_uses_and_costs_nothing_now(self, store: Store) -> None:
        told = Story(replay_of="00" * 16)
        told.call("gpt-4o-mini", input_tokens=1_000, output_tokens=200, origin="recorded", told={"served": True})
        told.call("unknown-model", input_tokens=1_000, output_tokens=200, origin="recorded", told={"served": True})
        told.call("gpt-4o-mini", input_tokens=10, output_tokens=2, origin="substituted")
        store.apply(told.finish().events, owner="me")
        row = store.traces()[0]
        live = store.trace(told.trace_id).steps[3].call
        assert (row.model_calls, row.unpriced, row.input_tokens) == (3, 0, 10)
        assert row.cost_nusd == live.cost.nusd

    def test_a_model_call_around_a_model_call_is_counted_once(self, store: Store) -> None:
        told = Story()
        outer = told.begin("ask_model", kind="llm", model="gpt-4o-mini")
        told.call("gpt-4o-mini", under=outer, input_tokens=1_000, output_tokens=200)
        told.end(outer, call={"model": "gpt-4o-mini", "usage": {"input_tokens": 1_000, "output_tokens": 200}})
        store.apply(told.finish().events, owner="me")
        assert store.traces()[0].input_tokens == 1_000
        assert store.traces()[0].unpriced == 0

    def test_totals_are_right_after_every_batch(self, store: Store) -> None:
        told = a_whole_story()
        for event in told.events:
            store.apply([event], owner="me")
            assert store.verify_totals() == []

    def test_a_total_that_went_wrong_is_found(self, store: Store) -> None:
        told = a_whole_story()
        store.apply(told.events, owner="me")
        with store._engine.begin() as connection:
            connection.execute(traces.update().values(cost_nusd=1))
        drift = store.verify_totals()
        assert [(each.trace_id, each.column, each.cached) for each in drift] == [(told.trace_id, "cost_nusd", 1)]


class TestFailedStep:
    def failed(self, store: Store, told: Story) -> str | None:
        store.apply(told.events, owner="me")
        assert store.verify_totals() == []
        return store.traces()[0].failed_step

    def test_it_is_where_the_error_arose_and_not_the_root(self, store: Store) -> None:
        told, error = Story(), TimeoutError("no answer\nafter 5 s")
        outer = told.begin("draft")
        told.step("lookup", under=outer, error=error)
        told.end(outer, error=error)
        assert self.failed(store, told.finish(error=error)) == "lookup"
        row = store.traces()[0]
        assert (row.error_type, row.error_message) == ("TimeoutError", "no answer")
        assert row.failed_step_id == store.trace(told.trace_id).steps[2].step_id

    def test_a_failure_that_was_caught_is_not_blamed_for_another_error(self, store: Store) -> None:
        told = Story()
        told.step("first_try", error=TimeoutError("slow"))
        told.step("second_try")
        assert self.failed(store, told.finish(error=ValueError("empty answer"))) == "support"

    def test_a_failure_that_was_caught_leaves_a_completed_trace_without_one(self, store: Store) -> None:
        told = Story()
        told.step("first_try", error=TimeoutError("slow"))
        assert self.failed(store, told.finish()) is None

    def test_of_several_equal_failures_it_is_the_last(self, store: Store) -> None:
        told, error = Story(), TimeoutError("slow")
        told.step("try", error=error)
        last = told.step("try", error=error)
        self.failed(store, told.finish(error=error))
        assert store.traces()[0].failed_step_id == last.hex

    def test_an_error_is_followed_through_the_one_that_wraps_it(self, store: Store) -> None:
        told, cause = Story(), TimeoutError("slow")
        wrapped = RuntimeError("no draft")
        wrapped.__cause__ = cause
        told.step("draft", error=cause)
        told.step("clean_up")
        assert self.failed(store, told.finish(error=wrapped)) == "draft"

    def test_an_error_is_followed_into_a_group(self, store: Store) -> None:
        told = Story()
        told.step("left", error=KeyError("a"))
        told.step("right")
        assert self.failed(store, told.finish(error=ExceptionGroup("both", [KeyError("a")]))) == "left"

    def test_a_refused_model_call_is_to_blame_for_the_clients_own_exception(self, store: Store) -> None:
        told = Story()
        draft = told.begin("draft")
        told.call("gpt-4o-mini", under=draft, error=RuntimeError("HTTP 429"), told={"status_code": 429})
        told.end(draft, error=OSError("RateLimitError"))
        assert self.failed(store, told.finish(error=OSError("RateLimitError"))) == "chat"

    def test_a_refused_model_call_that_was_tried_again_with_success_is_not(self, store: Store) -> None:
        told = Story()
        draft = told.begin("draft")
        told.call("gpt-4o-mini", under=draft, error=RuntimeError("HTTP 429"), told={"status_code": 429})
        told.call("gpt-4o-mini", under=draft, input_tokens=1, output_tokens=1)
        told.end(draft, error=ValueError("not JSON"))
        assert self.failed(store, told.finish(error=ValueError("not JSON"))) == "draft"


_WRITER = """
import sys
from tests.builders import Story
from tracer.store import open_store
url, owner, first, shared = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with open_store(url) as store:
    root = Story("shared", number=shared)
    for index in range(20):
        told = Story(input="the same question", number=first + index)
        told.call("gpt-4o-mini", input_tokens=1, output_tokens=1)
        part = root.begin(f"{owner}-{index}", under=root.root)
        # every process has its own steps in the trace that they share
        mine = [event._replace(step_id=(first + index).to_bytes(8, "big")) for event in root.events[-1:]]
        store.apply([*told.finish().events, root.events[0], *mine], owner=owner, position=(0, index + 1))
"""


class TestSeveralWriters:
    def test_processes_that_start_and_write_at_once_lose_nothing(self, store_url: str) -> None:
        started = [
            subprocess.Popen(
                [sys.executable, "-c", _WRITER, store_url, f"p{number}", str(1_000 * (number + 1)), "999"],
                cwd=ROOT,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(3)
        ]
        said = [process.communicate(timeout=90)[1] for process in started]
        assert said == [""] * 3
        with open_store(store_url) as store:
            assert store.facts().traces == 3 * 20 + 1
            assert [store.position(f"p{number}") for number in range(3)] == [(0, 20)] * 3
            shared = store.trace((999).to_bytes(16, "big").hex())
            assert len(shared.steps) == shared.summary.steps == 3 * 20 + 1
            assert store.verify_totals() == []

    def test_one_store_serves_many_threads(self, store: Store) -> None:
        stories = [Story(input=f"question {index}").finish() for index in range(24)]
        found: list[Trace] = []
        wrong: list[BaseException] = []

        def work(mine: list[Story]) -> None:
            try:
                for told in mine:
                    store.apply(told.events, owner="me")
                    found.append(store.trace(told.trace_id))
                    store.traces()
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test must see it
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(stories[index::6],)) for index in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert {trace.trace_id for trace in found} == {told.trace_id for told in stories}

    def test_a_reader_is_not_held_up_by_a_writer(self, tmp_path: Path) -> None:
        with open_store(tmp_path / "a.db") as store:
            store.apply(Story(input="first").finish().events, owner="me")
            holding = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
            holding.execute("BEGIN IMMEDIATE")
            assert [row.preview for row in store.traces()] == ["first"]
            holding.close()


@contextmanager
def unable_to_write(directory: str) -> Iterator[None]:
    """Take the right to write to ``directory`` away; where the tests run as root, which may write anywhere, by being
    somebody else for a moment."""
    Path(directory).chmod(0o555)
    user = os.geteuid()
    os.seteuid(user or 65_534)
    try:
        yield
    finally:
        os.seteuid(user)
        Path(directory).chmod(0o700)


class TestUnreachable:
    """One line that names the thing and the way out; no credentials; what the driver said as the cause."""

    def refused(self, place: str | Path) -> str:
        with pytest.raises(StoreUnreachable) as caught:
            open_store(place)
        message = str(caught.value)
        assert "\n" not in message
        assert caught.value.__cause__ is not None
        return message

    def test_a_missing_directory_is_made_and_is_private(self, tmp_path: Path) -> None:
        open_store(tmp_path / "a" / "b" / "playhead.db").close()
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700

    def test_a_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        message = self.refused(tmp_path / "file" / "playhead.db")
        assert message == f"the directory {tmp_path / 'file'} can't be made: file exists; give another path"

    def test_a_read_only_directory(self) -> None:
        with tempfile.TemporaryDirectory() as directory, unable_to_write(directory):
            path = Path(directory) / "playhead.db"
            message = self.refused(path)
        assert message.startswith(f"{path} can't be written")
        assert "give another path" in message

    def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("dear diary, " * 200)
        message = self.refused(tmp_path / "notes.txt")
        assert message.startswith(f"{tmp_path / 'notes.txt'} is not a playhead database")
        assert (tmp_path / "notes.txt").read_text() == "dear diary, " * 200

    def test_a_database_that_someone_else_holds(self, tmp_path: Path) -> None:
        path = tmp_path / "playhead.db"
        open_store(path).close()
        holding = sqlite3.connect(path, isolation_level=None)
        holding.execute("BEGIN IMMEDIATE")
        with open_store(f"sqlite:///{path}?timeout=0.05") as store:
            with pytest.raises(StoreUnreachable) as caught:
                store.apply(Story().finish().events, owner="me")
            assert str(caught.value) == f"{path} is locked by another process; close what holds it and try again"
            holding.close()
            store.apply(Story().finish().events, owner="me")
            assert store.facts().traces == 1

    def test_a_database_that_is_deleted_while_it_is_open(self, postgres_url: str, administer: Any) -> None:
        with open_store(postgres_url) as store:
            administer(f"DROP DATABASE {locate(postgres_url).database} WITH (FORCE)")
            with pytest.raises(StoreUnreachable):
                store.traces()
        administer(f"CREATE DATABASE {locate(postgres_url).database}")

    def test_a_postgres_that_does_not_answer_and_its_password_stays_secret(self) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
            message = self.refused(f"postgresql://ann:hunter2@127.0.0.1:{port}/traces?password=hunter2")
        assert message.startswith(f"can't reach postgresql://127.0.0.1:{port}/traces: ")
        assert "hunter2" not in message
        assert "ann" not in message

    def test_a_postgres_database_that_does_not_exist(self, postgres: Any) -> None:
        message = self.refused(postgres("nothing_here"))
        assert "nothing_here" in message

    @pytest.mark.parametrize("url", ["postgresql://bob:hunter2@host:port/x", "://hunter2"])
    def test_a_url_that_cannot_be_read_is_not_repeated(self, url: str) -> None:
        assert "hunter2" not in self.refused(url)

    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/name"])
    def test_a_place_that_can_be_no_store(self, url: str) -> None:
        with pytest.raises(StoreUnreachable, match="give a path"):
            open_store(url)


class TestPlace:
    def test_without_one_it_is_in_the_project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "pyproject.toml").touch()
        (tmp_path / "src" / "deep").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "src" / "deep")
        assert locate(None).database == str(tmp_path / ".playhead" / "playhead.db")

    @pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
    def test_postgres_is_reached_with_its_current_driver(self, scheme: str) -> None:
        assert locate(f"{scheme}://host/name").drivername == "postgresql+psycopg"

    def test_a_store_names_its_place_without_credentials(self, store: Store) -> None:
        assert store.place.startswith(("/", "postgresql://localhost/"))
        assert "postgres:" not in store.place


def test_a_payload_that_is_gone_says_so(store: Store) -> None:
    with pytest.raises(Exception, match="b2:00 is not in"):
        store.value(PayloadRef("b2:00", 3))
    assert store.payloads(["b2:00"]) == {}


def test_a_payload_lies_under_its_own_address(store: Store) -> None:
    told = a_whole_story()
    store.apply(told.events, owner="me")
    refs = [step.output for step in store.trace(told.trace_id).steps if step.output]
    assert {codec.address(data) for data in store.payloads(ref.digest for ref in refs).values()} == {
        ref.digest for ref in refs
    }
    with store._engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
