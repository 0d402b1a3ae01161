"""Finding a recorded workflow's function again.

A module is imported; a script (``__main__``) is loaded from its file, with the name that multiprocessing gives a main
module it loads again, ``__mp_main__``, so that what stands under ``if __name__ == "__main__"`` does not run. A script
that calls its workflow at its top level is loaded up to that call: nothing runs while a replay looks for its function.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
import types
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

from replay.divergence import one_line
from replay.errors import EntryNotFound
from tracer import recorder
from tracer.binding import MAIN_AGAIN
from tracer.model import Entry
from tracer.player import Call, Decision, ReplayStopped

#: Where a loaded script keeps the text it was loaded from: a script that has changed since is loaded anew.
_SOURCE = "__playhead_source__"
# Guards what loading changes for the whole process: the path, the main module, and that no workflow may begin.
_loading = threading.Lock()


class _NothingRuns:
    """A player under which no workflow begins."""

    def about(self) -> Mapping[str, Any]:
        raise ReplayStopped("a workflow is called while its module is loaded")

    def decide(self, call: Call) -> Decision:  # noqa: ARG002 - here and below: the protocol's signatures
        raise ReplayStopped("a workflow is called while its module is loaded")

    def value(self, step_id: str, name: str, occurrence: int, make: Callable[[], Any]) -> Any:  # noqa: ARG002
        return make()

    def finished(self, step_id: str, *, call: Mapping[str, Any], at_ns: int) -> None:
        """Nothing ran."""


def find(entry: Entry | None) -> Callable[..., Any]:
    """The function of a recorded workflow. Raises EntryNotFound, which says what was looked for and what to do."""
    if entry is None:
        raise EntryNotFound("this trace does not say which function it is of: pass it, replay(..., fn=my_workflow)")
    if "<locals>" in entry.qualname:
        raise EntryNotFound(
            f"{entry.qualname} was defined inside another function and can't be imported: pass it, replay(..., fn=it)"
        )
    with _loading, _importable(entry.root), recorder.hold(_NothingRuns()):
        module = _script(entry) if entry.module == "__main__" else _module(entry)
    function: Any = module
    for name in entry.qualname.split("."):
        function = getattr(function, name, None)
        if function is None:
            raise EntryNotFound(f"{_place(entry)} has no {entry.qualname} any more: was the workflow renamed or moved?")
    if not callable(function):
        raise EntryNotFound(f"{entry.qualname} in {_place(entry)} is no function any more")
    return function  # type: ignore[no-any-return]  # just seen to be callable


@contextlib.contextmanager
def at_home(function: Callable[..., Any], entry: Entry | None) -> Iterator[None]:
    """While the function runs: what its module can import, it can, and where it comes from a script that was loaded
    again, that is the main module, by which recorded values name their classes."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    is_again = module is not None and module.__name__ == MAIN_AGAIN
    with _importable(None if entry is None else entry.root), _main(module if is_again else None):
        yield


@contextlib.contextmanager
def _importable(root: str | None) -> Iterator[None]:
    if not root or root in sys.path:
        yield
        return
    sys.path.insert(0, root)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the module may have set the path itself
            sys.path.remove(root)


@contextlib.contextmanager
def _main(module: types.ModuleType | None) -> Iterator[None]:
    if module is None:
        yield
        return
    before = sys.modules.get("__main__")
    sys.modules["__main__"] = module
    try:
        yield
    finally:
        if before is not None:
            sys.modules["__main__"] = before


def _module(entry: Entry) -> types.ModuleType:
    try:
        module = importlib.import_module(entry.module)
    except ReplayStopped:
        raise EntryNotFound(
            f"importing {entry.module} calls the workflow at its top level: move that call under "
            f'if __name__ == "__main__"'
        ) from None
    except (Exception, SystemExit) as error:
        raise EntryNotFound(
            f"the workflow's module {entry.module} can't be imported any more ({_said(error)}); "
            f"it was recorded from {entry.file or 'an unknown place'}"
        ) from error
    found = getattr(module, "__file__", None)
    if entry.file is not None and Path(entry.file).is_file() and not _is_file(found, entry.file):
        raise EntryNotFound(
            f"{entry.module} is another module here ({found or 'built in'}), not the recorded {entry.file}: run the "
            "replay in a fresh process, or pass the function, replay(..., fn=my_workflow)"
        )
    return module


def _script(entry: Entry) -> types.ModuleType:
    main = sys.modules.get("__main__")
    if main is not None and _is_file(getattr(main, "__file__", None), entry.file):
        return main
    if entry.file is None or not Path(entry.file).is_file():
        raise EntryNotFound(
            f"the workflow's script {entry.file or '(unknown)'} is not there any more: put it back, or pass the "
            "function, replay(..., fn=my_workflow)"
        )
    source = Path(entry.file).read_bytes()
    loaded = sys.modules.get(MAIN_AGAIN)
    if loaded is not None and _is_file(getattr(loaded, "__file__", None), entry.file) and _source(loaded) == source:
        return loaded
    module = types.ModuleType(MAIN_AGAIN)
    module.__file__ = entry.file
    module.__package__ = entry.package or ""
    vars(module)[_SOURCE] = source
    sys.modules[MAIN_AGAIN] = module
    argv, sys.argv = sys.argv, [entry.file]
    try:
        with _main(module):
            code = compile(source, entry.file, "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 - the user's own script
    except ReplayStopped:
        pass  # all that the workflow needs was defined before it was called
    except (Exception, SystemExit) as error:
        del sys.modules[MAIN_AGAIN]
        raise EntryNotFound(f"the script {entry.file} fails while loading ({_said(error)})") from error
    finally:
        sys.argv = argv
    return module


def _source(module: types.ModuleType) -> bytes | None:
    return vars(module).get(_SOURCE)


def _said(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}")


def _is_file(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and Path(one).resolve() == Path(other).resolve()


def _place(entry: Entry) -> str:
    return entry.file if entry.module == "__main__" and entry.file else entry.module
