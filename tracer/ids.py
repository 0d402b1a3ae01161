"""Ids and time. A trace id is 16 bytes and sorts by time; a step id is 8 (the sizes of W3C trace context)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from random import Random

#: Our own: who seeds the module's, to run the same again, must find nothing taken from it. Ids must differ, not be
#: secret. The system's generator lets go of the interpreter at each call, and another thread may then keep it for
#: milliseconds; this one is seeded from it, and anew in a forked child.
CHANCE = Random()  # noqa: S311 - no secret
os.register_at_fork(after_in_child=CHANCE.seed)


def new_trace_id(now_ns: int) -> bytes:
    """48 bits of milliseconds, then chance: ids made later sort later, as in UUID version 7 (RFC 9562)."""
    return (now_ns // 1_000_000).to_bytes(6, "big") + CHANCE.randbytes(10)


def new_step_id() -> bytes:
    return CHANCE.getrandbits(64).to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class Anchor:
    """A wall-clock reading and a monotonic one, taken together: times within one trace never run backwards, even when
    the machine's clock is set back while it runs."""

    wall_ns: int
    monotonic_ns: int

    @classmethod
    def now(cls) -> Anchor:
        return cls(time.time_ns(), time.perf_counter_ns())

    def read_ns(self) -> int:
        return self.wall_ns + time.perf_counter_ns() - self.monotonic_ns
