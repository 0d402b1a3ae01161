from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import tracer
from tests.loopback import Loopback
from tests.replay import support
from tests.replay.support import Recorded
from tracer import recorder

_numbers = itertools.count()


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    monkeypatch.setenv("PLAYHEAD_STRICT", "1")
    support.DONE.clear()
    yield Recorded(tmp_path / "store")
    tracer.shutdown()


@pytest.fixture
def own_catalogue() -> Iterator[None]:
    """Models that a test configures are unknown after it."""
    known = recorder.catalogue()._targets
    before = dict(known)
    yield
    known.clear()
    known.update(before)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as running:
        yield running


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Writes a module of a name of its own and imports it; called again, it is the same module with other source."""
    name = f"replayed_{next(_numbers)}"
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield lambda source: support.write_module(tmp_path, name, source)
    sys.modules.pop(name, None)
