"""A store copied into another place, on either database."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from tests.builders import Story
from tests.tracer.test_store_verify import told
from tracer.cli import main
from tracer.errors import StoreError
from tracer.model import Trace
from tracer.store import Filter, Store, open_store
from tracer.store import copying as rooms
from tracer.store.copying import copy_store
from tracer.store.tables import metadata, steps

Place = Callable[[str], str]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place on a database of that kind."""

    def made(kind: str) -> str:
        return str(tmp_path / "a.db") if kind == "sqlite" else str(request.getfixturevalue("postgres_url"))

    return made


def fill(store: Store) -> list[str]:
    """Everything that a store can hold, and a step with half of a surrogate pair in its words."""
    stories = [told() for _ in range(3)]
    odd = Story("odd", input="half \ud83d of it", replay_of=stories[0].trace_id)
    call = odd.call("m", input_tokens=3, output_tokens=4, raw={"details": [1, None, 0.5]})  # type: ignore[arg-type]
    odd.note(call, "correct", True, kind="score")
    for story in (*stories, odd.finish()):
        store.apply(story.events, owner="me", position=(1, 9))
    store.share("breaker:m", {"state": "open"}, version=0)
    store.traces(Filter.parse({"q": "half"}))  # so that there are words to search
    return [story.trace_id for story in (*stories, odd)]


def values_in(store: Store, traces: list[Trace]) -> dict[str, Any]:
    return {step.step_id: store.value(step.input) for trace in traces for step in trace.steps if step.input}


class TestACopy:
    @pytest.mark.parametrize(("first", "second"), [("sqlite", "postgres"), ("postgres", "sqlite")])
    def test_to_the_other_database_and_back_is_the_same(
        self, first: str, second: str, place: Place, tmp_path: Path
    ) -> None:
        here, there = place(first), place(second)
        with open_store(here) as store:
            ids = fill(store)
            whole = [store.trace(name) for name in ids]
            values = values_in(store, whole)
            sentence = store.traces(Filter.parse({"q": "half"}))
        out = copy_store(here, there)
        assert {one.table for one in out} == set(metadata.tables)
        assert {one.table: one.rows for one in out if one.table in {"traces", "notes"}} == {"traces": 4, "notes": 1}
        with open_store(there) as store:
            assert [store.trace(name) for name in ids] == whole
            assert values_in(store, whole) == values
            assert store.check().damaged == ()
            assert store.verify_totals() == []
            assert store.traces(Filter.parse({"q": "half"})) == sentence
            assert [one.value for one in store.shared("breaker:").values()] == [{"state": "open"}]
        assert copy_store(there, tmp_path / "again.db") == out

    def test_is_recorded_into_like_any_other_store(self, tmp_path: Path) -> None:
        with open_store(tmp_path / "a.db") as store:
            fill(store)
        copy_store(tmp_path / "a.db", tmp_path / "b.db")
        with open_store(tmp_path / "b.db") as store:
            store.apply(Story("later").finish().events, owner="me")
            assert len(store.traces()) == 5

    def test_into_a_store_with_traces_is_refused_and_changes_nothing(self, tmp_path: Path) -> None:
        for name in ("a.db", "b.db"):
            with open_store(tmp_path / name) as store:
                store.apply(Story(name).finish().events, owner="me")
        with pytest.raises(StoreError, match="has traces: copy into a place that has none"):
            copy_store(tmp_path / "a.db", tmp_path / "b.db")
        with open_store(tmp_path / "b.db") as store:
            assert [row.workflow for row in store.traces()] == ["b.db"]

    def test_that_was_not_taken_as_it_is_is_not_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with open_store(tmp_path / "a.db") as store:
            fill(store)
        rows = rooms._rows

        def bent(connection: Any, each: Any) -> Any:
            if connection.get_execution_options().get("writes") and each is steps:
                connection.execute(update(steps).values(name="bent"))
            return rows(connection, each)

        monkeypatch.setattr(rooms, "_rows", bent)
        with pytest.raises(StoreError, match="did not take all of steps as it is"):
            copy_store(tmp_path / "a.db", tmp_path / "b.db")
        with open_store(tmp_path / "b.db") as store:
            assert store.traces() == []

    def test_of_a_store_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="there is no store at"):
            copy_store(tmp_path / "typo.db", tmp_path / "b.db")
        assert list(tmp_path.iterdir()) == []

    def test_onto_itself_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="onto itself"):
            copy_store(tmp_path / "a.db", str(tmp_path / "a.db"))


class TestTheCommand:
    def test_says_what_was_copied(self, tmp_path: Path) -> None:
        with open_store(tmp_path / "a.db") as store:
            fill(store)
        said = CliRunner().invoke(main, ["db", "copy", str(tmp_path / "a.db"), str(tmp_path / "b.db")])
        assert said.exit_code == 0, said.output
        assert any(line.split()[0] == "4" and line.endswith("  traces") for line in said.output.splitlines())
        assert said.output.endswith("Read back from the target: the same rows.\n")
