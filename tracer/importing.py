"""No fork while something of ours is half imported.

What another thread is importing when a process forks stays half imported in the child, and locked for good: whoever
asks for it there waits for a thread that does not exist. (Python guards its table of modules across a fork, not the
lock of each module.) Much of ours is imported late, on whatever thread needs it first, and the store's library on our
own thread. So a fork waits for these.

The two modules of the standard library that hold a lock for the length of a fork are imported with this one: imported
while a fork waits, they would be told of its end and not of its beginning, and let go of what nobody holds.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - see above
import logging  # noqa: F401 - likewise
import os
import threading
from collections import Counter

from tracer.guard import report

#: Past this a fork goes on: the import may wait for one that the forking thread is in the middle of.
_PATIENCE_S = 10.0

# Held for the length of a fork, so that nothing begins meanwhile. Reentrant: a hook or a finalizer may import.
_changed = threading.Condition(threading.RLock())
#: Threads that import something now, with how deep they are in it.
_threads: Counter[int] = Counter()
#: Whether this is a child that was forked in the middle of an import for all that.
_interrupted = False


class Importing:
    """``with IMPORTING: from somewhere import something``. May be entered again inside."""

    __slots__ = ()

    def __enter__(self) -> None:
        with _changed:
            _threads[threading.get_ident()] += 1

    def __exit__(self, *_: object) -> None:
        with _changed:
            thread = threading.get_ident()
            _threads[thread] -= 1
            if not _threads[thread]:
                del _threads[thread]
                _changed.notify_all()


#: One for all: it has no state of its own.
IMPORTING = Importing()


def was_interrupted() -> bool:
    """Whether this process was forked while another thread was importing something of ours, which can't be had here."""
    return _interrupted


def _others() -> bool:
    return bool(_threads.keys() - {threading.get_ident()})


def _before_fork() -> None:
    _changed.acquire()
    _changed.wait_for(lambda: not _others(), _PATIENCE_S)


def _after_fork_in_parent() -> None:
    _changed.release()


def _after_fork_in_child() -> None:
    global _changed, _interrupted  # noqa: PLW0603 - the locks and threads are the parent's
    _interrupted = _interrupted or _others()
    if _interrupted:
        report("record in this forked process", "its parent was in the middle of an import")
    depth = _threads[threading.get_ident()]
    _changed = threading.Condition(threading.RLock())
    _threads.clear()
    if depth:
        _threads[threading.get_ident()] = depth


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
