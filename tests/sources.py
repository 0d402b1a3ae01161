"""The repository's own files, as the tests of its shape read them."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("tracer", "router", "replay", "web")
#: What tools make: git's own folder and the names that .gitignore lists.
_MADE = (".git", *(line.rstrip("/") for line in (REPOSITORY / ".gitignore").read_text(encoding="utf-8").split()))


@dataclass(frozen=True)
class Import:
    """``importer`` needs ``imported``, at any depth of its code; both are dotted names."""

    importer: str
    imported: str
    line: int


@dataclass(frozen=True)
class Module:
    """One file of one package, under the name that it is imported by."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @property
    def room(self) -> str:
        """``tracer.store`` for all that lies in there, ``tracer.model`` for a module by itself."""
        return ".".join(self.name.split(".")[:2])

    @property
    def line_count(self) -> int:
        return len(self.text.splitlines())

    def functions(self) -> Iterator[tuple[str, int]]:
        """Each function's name and its length in lines, from ``def`` to its last line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1

    def imports(self) -> Iterator[Import]:
        """All of them: at the top, inside functions, and those that only a type checker follows."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(self.name, alias.name, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                yield from self._from(node)

    def _from(self, node: ast.ImportFrom) -> Iterator[Import]:
        source = node.module or ""
        if node.level:
            here = self.name.split(".") if self.path.name == "__init__.py" else self.name.split(".")[:-1]
            source = ".".join([*here[: len(here) - node.level + 1], *filter(None, [source])])
        for alias in node.names:
            # "from tracer import store" and "from tracer.store import Store" both reach the module tracer.store
            yield Import(self.name, f"{source}.{alias.name}", node.lineno)


@cache
def modules(package: str) -> tuple[Module, ...]:
    """Every module of a package, by path."""
    return tuple(_module(path) for path in sorted((REPOSITORY / package).rglob("*.py")))


def _module(path: Path) -> Module:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text(encoding="utf-8")
    return Module(name, path, text, ast.parse(text))


def files(*suffixes: str) -> Iterator[Path]:
    """Every file that belongs to the repository; with ``suffixes``, those that end so."""
    for folder, folders, names in os.walk(REPOSITORY):
        folders[:] = sorted(name for name in folders if not _made(name))
        for name in sorted(names):
            if not _made(name) and (not suffixes or name.endswith(suffixes)):
                yield Path(folder, name)


def _made(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in _MADE)


@cache
def texts() -> dict[str, str]:
    """Every file of the repository as text, by its path from the top; bytes that are no text stay recognisable."""
    return {path.relative_to(REPOSITORY).as_posix(): path.read_bytes().decode("utf-8", "replace") for path in files()}
