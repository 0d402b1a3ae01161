from __future__ import annotations

import importlib.util
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

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


def module_at(path: Path, body: str) -> Callable[..., object]:
    """A workflow of its own module, which the test may edit or delete while the viewer runs."""
    path.write_text(f"from tracer import step, workflow\n\n{body}\n")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module.desk  # type: ignore[no-any-return]


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The pipeline, recorded for real: one trace that went through and some that failed; and where."""
    url = f"sqlite:///{tmp_path / 'playhead.db'}"
    monkeypatch.setenv("DESK_WORLD", str(tmp_path / "world.txt"))
    tracer.configure(database_url=url, home=tmp_path)
    gone, edited = tmp_path / "desk_that_is_gone.py", tmp_path / "desk_that_is_edited.py"
    try:
        module_at(gone, "@workflow\ndef desk(text):\n    return text")("hello")
        gone.unlink()
        module_at(
            edited, '@step\ndef say(text):\n    return "one"\n\n@workflow\ndef desk(text):\n    return say(text)'
        )("hello")
        pipeline.desk("I lost my card")
        with pytest.raises(ValueError, match="nothing is known"):
            pipeline.desk("good morning")
        with pytest.raises(ValueError, match="nothing is known"):
            pipeline.filing("good morning")
        assert tracer.flush()
        with open_store(url) as store:
            names = ("unfiled", "failed", "fine", "edited", "gone")
            ids = {name: one.trace_id for name, one in zip(names, store.traces(limit=5), strict=True)}
        yield {"url": url, "module": edited, **ids}
    finally:
        for name in (gone.stem, edited.stem):
            sys.modules.pop(name, None)
        tracer.shutdown()
        recorder._overrides.clear()
