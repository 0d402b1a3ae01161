"""Bring a store to this version's schema: by itself on first use, once, whoever comes first."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, inspect, text

from tracer.errors import StoreNewer
from tracer.locks import alone
from tracer.store.engine import reaching, reading, shown, writing
from tracer.store.tables import REVISION, metadata

if TYPE_CHECKING:
    from alembic.config import Config

#: Any fixed number will do: it is the name of our lock among a Postgres server's advisory locks.
_ADVISORY_LOCK = 0x706C6179


def upgrade(engine: Engine) -> bool:
    """Make the tables, or bring older ones up to date; true if anything had to be done.

    Raises StoreNewer, changing nothing, if a newer playhead has written there. One short query when all is in order;
    Alembic is imported only for a store that an older playhead made.
    """
    with reading(engine) as connection:
        if revision(connection) == REVISION:
            return False
    with _alone(engine):
        if engine.dialect.name == "sqlite":
            _switch_to_wal(engine)
        # One transaction, under a lock: a process killed half-way leaves nothing, and who waited here finds it done.
        with writing(engine) as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            found = revision(connection)
            if found == REVISION:
                return False
            if found is None:
                _create(connection)
            else:
                _migrate(connection, found)
    return True


def revision(connection: Connection) -> str | None:
    """The revision that the database says it is at; None before the first migration."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def alembic_config(connection: Connection) -> Config:
    """Alembic's settings for our scripts over an open connection."""
    from alembic.config import Config  # noqa: PLC0415  # only a store that is not up to date pays for it

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def scripts() -> Path:
    """Where the migrations lie: inside an installed package, or beside ``tracer`` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def _create(connection: Connection) -> None:
    """Make the tables in an empty place, as the migrations would one after the other (a test compares the two): they
    would load Alembic into every process that is the first to record."""
    metadata.create_all(connection, checkfirst=False)
    versions = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
    versions.create(connection)
    connection.execute(versions.insert(), {"version_num": REVISION})


def _migrate(connection: Connection, found: str) -> None:
    # By the names of the scripts, which begin with their revisions: a newer store is refused without loading Alembic.
    known = {path.name.split("_")[0] for path in (scripts() / "versions").glob("*.py")}
    if found not in known:
        raise StoreNewer(
            f"{shown(connection.engine.url)} was written by a newer playhead (revision {found}): "
            "upgrade playhead to open it; nothing was changed"
        )
    from alembic import command  # noqa: PLC0415

    command.upgrade(alembic_config(connection), "head")


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    # Switching to WAL can't wait for another process that does the same, so on SQLite they queue at the directory.
    # Postgres queues at its advisory lock, below.
    if engine.dialect.name != "sqlite":
        yield
        return
    with alone(Path(str(engine.url.database)).parent, os.O_DIRECTORY):
        yield


def _switch_to_wal(engine: Engine) -> None:
    # WAL: readers never wait for the writer. The mode is kept in the file, so once is enough. It can't be switched
    # inside a transaction, hence the driver's own connection. The same holds for what lets a prune give room back; it
    # has to be said before there is any table. Said later it changes nothing, and yet writes.
    with reaching(engine.url):
        connection = engine.raw_connection()
        try:
            cursor = connection.cursor()
            if cursor.execute("PRAGMA page_count").fetchone() == (0,):
                cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
            cursor.execute("PRAGMA journal_mode=WAL")
        finally:
            connection.close()
