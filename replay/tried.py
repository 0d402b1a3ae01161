"""Cells of fault matrices, found again in what they left: every cell is a replay, and its plan says which. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Callable

from replay.divergence import Divergence, Stopped, one_line
from replay.outcomes import Outcome, Played, judged
from replay.plan import KEEPS_EFFECTS, ONCE
from replay.result import Replay
from tracer.model import Failure, PayloadRef, Trace
from tracer.waiting import Waiting

#: What says of a matrix's plans how they ran, and not what they did.
_ASIDE = ("--on-divergence", "--budget-usd", "--unguarded")
_LIVE = "--on-divergence live"


@dataclass(frozen=True, slots=True)
class Tried:
    """What one replay of a matrix tried: one fault at one step, or, with both empty, none. ``live`` is whether calls
    that the record does not hold were allowed to go live."""

    path: str
    fault: str
    once: bool
    live: bool


def tried(trace: Trace) -> Tried | None:
    """None for a replay that is of no matrix."""
    rules = [str(rule) for rule in (trace.plan or {}).get("rules") or ()]
    acting = [rule for rule in rules if rule != KEEPS_EFFECTS and not rule.startswith(_ASIDE)]
    if KEEPS_EFFECTS not in rules or len(acting) > 1:
        return None
    if not acting:
        return Tried("", "", once=False, live=_LIVE in rules)
    option, _, value = acting[0].partition(" ")
    path, _, fault = value.rpartition("=")
    if option != "--fail":
        return None
    return Tried(path, fault.removesuffix(ONCE), once=fault.endswith(ONCE), live=_LIVE in rules)


def outcome_again(base: Trace, trace: Trace, value: Callable[[PayloadRef], Any]) -> tuple[Outcome, str]:
    """What became of a cell, held against the replay without a fault; as the matrix judged it, from both traces."""
    failure = None if trace.root is None else trace.root.failure
    if trace.summary.status == "stopped":
        said = one_line(failure.message) if failure is not None else ""
        return ("needs-live" if _LIVE in said else "stopped"), said
    return judged(_played(base, value), _played(trace, value))


def _played(trace: Trace, value: Callable[[PayloadRef], Any]) -> Played:
    root, status = trace.root, trace.summary.status
    failure = None if root is None else root.failure
    output = None if root is None or root.output is None else value(root.output)
    return Played(
        Replay(
            trace_id=trace.trace_id,
            replay_of=trace.summary.replay_of or "",
            resumed=False,
            output=output,
            error=None if failure is None or status in {"stopped", "waiting"} else _error(failure),
            stopped=None if status != "stopped" else Stopped(Divergence("undecided", "", "stopped"), ""),
            waiting=None if status != "waiting" else _waiting(trace),
            served=0,
            live=0,
            served_steps=0,
            divergences=(),
            cost_usd=None,
            saved_usd=0.0,
            virtual_s=0.0,
            unpriced=(),
            unused=(),
            database_url="",
        ),
        trace,
        value,
    )


def _waiting(trace: Trace) -> Waiting:
    asked = next((step for step in reversed(trace.steps) if step.kind == "human"), None)
    name = trace.summary.workflow if asked is None else asked.path
    return Waiting(name, trace.trace_id, "" if asked is None else asked.step_id)


def _error(failure: Failure) -> BaseException:
    """An error of that name and message: the class itself need not be imported here."""
    return _error_type(failure.type)(failure.message)


@cache
def _error_type(name: str) -> type[Exception]:
    return type(name.rpartition(":")[2].rpartition(".")[2], (Exception,), {})
