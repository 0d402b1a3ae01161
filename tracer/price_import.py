"""The price library without its updater, which nobody here starts and which imports an HTTP client.

Prices are looked up on the writer's thread. Whatever that imports stands half imported in ``sys.modules`` for a while,
where SDKs look to see which client is in use: OpenAI's, up to version 2, takes a half-imported httpx2 for a whole one,
and the user's call fails. So the updater's names are imported when somebody asks the library for them.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Sequence

_LIBRARY = "genai_prices"
_UPDATER = "genai_prices.update_prices"
#: Stands for each name that the library takes from its updater.
_LEFT_OUT = object()


def leave_out_the_updater() -> None:
    """See to it that the library is imported that way from now on. One that is imported already stays as it is."""
    if _LIBRARY not in sys.modules and _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


class _Finder:
    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _LIBRARY:
            return None
        with contextlib.suppress(ValueError):  # another thread was quicker
            sys.meta_path.remove(_Finder)
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if find is not None and (spec := find(name, path, target)) is not None:
                _listen(spec.loader)
                return spec  # type: ignore[no-any-return]  # what finders give
        return None


def _listen(loader: Any) -> None:
    execute = loader.exec_module
    loader.exec_module = lambda module: _execute(execute, module)


def _execute(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    """Run the library's code with a stand-in for its updater, which nobody sees: the library is locked meanwhile."""
    sys.modules[_UPDATER] = _StandIn(_UPDATER)
    try:
        execute(module)
    except Exception:  # noqa: BLE001 - of this version nothing can be left out
        del sys.modules[_UPDATER]
        execute(module)
        return
    sys.modules.pop(_UPDATER)
    _ask_later(module)


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _LEFT_OUT


def _ask_later(module: ModuleType) -> None:
    names = frozenset(name for name, value in vars(module).items() if value is _LEFT_OUT)
    for name in names:
        delattr(module, name)

    def ask(name: str) -> Any:
        if name in names:
            return getattr(importlib.import_module(_UPDATER), name)
        raise AttributeError(f"module {_LIBRARY!r} has no attribute {name!r}")

    module.__getattr__ = ask  # type: ignore[method-assign]
