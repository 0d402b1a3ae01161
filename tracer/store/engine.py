"""From a URL or a path to an engine: every setting with its reason, every failure in one line."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tracer.errors import StoreUnreachable

#: How long a writer waits for another one, in seconds. A batch takes milliseconds; this outlasts a slow disk.
PATIENCE_S = 10
#: psycopg's: after how many times a statement is prepared, so that the server need not plan it again. "none" is for a
#: pooler that gives every transaction another connection, where what one prepared another one does not know.
_PREPARING = "prepare_threshold"
_NOT_PREPARED = ("DuplicatePreparedStatement", "InvalidSqlStatementName")
_PROJECT_MARKS = (".playhead", "pyproject.toml", ".git")


def default_path() -> Path:
    """``.playhead/playhead.db`` below the nearest directory upwards that looks like a project, or below this one."""
    here = Path.cwd()
    for directory in (here, *here.parents):
        if any((directory / mark).exists() for mark in _PROJECT_MARKS):
            return directory / ".playhead" / "playhead.db"
    return here / ".playhead" / "playhead.db"


def locate(place: str | Path | None) -> URL:
    """The database URL for a URL, a path, or None (the default path); raises StoreUnreachable for anything else."""
    if place is None:
        place = default_path()
    if isinstance(place, Path) or "://" not in place:
        return URL.create("sqlite", database=str(place))
    try:
        url = make_url(place)
    except (ArgumentError, ValueError) as error:
        # The text is not repeated: it may hold a password.
        raise StoreUnreachable("the database URL can't be read: write postgresql://host/name or a path") from error
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise StoreUnreachable("a store in memory can't be shared between connections: give a path")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreUnreachable(f"no store on {url.get_backend_name()}: give a path (SQLite) or a postgresql:// URL")
    return url


def shown(url: URL) -> str:
    """A URL without its credentials and options, as messages may show it; a path for SQLite."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{url.host or 'localhost'}{port}/{url.database or ''}"


def connect(url: URL) -> Engine:
    """An engine for ``url``; for SQLite the directory is made. Nothing is connected yet."""
    if url.get_backend_name() == "sqlite":
        return _sqlite(url)
    # connect_timeout: a host that drops packets would otherwise hold a command for minutes
    timed = url.update_query_dict({"connect_timeout": url.query.get("connect_timeout", "5")})
    prepared = {} if _PREPARING not in url.query else {_PREPARING: _times(url.query[_PREPARING])}
    try:
        return create_engine(timed.difference_update_query([_PREPARING]), connect_args=prepared)
    except ModuleNotFoundError as error:
        raise StoreUnreachable('Postgres needs its driver: pip install "playhead[postgres]"') from error
    except (NoSuchModuleError, ArgumentError) as error:
        raise StoreUnreachable(f"no driver for {url.drivername}: write postgresql://host/name") from error


def _times(said: str | tuple[str, ...]) -> int | None:
    if said == "none":
        return None
    if isinstance(said, str) and said.isdecimal():
        return int(said)
    raise StoreUnreachable(f"{_PREPARING} in the database URL is a number of times, or none; not {said!r}")


def _sqlite(url: URL) -> Engine:
    directory = Path(str(url.database)).parent
    try:
        # What is recorded is private by default: only this user may look into a directory that we make.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or "it can't be made").lower()
        raise StoreUnreachable(f"the directory {directory} can't be made: {reason}; give another path") from error
    # isolation_level=None: the driver's own implicit BEGIN comes too late to be IMMEDIATE, so we say BEGIN ourselves
    settings: dict[str, Any] = {"isolation_level": None}
    if "timeout" not in url.query:
        settings["timeout"] = PATIENCE_S
    engine = create_engine(url, connect_args=settings)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # NORMAL: a power cut may take the last commits, but never the database; the journal, which is only let go of
    # later, covers a killed process, and an fsync per batch would cost more than the batch.
    connection.execute("PRAGMA synchronous=NORMAL")
    # Rows are put in by digest, all over their tree: a page that changes with every batch is written back to the file
    # once in 16 MB of changes, not once in four.
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    # foreign_keys stays off, as it is by default: none are declared (see tables).


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once and waits for it; one that read first and then wants to write would not wait but
    # fail with "database is locked" as soon as another process has written in between.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def reaching(url: URL) -> Iterator[None]:
    """Turn what a driver raises when the database can't be reached into one StoreUnreachable that says what to do."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout, sqlite3.Error) as error:
        raise StoreUnreachable(_in_words(url, error)) from error
    except DatabaseError as error:
        if type(error.orig).__name__ in _NOT_PREPARED:
            raise StoreUnreachable(
                f"{shown(url)} is behind a pooler that shares connections: add ?{_PREPARING}=none to its URL"
            ) from error
        # A file that is no database is a plain DatabaseError; its subclasses are our own mistakes, and stay.
        if type(error) is not DatabaseError:
            raise
        raise StoreUnreachable(_in_words(url, error)) from error


def _in_words(url: URL, error: Exception) -> str:
    original = getattr(error, "orig", None) or error
    said = next(iter(str(original).strip().splitlines()), type(original).__name__)
    place = shown(url)
    if url.get_backend_name() != "sqlite":
        return (
            f"can't reach {place}: {_without_credentials(url, said)}; check that the server runs and the URL is right"
        )
    if "not a database" in said or "malformed" in said:
        return f"{place} is not a playhead database ({said}); move it away or give another path"
    if "locked" in said:
        return f"{place} is locked by another process; close what holds it and try again"
    if "readonly" in said or "unable to open" in said:
        return f"{place} can't be written ({said}); make its directory writable or give another path"
    return f"{place} can't be used ({said}); check the disk or give another path"


def _without_credentials(url: URL, text: str) -> str:
    for secret in (url.password, url.username):
        if secret:
            text = text.replace(str(secret), "***")
    return text


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection in one transaction: several queries see the same state."""
    with reaching(engine.url), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901
        with connection.begin():
            yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection in one write transaction, committed at the end or rolled back."""
    with reaching(engine.url), engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection
