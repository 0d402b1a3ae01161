"""Much work in small transactions: each takes the store for a moment, and leaves it to others for longer.

SQLite has one writer at a time, and who waits asks again and again, less and less often: a loop that takes the lock
back at once would keep everybody else out. So it has the lock a quarter of the time, and who asks eight times, which
takes an eighth of a second, is all but sure to find it free.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from itertools import islice
from typing import Iterable, Iterator, TypeVar

from sqlalchemy import Connection, Engine

from tracer.store.engine import reaching, writing

#: What one transaction is to take, in seconds.
_AIM_S = 0.02
#: How long the store is left to others afterwards: so many times as long, and at least so many seconds.
_REST = {"sqlite": 3.0, "postgresql": 0.5}
_LEAST_REST_S = 0.005
#: One transaction is never larger or smaller than the first by more than this: short ones may have been quick because
#: there was little to do, and long ones slow because the machine was busy.
_MOST, _LEAST = 20, 0.2
T = TypeVar("T")


class Pace:
    """How many things are done at once, by how long the last ones took. ``first`` are done to begin with."""

    def __init__(self, engine: Engine, first: int) -> None:
        self._engine = engine
        self._rest = _REST[engine.dialect.name]
        self.size = first
        self._bounds = max(1, int(first * _LEAST)), first * _MOST

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
        self._after(time.perf_counter() - began)

    def script(self, statement: str) -> None:
        """Run one statement of SQLite's to its end in a transaction of its own, and rest. The driver does a step of a
        statement without columns, where it is not in a script, and no more."""
        began = time.perf_counter()
        with reaching(self._engine.url):
            connection = self._engine.raw_connection()
            try:
                connection.cursor().executescript(f"BEGIN IMMEDIATE; {statement}; COMMIT")
            finally:
                connection.close()
        self._after(time.perf_counter() - began)

    def _after(self, took_s: float) -> None:
        factor = min(2.0, max(0.25, _AIM_S / max(took_s, 1e-6)))
        least, most = self._bounds
        self.size = min(most, max(least, int(self.size * factor)))
        time.sleep(max(_LEAST_REST_S, took_s * self._rest))
