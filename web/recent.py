"""What a page read of many traces, kept for a moment: who loads it again, and a second reader, wait for nothing."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Callable, Hashable, TypeVar

T = TypeVar("T")
#: A value is kept for ten times as long as it took to read, so that reading takes a tenth of the time at most.
_TIMES = 10.0
_LEAST_S = 2.0
_MOST_S = 300.0
_FEW = 32


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Any = None
    until_s: float = 0.0


class Recent:
    """Any thread may ask. Two that ask for the same wait for one reading of it; what raises is not kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    def get(self, key: Hashable, read: Callable[[], T]) -> T:
        """The value of a key, read anew where it has grown old."""
        with self._lock:
            kept = self._kept.setdefault(key, _Kept())
            self._kept.move_to_end(key)
            while len(self._kept) > _FEW:
                self._kept.popitem(last=False)
        with kept.lock:
            began_s = self._clock()
            if began_s >= kept.until_s:
                kept.value = read()
                ended_s = self._clock()
                kept.until_s = ended_s + min(_MOST_S, max(_LEAST_S, _TIMES * (ended_s - began_s)))
            value: T = kept.value
            return value
