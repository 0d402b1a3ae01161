"""How recording fares on this machine, as metrics. It is looked at, not kept: what rises begins with the viewer."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Iterator

from tracer.doctor import Recording
from tracer.metrics.families import (
    ABANDONED,
    BEHIND,
    DEGRADED,
    PROCESSES,
    QUEUED,
    QUEUED_BYTES,
    REFUSED,
    WRITTEN,
    Metric,
)


@dataclass(slots=True)
class Risen:
    """Sums that only rise, out of numbers that fall: a process ends, and what it wrote is in no sum any more; what was
    counted of it stands in no place until its journal is brought in; and a user has counts forgotten."""

    written: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    _written_by: dict[str, int] = field(default_factory=dict)
    _last: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, seen: Recording) -> Iterator[Metric]:
        with self._lock:
            self._rise(seen)
            living = seen.living.values()
            behind_ns = [seen.at_ns - each.behind_since_ns for each in living if each.behind_since_ns]
            values = {
                PROCESSES: len(seen.living),
                QUEUED: sum(each.queued_events for each in living),
                QUEUED_BYTES: sum(each.queued_bytes for each in living),
                BEHIND: max(0, *behind_ns) / 1e9 if behind_ns else 0,
                ABANDONED: len(seen.dead),
                WRITTEN: self.written,
                REFUSED: self.counts[_REFUSED],
            }
            told: dict[tuple[str, ...], float] = {
                (what,): times for what, times in self.counts.items() if what != _REFUSED
            }
        yield from (Metric(family, {(): value}) for family, value in values.items())
        yield Metric(DEGRADED, told)

    def _rise(self, seen: Recording) -> None:
        written_by = {owner: status.written_events for owner, status in seen.living.items()}
        self.written += sum(max(0, now - self._written_by.get(owner, 0)) for owner, now in written_by.items())
        self._written_by = written_by
        if not seen.dead:
            counts = Counter({**seen.degraded, _REFUSED: seen.refused})
            # a Counter's difference has no negative numbers
            self.counts.update(counts - self._last)
            self._last = counts


_REFUSED = ""
