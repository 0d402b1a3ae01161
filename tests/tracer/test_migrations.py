"""The schema: made by itself, once, the same as the metadata, and never older than what wrote it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from tests.builders import Story
from tracer.errors import StoreNewer
from tracer.store import Store, open_store
from tracer.store.tables import REVISION, metadata
from tracer.store.upgrade import alembic_config, scripts, upgrade

ROOT = Path(__file__).resolve().parents[2]
NARROW = {"traces_failed", "traces_open", "traces_behind", "traces_replays"}


class TestScripts:
    def test_the_tables_are_those_of_the_newest_script(self, store: Store) -> None:
        with store._engine.connect() as connection:
            known = ScriptDirectory.from_config(alembic_config(connection))
        assert known.get_current_head() == REVISION
        assert len(known.get_heads()) == 1

    def test_migrations_and_metadata_say_the_same(self, store: Store) -> None:
        with store._engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []

    def test_the_partial_indexes_are_partial(self, store: Store) -> None:
        # which autogenerate does not compare
        name = store._engine.dialect.name
        with store._engine.connect() as connection:
            found = {index["name"]: index for index in inspect(connection).get_indexes("traces")}
        where = {each: found[each]["dialect_options"].get(f"{name}_where") for each in found}
        assert {each for each in where if where[each] is not None} == NARROW
        assert "failed" in str(where["traces_failed"])

    def test_an_installed_package_finds_them_inside_itself(self) -> None:
        assert (scripts() / "env.py").is_file()
        built = (ROOT / "pyproject.toml").read_text()
        assert '"migrations" = "tracer/_migrations"' in built


class TestFirstUse:
    def test_a_new_store_is_made_and_the_second_opening_changes_nothing(self, store_url: str) -> None:
        open_store(store_url).close()
        with open_store(store_url) as store:
            assert store.facts().revision == REVISION
            assert upgrade(store._engine) is False

    def test_sqlite_readers_and_writers_do_not_wait_for_each_other(self, tmp_path: Path) -> None:
        with open_store(tmp_path / "a.db") as store, store._engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1

    def test_a_store_that_is_up_to_date_opens_without_alembic(self, store_url: str) -> None:
        open_store(store_url).close()
        script = (
            "import sys; from tracer.store import open_store; open_store(sys.argv[1]).close();"
            "print('alembic' in sys.modules)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", script, store_url], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert ran.stdout == "False\n"

    def test_many_processes_may_be_the_first(self, store_url: str) -> None:
        script = "import sys; from tracer.store import open_store; open_store(sys.argv[1]).close()"
        started = [
            subprocess.Popen([sys.executable, "-c", script, store_url], cwd=ROOT, stderr=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        assert [process.communicate(timeout=60)[1] for process in started] == [""] * 4
        with open_store(store_url) as store:
            assert store.facts().revision == REVISION

    def test_a_directory_with_strange_letters_is_no_obstacle(self, tmp_path: Path) -> None:
        with open_store(tmp_path / "100% größe #1?" / "play head.db") as store:
            store.apply(Story().finish().events, owner="me")
            assert (tmp_path / "100% größe #1?" / "play head.db").is_file()
            assert store.facts().traces == 1


class TestNewerStore:
    def test_a_store_of_a_newer_version_is_refused_and_left_alone(self, store_url: str) -> None:
        told = Story(input="precious").finish()
        with open_store(store_url) as store:
            store.apply(told.events, owner="me")
            engine = create_engine(store._engine.url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(StoreNewer) as caught:
            open_store(store_url)
        message = str(caught.value)
        assert "\n" not in message
        assert "written by a newer playhead (revision 9999): upgrade playhead" in message
        with engine.begin() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
            assert connection.execute(text("SELECT preview FROM traces")).scalar() == "precious"
            connection.execute(text("UPDATE alembic_version SET version_num = :known"), {"known": REVISION})
        engine.dispose()
        with open_store(store_url) as store:
            assert store.resolve("latest") == told.trace_id
