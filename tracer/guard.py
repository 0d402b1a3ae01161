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
from typing import Iterator


class PlayheadWarning(UserWarning):
    """playhead could not record something. The workflow itself is not affected."""


#: How often each kind of thing went wrong in this process: ``playhead doctor`` and the viewer show it.
degraded: Counter[str] = Counter()
# Guards the counter, whose += is two steps.
_lock = threading.Lock()


def is_strict() -> bool:
    return os.environ.get("PLAYHEAD_STRICT", "").strip().lower() in {"1", "true", "yes", "on"}


@contextlib.contextmanager
def guard(what: str) -> Iterator[None]:
    """Let no error of ours out. ``what`` completes the sentence "playhead could not ..."."""
    try:
        yield
    except Exception as error:  # our own errors only: no user code runs inside a guard
        if is_strict():
            raise
        report(what, error)


def report(what: str, error: BaseException | str) -> None:
    """Count a failure, and say so the first time."""
    with _lock:
        degraded[what] += 1
        first = degraded[what] == 1
    if first:
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        with contextlib.suppress(PlayheadWarning):  # a warnings filter that raises must not reach the user's call
            warnings.warn(
                f"playhead could not {what} ({text}). Your code is not affected; `playhead doctor` says more.",
                PlayheadWarning,
                stacklevel=3,
            )
