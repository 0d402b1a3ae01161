"""Watching user code ask for time, chance, the environment, files, sockets and processes: by file, line and step.

Functions are watched by the interpreter's profile events and I/O by its audit events, so nothing is replaced: it does
not matter under which name, or as whose default, the code has them. Noted is only what user code asks for itself, at
most through the modules of the standard library that give such values; what a library asks for its own ends (a client's
jitter, a logger's time) is not. Not seen: what C code calls (``map(time.time, ...)``, numpy's generators).
"""

from __future__ import annotations

import datetime as dt
import os
import random
import sys
import sysconfig
import threading
import time
from collections import Counter
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Callable, Iterator, NamedTuple

import replay
import tracer
from replay.clock.patches import Reading
from replay.player import ReplayPlayer
from tracer.context import CURRENT


class Site(NamedTuple):
    file: str
    line: int


class Asked(NamedTuple):
    """One thing asked for: ``kind`` is time, duration, random, environment or I/O; ``step`` is a path."""

    kind: str
    what: str
    site: Site
    step: str


_CLOCKS: dict[str, str] = {
    **dict.fromkeys(("time", "time_ns"), "time"),
    **dict.fromkeys(("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"), "duration"),
}
_BUILTINS: dict[Any, str] = {
    **{getattr(time, name): kind for name, kind in _CLOCKS.items()},
    os.urandom: "random",
}
_OF_DATES = frozenset({"now", "utcnow", "today"})
_OF_RANDOM = frozenset({"random", "getrandbits"})
_ENVIRON = tuple(getattr(type(os.environ), name).__code__ for name in ("__getitem__", "__iter__", "copy"))
#: The modules that give such values: to be seen through.
_GIVERS = frozenset({"random", "secrets", "uuid", "os", "_collections_abc", "collections.abc", "tempfile", "datetime"})
#: Audit events of I/O, with the number of the argument that says what is reached.
_IO = {
    "open": 0, "os.listdir": 0, "os.scandir": 0, "sqlite3.connect": 0, "socket.connect": 1, "socket.getaddrinfo": 0,
    "subprocess.Popen": 1, "os.system": 0, "os.posix_spawn": 0, "os.exec": 0,
}  # fmt: skip
#: Whoever reads a file below these reads code.
_OF_IMPORTS = frozenset({"importlib", "linecache", "zipimport", "pkgutil", "inspect", "tokenize"})
_LIBRARIES = tuple(
    str(Path(path).resolve()) + os.sep
    for path in (
        *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
        *(str(Path(str(package.__file__)).parent) for package in (tracer, replay)),
    )
)


class Watch:
    """What user code, that is code below the folder ``root``, asked for while ``on`` was."""

    def __init__(self, root: str) -> None:
        self.asked: Counter[Asked] = Counter()
        #: Where each step was called from, by its id in the replay.
        self.calls: dict[str, Site] = {}
        self._root = str(Path(root).resolve()) + os.sep
        self._seeded: set[int] = set()
        self._on = False
        self._calls: dict[CodeType, Callable[[FrameType], None]] = {
            random.Random.seed.__code__: self._seed,
            Reading.__call__.__code__: self._reading,
            ReplayPlayer.decide.__code__: self._decide,
            **dict.fromkeys(_ENVIRON, self._environ),
        }
        self._is_users = lru_cache(maxsize=None)(self._is_file_of_user)
        sys.addaudithook(self._audit)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch all threads that are started from now on, and this one."""
        threading.setprofile(self._event)
        sys.setprofile(self._event)
        self._on = True
        try:
            yield
        finally:
            self._on = False
            sys.setprofile(None)
            threading.setprofile(None)

    # -- functions -------------------------------------------------------------------------------------------------

    def _event(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call":
            self._c_call(frame, function)
        elif event == "call":
            found = self._calls.get(frame.f_code)
            if found is not None:
                found(frame)

    def _c_call(self, frame: FrameType, function: Any) -> None:
        name = getattr(function, "__name__", None)
        owner = getattr(function, "__self__", None)
        if name in _OF_RANDOM and isinstance(owner, random.Random):
            if id(owner) not in self._seeded:
                self._note(frame, "random", f"random.{name}")
        elif name in _OF_DATES and isinstance(owner, type) and issubclass(owner, dt.date):
            self._note(frame, "time", f"{owner.__name__}.{name}")
        elif name in _CLOCKS or name == "urandom":
            kind = _BUILTINS.get(function)
            if kind is not None:
                self._note(frame, kind, f"{function.__module__}.{name}".replace("posix.", "os."))

    def _seed(self, frame: FrameType) -> None:
        if frame.f_locals.get("a") is not None:
            self._seeded.add(id(frame.f_locals["self"]))

    def _environ(self, frame: FrameType) -> None:
        if (variable := frame.f_locals.get("key")) is not None:
            self._note(frame.f_back, "environment", f"os.environ[{variable!r}]")
        else:
            self._note(frame.f_back, "environment", "os.environ")

    def _reading(self, frame: FrameType) -> None:
        name = frame.f_locals["self"].__name__
        self._note(frame.f_back, _CLOCKS[name], f"time.{name}")

    def _decide(self, frame: FrameType) -> None:
        at = frame.f_back
        while at is not None and not self._is_users(at.f_code.co_filename):
            at = at.f_back
        if at is not None:
            self.calls[frame.f_locals["call"].step_id] = _site(at)

    def _note(self, frame: FrameType | None, kind: str, what: str) -> None:
        """Note what ``frame`` asked for, if that is user code, or gives it to user code."""
        step = CURRENT.get()
        if step is None or step.trace.player is None:
            return
        while frame is not None and not self._is_users(frame.f_code.co_filename):
            name = frame.f_globals.get("__name__")
            is_made = frame.f_code.co_filename.startswith("<")  # a dataclass's __init__, say, or a module of givers
            if name not in _GIVERS and not is_made:
                return
            if name in _GIVERS and not frame.f_code.co_name.startswith("_") and kind != "environment":
                what = f"{name}.{frame.f_code.co_name}"
            frame = frame.f_back
        if frame is not None:
            self.asked[Asked(kind, what, _site(frame), step.path)] += 1

    # -- I/O -------------------------------------------------------------------------------------------------------

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or event not in _IO:
            return
        step = CURRENT.get()
        if step is None or step.trace.player is None:
            return
        place = arguments[_IO[event]]
        if event == "open" and not self._is_data(place):
            return
        frame = self._user_behind(sys._getframe(1))  # noqa: SLF001 - the only way to see who asks
        if frame is not None:
            self.asked[Asked("I/O", f"{event} {_shown(place)}", _site(frame), step.path)] += 1

    def _user_behind(self, frame: FrameType | None) -> FrameType | None:
        """The user's code that led here; None where that was ours, or an import."""
        while frame is not None and not self._is_users(frame.f_code.co_filename):
            package = str(frame.f_globals.get("__name__")).partition(".")[0]
            if package in {"tracer", "replay"} or package in _OF_IMPORTS:
                return None
            frame = frame.f_back
        return frame

    def _is_data(self, place: Any) -> bool:
        if isinstance(place, int) or place is None:
            return False  # a descriptor that is open already
        path = str(Path(os.fsdecode(place)).absolute())
        return not path.startswith(_LIBRARIES) and not path.startswith(("/dev/", "/proc/", "/sys/"))

    def _is_file_of_user(self, file: str) -> bool:
        path = "" if file.startswith("<") else os.path.realpath(file)
        is_library = path.startswith(_LIBRARIES) or f"{os.sep}site-packages{os.sep}" in path
        return path.startswith(self._root) and not is_library


def _site(frame: FrameType) -> Site:
    return Site(os.path.realpath(frame.f_code.co_filename), frame.f_lineno)


def _shown(place: Any) -> str:
    text = os.fsdecode(place) if isinstance(place, str | bytes | os.PathLike) else str(place)
    return text if len(text) <= 100 else f"{text[:100]}..."
