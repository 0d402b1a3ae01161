"""What came of a replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replay.diff import Diff, diff
from replay.divergence import Divergence, Stopped
from tracer.store import open_store
from tracer.waiting import Waiting


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay. ``trace_id`` is the new trace's; the recorded one was not touched."""

    trace_id: str
    replay_of: str
    #: Whether it went on where the recorded run had stopped (``resume``), instead of running that again.
    resumed: bool
    output: Any
    #: What the workflow raised, if it did; None also where the replay was stopped.
    error: BaseException | None
    #: Why the replay ended early: a divergence or an effect that the plan says nothing of.
    stopped: Stopped | None
    #: The question to a human that it ended with, if it did; ``error`` is None then.
    waiting: Waiting | None
    #: Calls (models, tools, effects, HTTP) answered from the record, and calls that ran for real.
    served: int
    live: int
    #: All steps answered from the record, those below a served one included.
    served_steps: int
    divergences: tuple[Divergence, ...]
    #: What the live calls cost; None where one of them has no known price (``unpriced`` names those models).
    cost_usd: float | None
    saved_usd: float
    #: Seconds of waiting (sleeps, backoffs, timeouts) that were skipped; 0 with ``clock="real"``.
    virtual_s: float
    unpriced: tuple[str, ...]
    #: Rules that no step ever met: likely a misspelt name, or a step that this run did not come to.
    unused: tuple[str, ...]
    database_url: str

    @property
    def first(self) -> Divergence | None:
        """Where the replay and its record part first: both inputs, the paths that differ, what would accept it."""
        return self.divergences[0] if self.divergences else None

    def diff(self) -> Diff:
        """The recorded trace and this one, side by side."""
        with open_store(self.database_url) as store:
            return diff(store.trace(self.replay_of), store.trace(self.trace_id), store.value)
