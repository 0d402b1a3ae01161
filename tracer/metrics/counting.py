"""Counting each run once, when it has ended, whoever asks and however often.

Where a trace is first seen is not when it came: the journal of a process that was killed is brought in later, and spans
come when their exporter sends them. So a window of the newest traces is looked through each time, and who of them was
taken is remembered. What came after it had left the window, and before it was seen, is never counted: at two traces
a second the window is 40 minutes.

Window, counters and the runs that are waited for are one value in the store, changed by compare and set: a run is in
the counters exactly if it is remembered as taken, also when the viewer is killed, and when two count at once. In the
scraping process they would begin anew with it, and what ran meanwhile would be in no counter. The traces themselves
may go: what they were counted as stays.
"""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Callable

from sqlalchemy.exc import DatabaseError

from tracer.errors import StoreUnreachable
from tracer.metrics.ledger import Ledger
from tracer.store import Store
from tracer.store.arrivals import Arrival, Position, arrivals, newest, positions, told_by
from tracer.store.shared import Shared

NAME = "metrics:counted"
_VERSION = 1
#: Traces that are looked through each time: those that are counted at the very first, and how far back a late one may
#: lie.
WINDOW = 5_000
#: Runs that are waited for; beyond, those are given up that began first.
WAITED_FOR = 10_000
#: Steps that one answer counts at most, or one run; what is left comes with the next.
STEPS_AT_ONCE = 50_000
_RUNS_AT_ONCE = 500
#: How long after its end a run is counted: the rest of it, from other threads and processes, comes with it.
SETTLED_NS = 2 * 10**9
#: The same for spans whose topmost one has not come; it may never be sent.
_PART_SETTLED_NS = 15 * 60 * 10**9
#: How often one begins anew because another process was first; then its numbers will do.
_PATIENCE = 5
_BEGUN = ("running",)


@dataclass(slots=True)
class Counted:
    """The counters, and what they are of: ``floor`` is where the window begins, ``taken`` who in it is counted or
    ``waiting`` to be, each by the end of its id."""

    ledger: Ledger = field(default_factory=Ledger)
    floor: Position = (0, "")
    taken: set[bytes] = field(default_factory=set)
    waiting: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "floor": list(self.floor),
            "taken": base64.b64encode(b"".join(sorted(self.taken))).decode(),
            "waiting": self.waiting,
            "ledger": self.ledger.as_json(),
        }

    @classmethod
    def from_json(cls, told: Any) -> Counted | None:
        """None for what another version wrote."""
        if not isinstance(told, dict) or told.get("version") != _VERSION:
            return None
        ends = base64.b64decode(told["taken"])
        return cls(
            Ledger.from_json(told["ledger"]),
            (int(told["floor"][0]), str(told["floor"][1])),
            {ends[at : at + _END_BYTES] for at in range(0, len(ends), _END_BYTES)},
            list(told["waiting"]),
        )


#: Of sixteen: enough that two among some thousand are never the same, and small enough to be written each time.
_END_BYTES = 6


def _end(trace_id: str) -> bytes:
    return bytes.fromhex(trace_id[-2 * _END_BYTES :])


@dataclass(slots=True)
class Metering:
    """The counters of one store, as one process reads and continues them. Any thread may."""

    now_ns: Callable[[], int] = time.time_ns
    _lock: threading.Lock = field(default_factory=threading.Lock)
    #: What the store took no writes for, as JSON; and the version of what is kept there instead.
    _unkept: Any = None
    _instead_of: int = 0

    def read(self, store: Store) -> Counted:
        """The counters, with what ended since they were read last. Raises StoreUnreachable."""
        with self._lock:
            for _ in range(_PATIENCE):
                kept = store.shared(NAME).get(NAME)
                found, is_new = self._counted(store, kept)
                if not count(store, found, now_ns=self.now_ns(), is_first=is_new) and not is_new:
                    return found
                if self._keep(store, found, 0 if kept is None else kept.version):
                    return found
            # what others counted meanwhile
            return self._counted(store, store.shared(NAME).get(NAME))[0]

    def _counted(self, store: Store, kept: Shared | None) -> tuple[Counted, bool]:
        """What was counted so far, and whether that is nothing yet."""
        version = 0 if kept is None else kept.version
        is_ours = self._unkept is not None and self._instead_of == version
        found = Counted.from_json(self._unkept if is_ours or kept is None else kept.value)
        if found is not None:
            return found, False
        return Counted(floor=newest(store, until_ns=self.now_ns(), number=WINDOW)), True

    def _keep(self, store: Store, found: Counted, version: int) -> bool:
        told = found.as_json()
        try:
            is_kept = store.share(NAME, told, version=version)
        except (StoreUnreachable, DatabaseError):
            # read-only to us: the numbers are this process's own
            self._unkept, self._instead_of = told, version
            return True
        self._unkept = None
        return is_kept


def count(store: Store, found: Counted, *, now_ns: int, is_first: bool) -> bool:
    """Take what is new, count what has ended. Whether anything changed. The first time, what is too much for one answer
    is left out, the oldest: it would seem to have happened between this one and the next."""
    changed, left, more = False, STEPS_AT_ONCE, True
    while more and left > 0:
        new, more = _take(store, found, until_ns=now_ns)
        waited = len(found.waiting)
        left -= _count_ended(store, found, now_ns=now_ns, most_steps=left, is_first=is_first)
        changed |= new or len(found.waiting) < waited
    return changed


def _take(store: Store, found: Counted, *, until_ns: int) -> tuple[bool, bool]:
    """Put the traces that are new to the window among those that are waited for. Whether there were any, and whether
    there are more."""
    rows = positions(store, found.floor, until_ns=until_ns, limit=2 * WINDOW)
    new = [row for row in rows if _end(row[1]) not in found.taken]
    if not new:
        return False, False
    found.waiting = [*found.waiting, *(trace_id for _, trace_id in new)][-WAITED_FOR:]
    window = rows[-WINDOW:]
    found.floor = window[0] if len(rows) > WINDOW else found.floor
    found.taken = {_end(trace_id) for _, trace_id in window}
    return True, len(rows) == 2 * WINDOW


def _count_ended(store: Store, found: Counted, *, now_ns: int, most_steps: int, is_first: bool) -> int:
    """Count those that have ended, and let go of those that are no more or are replays. How many steps were counted."""
    there = {each.trace_id: each for each in arrivals(store, found.waiting)}
    due = [each for name in found.waiting if (each := there.get(name)) is not None and _is_due(each, now_ns)]
    open_ones = there.keys() - {each.trace_id for each in due}
    if is_first:
        due.reverse()
    fits = [
        each
        for each, before in zip(due, accumulate((each.steps for each in due), initial=0), strict=False)
        if before < most_steps
    ]
    for start in range(0, len(fits), _RUNS_AT_ONCE):
        _add(store, found.ledger, fits[start : start + _RUNS_AT_ONCE], now_ns)
    left = set() if is_first else {each.trace_id for each in due[len(fits) :]}
    found.waiting = [name for name in found.waiting if name in open_ones or name in left]
    return sum(each.steps for each in fits)


def _is_due(each: Arrival, now_ns: int) -> bool:
    if each.status in _BEGUN:
        return False
    return each.ended_ns is None or now_ns - each.ended_ns >= (_PART_SETTLED_NS if each.is_part else SETTLED_NS)


def _add(store: Store, ledger: Ledger, batch: list[Arrival], now_ns: int) -> None:
    names = [each.trace_id for each in batch if not each.is_replay]
    told = told_by(store, names)
    # one may be deleted between two questions
    known = {run.trace_id for run in told.runs}
    ledger.add(
        told.runs,
        [step for step in told.steps if step.trace_id in known],
        [call for call in told.calls if call.trace_id in known],
        now_ns=now_ns,
    )
