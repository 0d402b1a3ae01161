from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator

import pytest

import tracer
from tracer import recorder
from tracer.model import Trace
from tracer.store import open_store


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Callable[[], Trace]]:
    """Records into a store of its own; call it for the newest trace."""
    tracer.configure(database_url=str(tmp_path / "playhead.db"), home=tmp_path)

    def newest() -> Trace:
        assert tracer.flush()
        with open_store(recorder.current_config().database_url) as store:
            return store.trace(store.resolve("latest"))

    yield newest
    tracer.shutdown()


@pytest.fixture(autouse=True)
def own_catalogue() -> Iterator[None]:
    """Models that a test configures, and their prices, are unknown after it."""
    known = recorder.catalogue()._targets
    before = dict(known)
    yield
    known.clear()
    known.update(before)
