from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import pytest
from fastapi.testclient import TestClient

import tracer
from tests.web import pipeline
from tests.web.seed import fill
from tracer import recorder
from tracer.store import Store, open_store
from web import create_app

HERE = "http://127.0.0.1:7420"


@dataclass(frozen=True)
class Seeded:
    """A filled store, its viewer, and the ids of the notable traces by name."""

    store: Store
    client: TestClient
    ids: dict[str, str]

    def page(self, path: str) -> str:
        response = self.client.get(path)
        assert response.status_code == 200, (path, response.text)
        return response.text


def viewer(app: object) -> TestClient:
    return TestClient(app, base_url=HERE)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def seeded_path(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    path = tmp_path_factory.mktemp("viewer") / "playhead.db"
    with open_store(path) as store:
        return path, fill(store, now_ns=time.time_ns(), traces=70)


@pytest.fixture(scope="session")
def seeded(seeded_path: tuple[Path, dict[str, str]]) -> Iterator[Seeded]:
    path, ids = seeded_path
    with open_store(path, alive=lambda owner: owner == "desk") as store, viewer(create_app(store)) as client:
        yield Seeded(store, client, ids)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The pipeline, recorded for real: one trace that went through and some that failed; and where."""
    url = f"sqlite:///{tmp_path / 'playhead.db'}"
    tracer.configure(database_url=url, home=tmp_path)
    try:
        pipeline.sent.clear()
        pipeline.desk("I lost my card")
        with pytest.raises(ValueError, match="nothing is known"):
            pipeline.desk("good morning")
        with pytest.raises(ValueError, match="nothing is known"):
            pipeline.filing("good morning")
        assert tracer.flush()
        with open_store(url) as store:
            unfiled, failed, fine = (one.trace_id for one in store.traces(limit=3))
        yield {"url": url, "fine": fine, "failed": failed, "unfiled": unfiled}
    finally:
        tracer.shutdown()
        recorder._overrides.clear()
