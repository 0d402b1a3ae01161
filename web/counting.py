"""Figures of many traces for a page: of the newest ones only, counted one at a time, and kept for some seconds.

Counting takes some 60 µs for each trace, during which the list of traces has to share the processor: so a page counts
2,000 of them, more where it is asked to, and nobody counts the same twice.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Callable, TypeVar

from tracer.seen import Seen
from tracer.store import Filter, Store

T = TypeVar("T")
#: How many traces a page counts, and how many it may be asked to count.
USUAL, MOST = 2_000, 20_000
KEPT_S = 15.0
_PLACES = 24
#: The year 2262: what a store can hold.
_LATEST_NS = 2**63 - 1


@dataclass(slots=True)
class Counting:
    """What was counted lately, by what was asked."""

    _kept: OrderedDict[Any, tuple[float, Any]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, key: Any, count: Callable[[], T]) -> tuple[T, int]:
        """What ``count`` gives, and how many seconds ago it gave it."""
        with self._lock:
            at_s, value = self._kept.get(key, (0.0, None))
            now_s = time.monotonic()
            if value is None or now_s - at_s >= KEPT_S:
                value = count()
                at_s = now_s = time.monotonic()
                self._kept[key] = (at_s, value)
                self._kept.move_to_end(key)
                while len(self._kept) > _PLACES:
                    self._kept.popitem(last=False)
            return value, int(now_s - at_s)


@dataclass(frozen=True, slots=True)
class Window:
    """What was asked for, and what is counted of it, which begins later where there was ``more`` than ``most``."""

    asked: Filter
    counted: Filter
    most: int
    more: bool


def window(store: Store, asked: Filter, most: int) -> Window:
    """The newest ``most`` of the filter's traces; replays only where it asks for them. A period that ends now is fixed,
    so that all that is read of it is of the same traces."""
    wanted = replace(asked, replays=bool(asked.replays), since=None, since_ns=asked.since_when_ns())
    edge = store.edge(wanted, most)
    return Window(asked, wanted if edge is None else replace(wanted, since_ns=edge), most, edge is not None)


def most_of(text: str) -> int:
    """How many a page is asked to count; anything but a number is the usual."""
    return max(1, min(int(text), MOST)) if text.isdecimal() and len(text) < 9 else USUAL


def read(store: Store, counted: Filter, *, every_step: bool = True) -> Seen:
    """All that is seen of these traces; without ``every_step`` only steps that decide, or that spend time outside."""
    with store.seen(counted, every_step=every_step) as seen:
        return replace(seen, steps=tuple(seen.steps))


def read_sides(store: Store, asked: Filter, moment_ns: int, most: int) -> Seen:
    """What lies before a moment and what follows it: of each the newest ``most``, so that neither is crowded out."""
    until_ns = min(moment_ns, asked.until_ns or moment_ns)
    since_ns = max(moment_ns, asked.since_when_ns() or 0)
    sides = (replace(asked, until_ns=until_ns), replace(asked, since=None, since_ns=since_ns))
    first, second = (read(store, window(store, side, most).counted, every_step=False) for side in sides)
    return Seen(
        first.runs + second.runs,
        (*first.steps, *second.steps),
        first.calls + second.calls,
        first.scores + second.scores,
    )


def moment_of(compare: str) -> int | None:
    """The moment of ``before:DATE``, in nanoseconds; None where that is not what is compared."""
    kind, _, told = compare.partition(":")
    if kind != "before":
        return None
    moment = datetime.fromisoformat(told)
    at_ns = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 10**9
    return max(0, min(at_ns, _LATEST_NS))
