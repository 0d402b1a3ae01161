"""Being told when a module has been imported, without importing it.

A finder in front of ``sys.meta_path`` lets the others find the modules that are waited for, and has their loaders tell
when they have run. It stays out of the way of every other import, and of these once they are done.
"""

from __future__ import annotations

import contextlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Sequence

Told = Callable[[ModuleType], None]

_waiting: dict[str, Told] = {}


def when_imported(name: str, told: Told) -> None:
    """Call ``told`` with a module: now, where it is imported already, else as soon as it is."""
    _waiting[name] = told
    if not any(finder is _Finder for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder)
    module = sys.modules.get(name)
    # One that is being imported by another thread right now has had its spec found before we could listen.
    if module is not None:
        _tell(module)


def _tell(module: ModuleType) -> None:
    told = _waiting.pop(module.__name__, None)
    if told is not None:
        told(module)


class _Finder:
    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _waiting:
            return None
        for finder in sys.meta_path:
            find = None if finder is _Finder else getattr(finder, "find_spec", None)
            if find is not None and (spec := find(name, path, target)) is not None:
                # The loaders of builtin and frozen modules are classes, which serve all of these: they load as ever.
                if not isinstance(spec.loader, type):
                    with contextlib.suppress(AttributeError):  # one that takes no attributes, likewise
                        _listen(spec.loader)
                return spec  # type: ignore[no-any-return]  # what finders give
        return None


def _listen(loader: Any) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        _tell(module)

    loader.exec_module = exec_module
