"""Database drivers that connect in C, of which the interpreter tells nobody: so that the guard hears of them, they say
first that they are about to, by an audit event of ours. Outside a replay nobody listens to it.
"""

from __future__ import annotations

import sys
from functools import wraps
from types import ModuleType
from typing import Any

from tracer.imports import when_imported

#: The event; its one argument says what is opened, without address or password.
EVENT = "playhead.connect"


def install() -> None:
    """Have these drivers tell from now on, whether they are imported already or later."""
    when_imported("psycopg.generators", _hook_psycopg)


def _hook_psycopg(module: ModuleType) -> None:
    """Its one seam: connections of every class, sync and async, are made by this function."""
    connect = module.connect

    @wraps(connect)
    def connect_told(*args: Any, **kwargs: Any) -> Any:
        sys.audit(EVENT, "a Postgres database")
        return connect(*args, **kwargs)

    module.connect = connect_told  # type: ignore[attr-defined]  # found when it is imported
