"""The schema: made by itself, once, the same as the metadata, and never older than what wrote it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator

import pytest
import zstandard
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, create_engine, event, inspect, select, text

from tests.builders import Story
from tracer.errors import StoreNewer
from tracer.store import Filter, Store, open_store
from tracer.store.bodies import address_of
from tracer.store.engine import connect, locate, writing
from tracer.store.tables import (
    REVISION,
    journal_positions,
    metadata,
    payloads,
    processes,
    step_texts,
    steps,
    to_json,
    traces,
)
from tracer.store.upgrade import alembic_config, scripts, upgrade

ROOT = Path(__file__).resolve().parents[2]
ENTRY = {"module": "app", "qualname": "support", "file": None, "root": "."}
#: Indexes of some of the rows only.
NARROW = {"traces_failed", "traces_open", "traces_behind", "traces_replays", "traces_resumes", "escalations_pending"}


@pytest.fixture
def migrated(store_url: str) -> Iterator[Engine]:
    """A database that every migration was run on, one after the other."""
    engine = connect(locate(store_url))
    with writing(engine) as connection:
        command.upgrade(alembic_config(connection), "head")
    yield engine
    engine.dispose()


def schema_of(engine: Engine) -> dict[str, Any]:
    """Tables with their columns, keys and indexes, and how they lie, which inspection does not say."""
    with engine.connect() as connection:
        inspector = inspect(connection)
        found: dict[str, Any] = {}
        for table in inspector.get_table_names():
            columns = {(each["name"], str(each["type"]), each["nullable"]) for each in inspector.get_columns(table)}
            indexes = {
                (str(each["name"]), tuple(each["column_names"]), str([*map(str, each["dialect_options"].values())]))
                for each in inspector.get_indexes(table)
            }
            found[table] = (columns, inspector.get_pk_constraint(table)["constrained_columns"], indexes)
        lies = {
            "sqlite": "SELECT name, wr FROM pragma_table_list WHERE name NOT LIKE 'sqlite%'",
            "postgresql": "SELECT attname, attstorage FROM pg_attribute WHERE attrelid = 'packs'::regclass",
        }
        found[""] = {tuple(row) for row in connection.execute(text(lies[engine.dialect.name]))}
        return found


class TestScripts:
    def test_the_tables_are_those_of_the_newest_script(self, store: Store) -> None:
        with store._engine.connect() as connection:
            known = ScriptDirectory.from_config(alembic_config(connection))
        assert known.get_current_head() == REVISION
        assert all(Path(script.path).name.startswith(f"{script.revision}_") for script in known.walk_revisions())
        assert len(known.get_heads()) == 1

    def test_migrations_and_metadata_say_the_same(self, migrated: Engine) -> None:
        with migrated.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []

    def test_a_store_that_is_made_at_once_is_like_one_that_came_all_the_way(self, migrated: Engine) -> None:
        come = schema_of(migrated)
        metadata.drop_all(migrated)
        with migrated.begin() as connection:
            connection.execute(text("DROP TABLE alembic_version"))
        assert upgrade(migrated)
        assert schema_of(migrated) == come

    def test_the_partial_indexes_are_partial(self, store: Store) -> None:
        # which autogenerate does not compare
        name = store._engine.dialect.name
        with store._engine.connect() as connection:
            every = (inspect(connection).get_indexes(table) for table in ("traces", "escalations"))
            found = {index["name"]: index for indexes in every for index in indexes}
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


def told_before(url: str, source: Store) -> None:
    """Make the first schema at ``url``, and what ``source`` holds as the version of that schema wrote it."""
    engine = connect(locate(url))
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
        old = MetaData()
        old.reflect(connection)
        with source._engine.connect() as reading:
            for table in (traces, steps, step_texts, processes, journal_positions):
                rows = [dict(row) for row in reading.execute(select(table)).mappings()]
                known = old.tables[table.name].columns
                connection.execute(old.tables[table.name].insert(), [as_before(row, known) for row in rows])
            for place in reading.execute(select(payloads)):
                data = source.payload(address_of(place.digest))
                packed = zstandard.ZstdCompressor(level=3).compress(data) if len(data) > 200 else data
                encoding = "zstd" if len(data) > 200 else "raw"
                row = {"digest": address_of(place.digest), "size": len(data), "encoding": encoding, "body": packed}
                connection.execute(old.tables["payloads"].insert(), row)
    engine.dispose()


def as_before(row: dict[str, Any], known: Any) -> dict[str, Any]:
    def value(name: str) -> Any:
        if name in ("input", "output", "failure") and row[name] is not None:
            return address_of(row[name])
        if name in ("entry", "plan", "end_plan", "models", "tags", "end_tags", "input_lossy", "output_lossy"):
            return to_json(row[name])
        return bool(row[name]) if name == "effect" else row[name]

    return {column.name: value(column.name) for column in known}


class TestUpgrade:
    """From each schema that was released or recorded with, with what it holds."""

    @pytest.fixture
    def before(self, tmp_path: Path) -> Iterator[Store]:
        with open_store(tmp_path / "before.db") as source:
            told = Story("support", input={"ticket": "My card is lost"}, tags={"a": 1}, entry={**ENTRY})
            for number in range(600):
                told.step("say", f"word {number} " * 100, kind="human" if number % 100 == 0 else "step")
            told.step("draw", b"\x00" * 300_000)
            told.step("pay", error=ValueError("no money"))
            begun = told.begin("send", effect=True)
            told.note(begun, "now", 5)
            source.apply(told.finish(error=ValueError("no money")).events, owner="me", position=(3, 4))
            source.apply(Story(input="still open").events, owner="me")
            source.announce("me", pid=1)
            source.traces(Filter(text="anything"))
            yield source

    def test_what_was_recorded_comes_along(self, store_url: str, before: Store) -> None:
        told_before(store_url, before)
        with open_store(store_url) as store:
            assert store.facts().revision == REVISION
            assert [*store.traces()] == [*before.traces()]
            for summary in before.traces():
                there, here = before.trace(summary.trace_id), store.trace(summary.trace_id)
                # notes are left out of what is carried over by hand above
                assert [replace(step, notes=()) for step in here.steps] == [
                    replace(step, notes=()) for step in there.steps
                ]
                digests = {ref.digest for step in there.steps for ref in (step.input, step.output) if ref}
                assert store.payloads(digests) == before.payloads(digests)
            assert store.check().damaged == ()
            assert store.verify_totals() == []
            assert store.position("me") == (3, 4)
            assert len(store.traces(Filter(text="card"))) == 1

    def test_and_goes_on(self, store_url: str, before: Store) -> None:
        told_before(store_url, before)
        with open_store(store_url) as store:
            size = store.facts().payloads
            again = Story(input={"ticket": "My card is lost"}).finish("word 7 " * 100)
            store.apply(again.events, owner="me")
            assert store.facts().payloads == size
            assert store.traces(Filter(text="lost"))[0].trace_id == again.trace_id
            late = Story("support", input={"ticket": "My card is lost"}, number=int(before.resolve("latest"), 16))
            store.apply(late.finish().events, owner="me")
            assert store.verify_totals() == []

    def test_a_torn_payload_is_no_obstacle(self, store_url: str, before: Store) -> None:
        told_before(store_url, before)
        digest = before.trace(before.traces()[-1].trace_id).steps[1].output.digest
        engine = connect(locate(store_url))
        with engine.begin() as connection:
            torn = text("UPDATE payloads SET body = :body WHERE digest = :digest")
            connection.execute(torn, {"body": b"\x28\xb5\x2f\xfdtorn", "digest": digest})
        engine.dispose()
        with open_store(store_url) as store:
            assert [each.address for each in store.check().damaged] == [digest]

    def test_a_process_that_is_killed_half_way_leaves_the_store_as_it_was(self, store_url: str, before: Store) -> None:
        told_before(store_url, before)
        engine = connect(locate(store_url))
        event.listen(engine, "after_cursor_execute", stop_at_packs)
        with pytest.raises(RuntimeError, match="killed"):
            upgrade(engine)
        engine.dispose()
        with open_store(store_url) as store:
            assert [*store.traces()] == [*before.traces()]
            assert store.check().damaged == ()


def stop_at_packs(*said: Any) -> None:
    if said[2].startswith("INSERT INTO packs"):
        raise RuntimeError("killed")


#: Usage objects as providers wrote them, and what is read out of each: an hour's writes, cached audio, searches.
USAGES = [
    ({"cache_creation": {"ephemeral_1h_input_tokens": 7}, "server_tool_use": {"web_search_requests": 2}}, (7, None, 2)),
    ({"cacheDetails": [{"ttl": "1h", "inputTokens": 3}, {"ttl": "5m", "inputTokens": 4}]}, (3, None, None)),
    ({"cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}, {"modality": "TEXT"}]}, (None, 5, None)),
    ({"server_tool_use": {"web_search_requests": "many"}, "cacheDetails": "none"}, (None, None, None)),
    ({"prompt_tokens": 1}, (None, None, None)),
]


class TestUpgradeOfModelCalls:
    """The second schema kept fewer buckets, and the provider's own object whole."""

    def test_the_buckets_are_read_out_of_the_providers_object(self, store_url: str, tmp_path: Path) -> None:
        told = Story()
        for raw, _ in USAGES * 300:
            told.call("gpt-4o-mini", told={"usage": {"input_tokens": 10, "output_tokens": 1, "raw": raw}})
        with open_store(tmp_path / "before.db") as source:
            source.apply(told.finish().events, owner="me")
            self.second_schema(store_url, source)
            with open_store(store_url) as store:
                assert store.facts().revision == REVISION
                there, here = (each.trace(told.trace_id) for each in (source, store))
        assert there.summary == here.summary
        assert [step.call and step.call.cost for step in here.steps] == [
            step.call and step.call.cost for step in there.steps
        ]
        used = [step.call.usage for step in here.steps if step.call]
        found = [(usage.cache_write_1h_tokens, usage.cache_audio_tokens, usage.web_searches) for usage in used]
        assert found == [counts for _, counts in USAGES] * 300

    def second_schema(self, url: str, source: Store) -> None:
        engine = connect(locate(url))
        with engine.begin() as connection, source._engine.connect() as reading:
            command.upgrade(alembic_config(connection), "0002")
            old = MetaData()
            old.reflect(connection)
            for table in (each for each in metadata.sorted_tables if each.name in old.tables):
                rows = [dict(row) for row in reading.execute(text(f"SELECT * FROM {table.name}")).mappings()]
                known = old.tables[table.name].columns
                kept = [{column.name: row[column.name] for column in known} for row in rows]
                for row in kept:
                    if "streamed" in row:
                        row["streamed"] = bool(row["streamed"])
                if kept:
                    connection.execute(old.tables[table.name].insert(), kept)
        engine.dispose()
