"""The one place that swallows our own errors: our bug never breaks the user's call, and never goes unseen.

Every kind of failure is counted, and warned about once. Under ``PLAYHEAD_STRICT=1`` it is raised instead; our own
tests run so.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections import Counter
from types import TracebackType
from typing import Callable


class PlayheadWarning(UserWarning):
    """playhead could not record something. The workflow itself is not affected."""


#: Past the journal's cap new traces are refused: this completes the sentence, and counts them.
REFUSED = "keep up: its journal is full and new traces are refused"

#: The same for what is sent on while it is recorded (tracer.otlp.exporting): the store holds it all the same.
UNSENT = "send steps on over OTLP"

#: How often each kind of thing went wrong in this process: ``playhead doctor`` and the viewer show it.
degraded: Counter[str] = Counter()
#: The part of it that nothing tells of yet that outlives this process.
_untold: Counter[str] = Counter()
_teller: Callable[[], None] | None = None
# Guards the counters, whose += is two steps. Reentrant: the collector may run a finalizer that reports.
_lock = threading.RLock()


def is_strict() -> bool:
    return os.environ.get("PLAYHEAD_STRICT", "").strip().lower() in {"1", "true", "yes", "on"}


class guard:  # noqa: N801 - used like a function: ``with guard("record a step"):``
    """Let no error of ours out. ``what`` completes the sentence "playhead could not ...".

    A class and not a generator: it is entered four times per recorded step.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        # Errors of ours only: no user code runs inside a guard, and an interrupt is the user's.
        if not isinstance(error, Exception) or is_strict():
            return False
        report(self._what, error)
        return True


def _after_fork_in_child() -> None:
    global _lock, _teller  # noqa: PLW0603 - another thread of the parent may have held it; the counts are the parent's
    _lock = threading.RLock()
    _teller = None
    degraded.clear()
    _untold.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)


def swallow(what: str, error: Exception) -> None:
    """The same for a path where a context manager would cost too much: ``except Exception as error: swallow(...)``."""
    if is_strict():
        raise error
    report(what, error)


def report(what: str, error: BaseException | str, *, times: int = 1) -> None:
    """Count a failure, or several of one sort, and say so the first time."""
    with _lock:
        first = not degraded[what]
        degraded[what] += times
        _untold[what] += times
    if _teller is not None:
        with contextlib.suppress(Exception):
            _teller()
    if first:
        # A filter that makes errors of warnings, or a hook that fails, must not reach the user's call.
        with contextlib.suppress(Exception):
            text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
            warnings.warn(
                f"playhead could not {what} ({text}). Your code is not affected; `playhead doctor` says more.",
                PlayheadWarning,
                stacklevel=3,
            )


def tell(teller: Callable[[], None]) -> None:
    """Whom to call when something went wrong, so that other processes hear of it."""
    global _teller  # noqa: PLW0603 - one per process, as the counters
    _teller = teller


def tell_no_more(teller: Callable[[], None]) -> None:
    global _teller  # noqa: PLW0603
    if _teller == teller:
        _teller = None


def untold() -> dict[str, int]:
    """What went wrong here that is in no kept count yet."""
    with _lock:
        return dict(_untold)


def take() -> dict[str, int]:
    """The same, for who keeps it: from now on it is told of."""
    with _lock:
        taken = dict(_untold)
        _untold.clear()
    return taken
