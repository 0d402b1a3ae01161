"""What is caught beside the decorated functions: model calls at the HTTP clients, and threads and
processes that a workflow starts.

It is put in place by the first workflow of a process, so that importing tracer touches nothing of anybody's.
"""

from __future__ import annotations

from typing import Callable

from tracer.importing import IMPORTING, was_interrupted

#: What puts it in place, once that is imported.
_installers: tuple[Callable[[], None], ...] = ()


def instrument() -> None:
    """Catch model calls at the HTTP clients, and carry the running step into threads and processes, from now on. The
    first workflow does this by itself; call it where others wrap the same clients and the order matters."""
    global _installers  # noqa: PLW0603 - imported once, and this is the one who does
    if not _installers and not was_interrupted():
        with IMPORTING:
            from tracer import http, processes, threads  # noqa: PLC0415

        _installers = (http.install, threads.install, processes.install)
    for install in _installers:
        install()
