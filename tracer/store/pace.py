"""Much work in small transactions: each takes the store for a moment, and leaves it to others for longer.

SQLite has one writer at a time, and who waits asks again and again: a loop that takes the lock back at once would keep
everybody else out.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from itertools import islice
from typing import Iterable, Iterator, TypeVar

from sqlalchemy import Connection, Engine

from tracer.store.engine import writing

#: What one transaction is to take, in seconds.
_AIM_S = 0.02
#: How long the store is left to others afterwards: so many times as long, and at least so many seconds.
_REST, _LEAST_REST_S = 1.5, 0.005
_LEAST = 1
T = TypeVar("T")


class Pace:
    """How many things are done at once, by how long the last ones took. ``first`` are done to begin with."""

    def __init__(self, engine: Engine, first: int) -> None:
        self._engine = engine
        self.size = first

    def portions(self, things: Iterable[T]) -> Iterator[list[T]]:
        """The things, as many at a time as the pace then is."""
        rest = iter(things)
        while portion := list(islice(rest, self.size)):
            yield portion

    @contextmanager
    def turn(self) -> Iterator[Connection]:
        """One write transaction, and a rest."""
        with writing(self._engine) as connection:
            began = time.perf_counter()
            yield connection
        took = time.perf_counter() - began
        self.size = max(_LEAST, int(self.size * min(2.0, max(0.25, _AIM_S / max(took, 1e-6)))))
        time.sleep(max(_LEAST_REST_S, took * _REST))
