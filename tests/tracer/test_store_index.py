"""The search index: filled by those who search, complete for all of them, and no work for the writer."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from tests.builders import NEW_YEAR_NS, Story
from tests.tracer.test_store import unable_to_write
from tracer.store import Filter, Store, open_store
from tracer.store.tables import step_texts, unsearched

ROOT = Path(__file__).resolve().parents[2]


def rows_in(store: Store, table: Any) -> int:
    with store._engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def found(store: Store, words: str) -> list[str]:
    return [row.trace_id for row in store.traces(Filter(text=words))]


class TestIndex:
    def test_the_writer_leaves_it_to_the_reader(self, store: Store) -> None:
        told = Story(input="My card is lost").finish("in the post")
        store.apply(told.events, owner="me")
        assert (rows_in(store, step_texts), rows_in(store, unsearched)) == (0, 1)
        store.traces()
        store.trace(told.trace_id)
        assert (rows_in(store, step_texts), rows_in(store, unsearched)) == (0, 1)
        assert found(store, "CARD") == [told.trace_id]
        assert (rows_in(store, step_texts), rows_in(store, unsearched)) == (2, 0)

    def test_a_count_is_as_complete_as_a_list(self, store: Store) -> None:
        store.apply(Story(input="My card is lost").finish().events, owner="me")
        assert store.facets(Filter(text="card")).statuses == {"completed": 1}

    def test_an_end_that_comes_after_a_search_is_found_by_the_next(self, store: Store) -> None:
        told = Story(input="first")
        store.apply(told.events, owner="me")
        assert found(store, "first") == [told.trace_id]
        assert found(store, "second") == []
        told.events.clear()
        store.apply(told.finish("second").events, owner="me")
        assert found(store, "first second") == [told.trace_id]

    def test_a_long_conversation_is_found_by_its_first_words(self, store: Store) -> None:
        talk = [{"role": "user", "content": f"message {number} " * 30} for number in range(100)]
        told = Story(input={"messages": talk}).finish()
        store.apply(told.events, owner="me")
        assert found(store, "message 0") == [told.trace_id]

    def test_the_newest_batch_comes_first(self, store: Store) -> None:
        told = [Story(input=f"question {number}", at_ns=NEW_YEAR_NS + number).finish() for number in range(3)]
        for each in told:
            store.apply(each.events, owner="me")
        texts: list[Any] = []
        event.listen(
            store._engine,
            "before_cursor_execute",
            lambda *args: texts.append(args[3]) if args[2].startswith("INSERT INTO step_texts") else None,
        )
        assert len(found(store, "question")) == 3
        assert [batch[0][0] for batch in texts] == [each.trace_id for each in reversed(told)]

    def test_an_address_of_a_lost_payload_stops_no_search(self, store: Store) -> None:
        told = Story(input="card").finish()
        lost = [each._replace(output="b2:" + "00" * 16) if hasattr(each, "output") else each for each in told.events]
        store.apply(lost, owner="me")
        assert found(store, "card") == [told.trace_id]

    def test_processes_that_search_at_once_all_find_everything(self, store_url: str) -> None:
        with open_store(store_url) as store:
            for number in range(40):
                store.apply(Story(input=f"question {number}").finish().events, owner="me")
        script = (
            "import sys; from tracer.store import Filter, open_store\n"
            "with open_store(sys.argv[1]) as store: print(len(store.traces(Filter(text='question'))))"
        )
        command = [sys.executable, "-c", script, store_url]
        started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        assert [process.communicate(timeout=90)[0] for process in started] == ["40\n"] * 3


class TestReadOnly:
    """Where the index can't be brought up to date, a search reads what it lacks: slower, and as complete."""

    @pytest.fixture
    def stories(self) -> list[Story]:
        return [Story(input="an old card").finish(), Story(input="a new card", at_ns=NEW_YEAR_NS + 9**9).finish("post")]

    def test_a_postgres_that_only_answers(self, postgres_url: str, stories: list[Story]) -> None:
        self.record(postgres_url, stories)
        mark = "&" if "?" in postgres_url else "?"
        with open_store(f"{postgres_url}{mark}options=-c%20default_transaction_read_only%3Don") as store:
            self.check(store, stories)

    def test_a_file_that_is_not_ours(self, stories: list[Story]) -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "a.db"
            self.record(path, stories)
            # whoever records keeps it open, and with it the files that SQLite needs beside it
            with open_store(path) as writer:
                assert len(writer.traces()) == 2
                with unable_to_write(directory), open_store(path) as store:
                    self.check(store, stories)

    def test_a_store_that_someone_holds_for_too_long(self, tmp_path: Path, stories: list[Story]) -> None:
        self.record(tmp_path / "a.db", stories)
        with open_store(tmp_path / "a.db") as holder, holder._engine.connect() as connection:
            connection.execution_options(writes=True).begin()
            with open_store(f"sqlite:///{tmp_path / 'a.db'}?timeout=0.05") as store:
                self.check(store, stories)

    def record(self, place: str | Path, stories: list[Story]) -> None:
        with open_store(place) as store:
            store.apply(stories[0].events, owner="me")
            assert found(store, "old card") == [stories[0].trace_id]
            store.apply(stories[1].events, owner="me")

    def check(self, store: Store, stories: list[Story]) -> None:
        old, new = (each.trace_id for each in stories)
        assert found(store, "card") == [new, old]
        assert found(store, "NEW post") == [new]
        assert found(store, "old post") == []
        assert store.facets(Filter(text="card")).total == 2
        assert rows_in(store, unsearched) == 1
