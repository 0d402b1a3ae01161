"""``time`` and ``asyncio`` as code inside a replay sees them, while one runs.

Replaced are the functions of the ``time`` module, and the names under which modules took them (``from time import
sleep``), outside of the standard library; and what ``asyncio.run`` makes its loop with. What stands in for them asks
the running step first, so that code outside of a replay, on whatever thread, gets the real thing.

Not reached: a function taken as a default argument or kept in an object before the replay began, ``datetime.now()``,
waits of C code and of locks (``Event.wait(5)``), and event loops that a program makes by their class.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from asyncio import events
from contextlib import contextmanager
from typing import Any, Callable, Iterator, NamedTuple

from replay.clock.loop import VirtualLoop
from replay.clock.player import playing, waits_for_real

#: These wait for a process, and look again and again whether it has ended.
_POLLERS = frozenset({"subprocess", "multiprocessing"})
#: What it is told must be true outside: deadlines of locks, times in logs and in the record itself.
_REAL_TIME = sys.stdlib_module_names | {"tracer", "replay"}


class _Standing:
    """Stands in for a function of ``time``. An instance, not a function: what a step's code names is part of its
    fingerprint, which must be the same as without us."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self.real = real
        self.__name__ = self.__qualname__ = real.__name__
        self.__doc__ = real.__doc__

    def __repr__(self) -> str:
        return repr(self.real)


class _Sleep(_Standing):
    def __call__(self, seconds: float, /) -> None:
        player = playing()
        if player is None or waits_for_real() or _caller() in _POLLERS:
            self.real(seconds)
        else:
            assert player.clock is not None
            player.clock.sleep(seconds)


class Reading(_Standing):
    def __init__(self, real: Callable[[], Any]) -> None:
        super().__init__(real)
        self._in_ns = real.__name__.endswith("_ns")

    def __call__(self) -> Any:
        player = playing()
        if player is None or _caller() in _REAL_TIME:
            return self.real()
        assert player.clock is not None
        skipped_ns = player.clock.skipped_ns
        return self.real() + (skipped_ns if self._in_ns else skipped_ns / 1e9)


class _NewLoop(_Standing):
    def __call__(self) -> Any:
        player = playing()
        if player is None:
            return self.real()
        assert player.clock is not None
        return VirtualLoop(player.clock)


_READINGS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
_sleep = _Sleep(time.sleep)
#: The real one's id -> what stands in for it.
_STANDING: dict[int, _Standing] = {
    id(each.real): each for each in (_sleep, *(Reading(getattr(time, name)) for name in _READINGS))
}
_NEW_LOOP = _NewLoop(events.new_event_loop)
#: Where something was replaced: the namespace, the name, what stands there now and what stood there before.
_replaced: list[tuple[dict[str, Any], str, _Standing, Any]] = []


class _Known(NamedTuple):
    """A module's namespace, how many names it had when it was looked through, and under which of them it has what is to
    be replaced. Looked through again where it has more names, or fewer."""

    module: Any
    namespace: dict[str, Any]
    size: int
    names: tuple[str, ...]


_known: dict[str, _Known] = {}
_running = 0
# Guards these two: replays may run at the same time.
_lock = threading.Lock()


@contextmanager
def replaced() -> Iterator[None]:
    """While a replay on a virtual clock runs."""
    global _running  # noqa: PLW0603 - how many there are in this process
    with _lock:
        _running += 1
        if _running == 1:
            _replace()
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if not _running:
                _restore()


def _replace() -> None:
    for namespace, name, standing in _found():
        _replaced.append((namespace, name, standing, namespace[name]))
        namespace[name] = standing


def _restore() -> None:
    for namespace, name, standing, before in _replaced:
        if namespace.get(name) is standing:  # the program may have put something else there
            namespace[name] = before
    _replaced.clear()


def _found() -> list[tuple[dict[str, Any], str, _Standing]]:
    """Every name, in any module that is to see virtual time, of a function that is to be replaced."""
    found: list[tuple[dict[str, Any], str, _Standing]] = [
        (vars(module), "new_event_loop", _NEW_LOOP) for module in (asyncio, events)
    ]
    modules = sys.modules.copy()
    for key, module in modules.items():
        known = _known.get(key)
        # A program has thousands of modules, and every replay comes through here.
        if known is None or known.module is not module or known.size != len(known.namespace):
            known = _known[key] = _looked_through(module)
        for name in known.names:
            standing = _STANDING.get(id(known.namespace.get(name)))
            if standing is not None:
                found.append((known.namespace, name, standing))
    for key in _known.keys() - modules.keys():
        del _known[key]
    return found


def _looked_through(module: Any) -> _Known:
    name, namespace = getattr(module, "__name__", None), getattr(module, "__dict__", None)
    is_real = module is not time and (not isinstance(name, str) or name.partition(".")[0] in _REAL_TIME)
    if is_real or not isinstance(namespace, dict):
        return _Known(module, {}, 0, ())
    here = tuple(namespace.items())
    return _Known(
        module,
        namespace,
        len(here),
        tuple(name for name, value in here if id(value) in _STANDING and type(name) is str),
    )


def _caller() -> str:
    """The top-level package of the code that asks for the time."""
    name = sys._getframe(2).f_globals.get("__name__")  # noqa: SLF001 - the only way to see who calls
    return name.partition(".")[0] if isinstance(name, str) else ""
