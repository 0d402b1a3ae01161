from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Iterator

import pytest

from tests.recording import ROOT
from tracer import imports
from tracer.imports import when_imported


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that can be imported and was not, with a module inside it."""
    folder = tmp_path / "waited_for"
    folder.mkdir()
    (folder / "__init__.py").write_text("DONE = True\n")
    (folder / "inside.py").write_text("WHO = __name__\n")
    (folder / "broken.py").write_text("raise ValueError('as written')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(imports, "_waiting", {})
    yield "waited_for"
    for name in [name for name in sys.modules if name.split(".")[0] == "waited_for"]:
        del sys.modules[name]


class TestAModuleThatIsWaitedFor:
    def test_is_told_of_when_it_has_run_to_its_end_and_once(self, package: str) -> None:
        told: list[bool] = []
        when_imported(package, lambda module: told.append(module.DONE))
        assert told == []
        module = __import__(package)
        assert told == [True]
        assert module.__spec__ is not None
        assert type(module.__spec__.loader).__name__ == "SourceFileLoader"
        __import__(package)
        assert told == [True]

    def test_is_told_of_at_once_where_it_is_there_already(self, package: str) -> None:
        __import__(package)
        told: list[ModuleType] = []
        when_imported(package, told.append)
        assert [module.__name__ for module in told] == [package]

    def test_may_lie_inside_a_package(self, package: str) -> None:
        told: list[str] = []
        when_imported(f"{package}.inside", lambda module: told.append(module.WHO))
        __import__(f"{package}.inside")
        assert told == [f"{package}.inside"]

    def test_fails_as_it_would_have_failed(self, package: str) -> None:
        told: list[ModuleType] = []
        when_imported(f"{package}.broken", told.append)
        with pytest.raises(ValueError, match="as written"):
            __import__(f"{package}.broken")
        assert told == []

    def test_that_does_not_exist_is_missed_as_ever(self, package: str) -> None:
        when_imported(f"{package}.nowhere", lambda _: None)
        with pytest.raises(ModuleNotFoundError, match="nowhere"):
            __import__(f"{package}.nowhere")

    def test_that_is_builtin_is_imported_as_ever(self) -> None:
        source = (
            "import sys; from importlib.machinery import BuiltinImporter; from tracer.imports import when_imported\n"
            "name = next(n for n in sys.builtin_module_names if n not in sys.modules)\n"
            "before = BuiltinImporter.exec_module\n"
            "when_imported(name, print)\n"
            "print(__import__(name).__name__ == name, BuiltinImporter.exec_module is before)\n"
        )
        ran = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
        assert ran.stdout == "True True\n"
