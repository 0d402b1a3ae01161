"""What the tests of a replay share: a store of their own, and a world whose effects and calls can be counted."""

from __future__ import annotations

import importlib
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import tracer
from tracer.model import Step, Trace
from tracer.store import open_store

#: What the steps of a test did, in order. Tests clear it between recording and replaying.
DONE: list[Any] = []


class Recorded:
    """The store of one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'playhead.db'}"
        tracer.configure(database_url=self.url, home=folder)

    def trace(self, name: str = "latest") -> Trace:
        assert tracer.flush()
        with open_store(self.url) as store:
            return store.trace(store.resolve(name))

    def step(self, name: str, trace: str = "latest") -> Step:
        (found,) = (step for step in self.trace(trace).steps if name in (step.name, step.path))
        return found

    def value(self, step: Step) -> Any:
        assert step.output is not None
        with open_store(self.url) as store:
            return store.value(step.output)

    def origins(self, trace: str = "latest") -> dict[str, str]:
        return {step.path: step.origin for step in self.trace(trace).steps}


def did(what: Any) -> None:
    """Say so from a module of its own: a list that its steps name would be part of their fingerprint."""
    DONE.append(what)


def done() -> list[Any]:
    """What was done since the last time this was asked."""
    found = list(DONE)
    DONE.clear()
    return found


def write_module(folder: Path, name: str, source: str) -> ModuleType:
    """Import a module from its source; written again, it is imported anew."""
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(source))
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module(name)
