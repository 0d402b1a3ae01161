"""The three states of a circuit, each of which says what comes next. Pure: no clock, no lock, no tracer.

Every transition begins a new epoch. A call remembers the epoch it was let through in, and what it reports later counts
in that epoch only: a call from before the circuit opened neither closes it nor opens it again, and of the probes of a
half-open circuit only the newest is heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from router.breaker.trips import Trip

Name = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class Rules:
    """When a circuit opens, for how many seconds, and after how many a probe that never reported is given up."""

    trip: Trip
    open_s: float = 30.0
    probe_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("open_s", "probe_s"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}={getattr(self, name)}: a number of seconds above 0 is needed")


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody wants to call. The call is let through where ``admits`` says so."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The call that was let through in ``epoch`` did what it should."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not, in a way that speaks against the target."""

    epoch: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The call ended in a way that says nothing about the target: it was cancelled, or failed for another reason."""

    epoch: int


Event = Ask | Succeeded | Failed | Abandoned


@dataclass(frozen=True, slots=True)
class Closed:
    """Calls go through, and their failures are counted."""

    epoch: int
    counted: Any
    name: ClassVar[Name] = "closed"

    def next(self, event: Event, now: float, rules: Rules) -> State:
        if not isinstance(event, Succeeded | Failed) or event.epoch != self.epoch:
            return self
        counted = rules.trip.after(self.counted, now, failed=isinstance(event, Failed))
        why = rules.trip.reason(counted, now) if isinstance(event, Failed) else None
        if why is not None and isinstance(event, Failed):
            last = f", the last one: {event.reason}" if event.reason else ""
            return Open(self.epoch + 1, now + rules.open_s, why + last)
        return self if counted == self.counted else Closed(self.epoch, counted)


@dataclass(frozen=True, slots=True)
class Open:
    """No call goes through before ``until``; the first that asks from then on is the probe."""

    epoch: int
    until: float
    reason: str
    name: ClassVar[Name] = "open"

    def next(self, event: Event, now: float, rules: Rules) -> State:
        if isinstance(event, Ask) and now >= self.until:
            return HalfOpen(self.epoch + 1, now + rules.probe_s, self.reason)
        return self


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """One call, the probe, is under way and no other goes through. Unheard of by ``until``, it is given up, and the
    first call that asks from then on is the probe."""

    epoch: int
    until: float
    reason: str
    name: ClassVar[Name] = "half-open"

    def next(self, event: Event, now: float, rules: Rules) -> State:
        if isinstance(event, Ask):
            return self if now < self.until else HalfOpen(self.epoch + 1, now + rules.probe_s, self.reason)
        if event.epoch != self.epoch:
            return self
        if isinstance(event, Succeeded):
            return Closed(self.epoch + 1, rules.trip.empty())
        if isinstance(event, Failed):
            return Open(self.epoch + 1, now + rules.open_s, event.reason or self.reason)
        return Open(self.epoch + 1, now, self.reason)  # abandoned: the next one that asks may try


State = Closed | Open | HalfOpen


def admits(before: State, after: State) -> bool:
    """Whether the call that asked in ``before``, which made it ``after``, goes through."""
    return isinstance(after, Closed) or (isinstance(after, HalfOpen) and after is not before)


def told(state: State, now: float, rules: Rules) -> dict[str, Any]:
    """The state as plain data, with what is left of its time in place of when it ends."""
    if isinstance(state, Closed):
        return {"state": state.name, "counted": rules.trip.told(state.counted, now)}
    return {"state": state.name, "left_s": max(0.0, state.until - now), "reason": state.reason}


def retold(plain: Any, now: float, rules: Rules, *, epoch: int) -> State:
    """The state that was told, as it is now. What can't be read is a closed circuit. No longer than its rules allow is
    it open, whatever the time left that was told: of another process's clock it may be anything."""
    try:
        # the rule first: of two numbers min gives the first where the other is none
        name, left_s = plain["state"], float(plain.get("left_s", 0.0))
        if name == "open":
            return Open(epoch, now + min(rules.open_s, left_s), str(plain.get("reason", "")))
        if name == "half-open":
            return HalfOpen(epoch, now + min(rules.probe_s, left_s), str(plain.get("reason", "")))
        return Closed(epoch, rules.trip.retold(plain.get("counted"), now))
    except (TypeError, ValueError, LookupError, AttributeError):
        return Closed(epoch, rules.trip.empty())
