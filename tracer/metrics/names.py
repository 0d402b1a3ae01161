"""Which names have a label value of their own, and which are ``other``. Pure.

Names are recorded data: a program that puts an id into a name would make a new time series with every run. A place is
given to who comes first, the most frequent before the others, and is kept, so that a counter is never moved into
another. Where all are taken, who was not seen for a day gives up its place, and its counters with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping

OTHER = "other"
_IDLE_NS = 24 * 3600 * 10**9
_LONGEST = 120


@dataclass(slots=True)
class Names:
    """The names of one label. ``seen_ns`` is when each was counted last."""

    most: int
    seen_ns: dict[str, int] = field(default_factory=dict)

    def admit(self, counts: Mapping[str, int], now_ns: int) -> set[str]:
        """Give places to names that were seen so often. Returns those that lost theirs."""
        self.seen_ns |= {name: now_ns for name in counts if name in self.seen_ns}
        new = sorted((name for name in counts if name not in self.seen_ns), key=lambda name: (-counts[name], name))
        idle = sorted(
            (name for name, at_ns in self.seen_ns.items() if now_ns - at_ns >= _IDLE_NS),
            key=self.seen_ns.__getitem__,
        )
        gone = set(idle[: max(0, len(self.seen_ns) + len(new) - self.most)])
        for name in gone:
            del self.seen_ns[name]
        for name in new[: self.most - len(self.seen_ns)]:
            self.seen_ns[name] = now_ns
        return gone

    def shown(self, name: str) -> str:
        return name if name in self.seen_ns else OTHER


def named(name: str | None) -> str:
    """A recorded name as a label may hold it: never empty, which would be no label."""
    return (name or "unknown")[:_LONGEST]
