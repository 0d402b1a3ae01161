"""What retention asks of a trace: the flat rows that the store reads for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

#: Why a trace is kept longer than an ordinary one.
Reason = Literal["failed", "scored", "escalated", "replayed"]
REASONS: tuple[Reason, ...] = get_args(Reason)
#: Why a trace can't go at all.
Held = Literal["running", "waiting", "pinned"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One trace. ``size`` is its share of the store, in bytes; 0 where nobody asked for it. ``origin`` is the trace
    that it replays or went on from, also when that one is gone."""

    trace_id: str
    workflow: str
    started_ns: int
    size: int = 0
    origin: str | None = None
    reasons: frozenset[Reason] = frozenset()
    held: Held | None = None
