"""Finding a recorded workflow's function again.

A module is imported; a script (``__main__``) is loaded from its file, with the name that multiprocessing gives a main
module it loads again, ``__mp_main__``, so that what stands under ``if __name__ == "__main__"`` does not run. A script
that calls its workflow at its top level is loaded up to that call: nothing runs while a replay looks for its function.
"""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any, Callable, Mapping

from replay.errors import EntryNotFound
from tracer import recorder
from tracer.binding import MAIN_AGAIN
from tracer.model import Entry
from tracer.player import Call, Decision, ReplayStopped

_AS_MAIN = MAIN_AGAIN


class _CalledWhileLoading(ReplayStopped):
    """The module calls its own workflow at its top level."""


class _NothingRuns:
    """A player under which no workflow begins."""

    def about(self) -> Mapping[str, Any]:
        raise _CalledWhileLoading

    def decide(self, call: Call) -> Decision:
        raise _CalledWhileLoading

    def value(self, step_id: str, name: str, occurrence: int, make: Callable[[], Any]) -> Any:
        raise _CalledWhileLoading

    def finished(self, step_id: str, *, call: Mapping[str, Any], at_ns: int) -> None:
        raise _CalledWhileLoading


def find(entry: Entry | None) -> Callable[..., Any]:
    """The function of a recorded workflow. Raises EntryNotFound, which says what was looked for and what to do."""
    if entry is None:
        raise EntryNotFound("this trace does not say which function it is of: pass it, replay(..., fn=my_workflow)")
    if "<locals>" in entry.qualname:
        raise EntryNotFound(
            f"{entry.qualname} was defined inside another function and can't be imported: pass it, replay(..., fn=it)"
        )
    if entry.root and entry.root not in sys.path:
        sys.path.insert(0, entry.root)
    with recorder.hold(_NothingRuns()):
        module = _script(entry) if entry.module == "__main__" else _module(entry)
    function: Any = module
    for name in entry.qualname.split("."):
        function = getattr(function, name, None)
        if function is None:
            raise EntryNotFound(f"{_place(entry)} has no {entry.qualname} any more: was the workflow renamed or moved?")
    if not callable(function):
        raise EntryNotFound(f"{entry.qualname} in {_place(entry)} is no function any more")
    return function  # type: ignore[no-any-return]  # just seen to be callable


def _module(entry: Entry) -> types.ModuleType:
    try:
        return importlib.import_module(entry.module)
    except _CalledWhileLoading:
        raise EntryNotFound(
            f"importing {entry.module} calls the workflow at its top level: move that call under "
            f'if __name__ == "__main__"'
        ) from None
    except Exception as error:
        raise EntryNotFound(
            f"the workflow's module {entry.module} can't be imported any more ({type(error).__name__}: {error}); "
            f"it was recorded from {entry.file or 'an unknown place'}"
        ) from error


def _script(entry: Entry) -> types.ModuleType:
    main = sys.modules.get("__main__")
    if main is not None and _is_file(getattr(main, "__file__", None), entry.file):
        return main
    if entry.file is None or not Path(entry.file).is_file():
        raise EntryNotFound(
            f"the workflow's script {entry.file or '(unknown)'} is not there any more: put it back, or pass the "
            "function, replay(..., fn=my_workflow)"
        )
    loaded = sys.modules.get(_AS_MAIN)
    if loaded is not None and _is_file(getattr(loaded, "__file__", None), entry.file):
        return loaded
    module = types.ModuleType(_AS_MAIN)
    module.__file__ = entry.file
    # Both names, as in multiprocessing: recorded values name their classes by __main__.
    sys.modules[_AS_MAIN] = sys.modules["__main__"] = module
    try:
        code = compile(Path(entry.file).read_bytes(), entry.file, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - the user's own script
    except _CalledWhileLoading:
        pass  # all that the workflow needs was defined before it was called
    except BaseException as error:
        if not isinstance(error, Exception | SystemExit):
            raise
        raise EntryNotFound(f"the script {entry.file} fails while loading ({type(error).__name__}: {error})") from error
    return module


def _is_file(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and Path(one).resolve() == Path(other).resolve()


def _place(entry: Entry) -> str:
    return entry.file if entry.module == "__main__" and entry.file else entry.module
