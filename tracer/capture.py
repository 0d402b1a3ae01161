"""What is caught beside the decorated functions: model calls at the HTTP clients, and threads and
processes that a workflow starts.

It is put in place by the first workflow of a process, so that importing tracer touches nothing of anybody's.
"""

from __future__ import annotations

import os
import threading
from typing import Callable

from tracer.guard import report

#: What puts it in place, once that is imported.
_installers: tuple[Callable[[], None], ...] = ()
#: Threads that import it just now. What is half imported at a fork stays so in the child, with its import lock held.
_importing: set[int] = set()


def instrument() -> None:
    """Catch model calls at the HTTP clients, and carry the running step into threads and processes, from now on. The
    first workflow does this by itself; call it where others wrap the same clients and the order matters."""
    global _installers  # noqa: PLW0603 - imported once, and this is the one who does
    if not _installers:
        _importing.add(threading.get_ident())
        from tracer import http, processes, threads  # noqa: PLC0415

        _installers = (http.install, threads.install, processes.install)
        _importing.discard(threading.get_ident())
    for install in _installers:
        install()


def _nothing_caught() -> None:
    """In a child that was forked while another thread of its parent was importing the capture."""
    report("catch model calls in this forked process", "its parent was just starting to record")


def _after_fork_in_child() -> None:
    global _installers  # noqa: PLW0603
    if not _installers and _importing - {threading.get_ident()}:
        _installers = (_nothing_caught,)


os.register_at_fork(after_in_child=_after_fork_in_child)
