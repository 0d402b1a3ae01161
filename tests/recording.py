"""Recording in tests: through the real journal, writer and store, in a project of its own.

Import ``project`` into a test module: it is used by every test there, and whatever of ours goes wrong fails the test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from tracer import recorder
from tracer.catalogue import Catalogue
from tracer.guard import degraded
from tracer.model import Step, Trace
from tracer.reading import open_reading

ROOT = Path(__file__).resolve().parent.parent


class Project:
    """A folder that is recorded into. ``degraded`` names what a test expects to go wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".playhead"
        self.degraded: set[str] = set()

    def record(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Trace:
        """Call a workflow and read its trace back; an exception of it is not ours to raise."""
        try:
            function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever the workflow raises
            self.raised: BaseException = error
        return self.trace()

    def trace(self, name: str = "latest") -> Trace:
        assert recorder.flush()
        with open_reading() as store:
            return store.trace(store.resolve(name))

    def traces(self) -> list[Trace]:
        """All traces, oldest first."""
        recorder.flush()
        with open_reading() as store:
            return [store.trace(row.trace_id) for row in reversed(store.traces())]

    def value(self, step: Step | None, side: str = "output") -> Any:
        assert step is not None
        ref = getattr(step, side)
        if ref is None:
            return None
        with open_reading() as store:
            return store.value(ref)

    def raw(self) -> bytes:
        """Every byte that was written below the project."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PLAYHEAD_")}
        return {**kept, "PYTHONPATH": str(ROOT), "PLAYHEAD_HOME": str(self.home), "PLAYHEAD_STRICT": "1", **more}

    def python(self, source: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a script of this project to its end, in a process of its own."""
        return subprocess.run(
            [sys.executable, str(self.script(source)), *args],
            env=self.environment(**environment),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def script(self, source: str, name: str = "script.py") -> Path:
        path = self.folder / name
        path.write_text(source)
        return path


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Records into ``tmp_path``, strictly; leaves the process as if nothing had been recorded."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in list(os.environ):
        if name.startswith("PLAYHEAD_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PLAYHEAD_HOME", str(folder / ".playhead"))
    monkeypatch.setenv("PLAYHEAD_STRICT", "1")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(recorder, "_overrides", {})
    monkeypatch.setattr(recorder, "_catalogue", Catalogue())
    recorder.shutdown()
    degraded.clear()
    made = Project(folder)
    yield made
    recorder.shutdown()
    went_wrong = dict(degraded)
    degraded.clear()
    assert set(went_wrong) == made.degraded, went_wrong


def path_of(trace: Trace) -> list[str]:
    """The paths of a trace's steps, in the order they began."""
    return [step.path for step in trace.steps]


def step_named(trace: Trace, name: str) -> Step:
    """The only step of that name."""
    (found,) = [step for step in trace.steps if step.name == name]
    return found
