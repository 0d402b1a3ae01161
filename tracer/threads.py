"""The running step, carried into threads that a workflow starts: by ``threading.Thread``, and by the thread pools of
``concurrent.futures`` (and so by ``loop.run_in_executor``), which Python gives no context.

Only our own variables are carried: what other libraries keep in theirs stays as it would be without us. Outside a
workflow both do exactly what they did.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, Callable

from tracer.context import CARRIED, CURRENT, ActiveStep
from tracer.player import ReplayStopped

_originals: dict[type, Callable[..., Any]] = {}
# Guards the table above.
_lock = threading.Lock()


def install() -> None:
    """Carry the running step from now on."""
    if _originals:
        return
    with _lock:
        if not _originals:
            _originals[threading.Thread] = threading.Thread.start
            _originals[ThreadPoolExecutor] = ThreadPoolExecutor.submit
            threading.Thread.start = _starting(threading.Thread.start)  # type: ignore[method-assign]
            ThreadPoolExecutor.submit = _submitting(ThreadPoolExecutor.submit)  # type: ignore[method-assign]


def uninstall() -> None:
    """Give both their own methods back."""
    with _lock:
        if _originals:
            threading.Thread.start = _originals.pop(threading.Thread)  # type: ignore[method-assign]
            ThreadPoolExecutor.submit = _originals.pop(ThreadPoolExecutor)  # type: ignore[method-assign]


def _starting(start: Callable[..., None]) -> Callable[..., None]:
    @wraps(start)
    def start_below(self: threading.Thread) -> None:
        step = CURRENT.get()
        if step is None:
            return start(self)
        run = _carrying(self.run)

        def run_below() -> None:
            del self.run  # it refers to the thread, which would be kept alive by it
            within(step, run)

        self.run = run_below  # type: ignore[method-assign]  # an attribute of this one thread, found before its class's
        try:
            return start(self)
        except BaseException:
            self.__dict__.pop("run", None)
            raise

    return start_below


def _submitting(submit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(submit)
    def submit_below(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        step = CURRENT.get()
        if step is None:
            return submit(self, fn, *args, **kwargs)
        shares_nothing = _is_of_interpreters(self)
        if shares_nothing and step.trace.player is not None:
            raise ReplayStopped(f"{step.path} hands work to another interpreter, where a replay can't ask about steps")
        # A thread that the pool starts here serves whoever comes: it must not take this step for its own.
        token = CURRENT.set(None)
        try:
            return (
                submit(self, fn, *args, **kwargs)
                if shares_nothing
                else submit(self, within, step, _carrying(fn), *args, **kwargs)
            )
        finally:
            CURRENT.reset(token)

    return submit_below


def _is_of_interpreters(pool: ThreadPoolExecutor) -> bool:
    """A pool of interpreters, new in Python 3.14, is one of threads that share no objects: no step can be carried."""
    return any(cls.__name__ == "InterpreterPoolExecutor" for cls in type(pool).__mro__)


def _carrying(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with what is to be carried, as it is now."""
    held = [(variable, value) for variable in CARRIED if (value := variable.get(None)) is not None]
    if not held:
        return function

    def carrying(*args: Any, **kwargs: Any) -> Any:
        tokens = [(variable, variable.set(value)) for variable, value in held]
        try:
            return function(*args, **kwargs)
        finally:
            for variable, token in tokens:
                variable.reset(token)

    return carrying


def within(step: ActiveStep, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function below ``step``, on whatever thread this is."""
    token = CURRENT.set(step)
    try:
        return function(*args, **kwargs)
    finally:
        CURRENT.reset(token)
