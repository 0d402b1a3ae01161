"""What breakers answered and heard, in the trace, and a replay's own copies of them. The only module here that records.

A replay decides as the record says while all that it hears is what was heard then. From the first call that ends
otherwise (a fault was put in, another model answered) its own copy decides, which begins where the record stood. No
copy is ever shared with another process, or with the next replay.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Callable
from weakref import WeakKeyDictionary

from router.breaker.circuit import Circuit, Turn
from router.breaker.state import Abandoned, Ask, Event, Failed, Succeeded, admits, retold, told
from tracer.context import CURRENT, ActiveStep

#: The tag of a step during which breakers changed: ``[{"name", "was", "is", "heard", "reason", "at_ns"}]``.
BREAKERS = "breakers"
_HEARD: dict[type[Event], str] = {Ask: "asked", Succeeded: "succeeded", Failed: "failed", Abandoned: "abandoned"}


class Copy:
    """A breaker as one replay has it. ``follows``: whether all has gone as it is recorded so far."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self.follows = True


class Admission:
    """Where in a trace a breaker was asked: what came of the call is recorded beside it."""

    __slots__ = ("copy", "name", "occurrence", "step")

    def __init__(self, step: ActiveStep, name: str, copy: Copy | None) -> None:
        self.step = step
        self.name = f"breaker {name}"
        self.occurrence = step.occurrence_of(f"{self.name}()")
        self.copy = copy

    def ask(self, circuit: Circuit) -> Turn:
        """Ask the circuit, or the record."""
        if self.copy is None:
            turn = circuit.ask()
            self._note(self.name, _answer(circuit, turn))
            return turn
        turn = (self._recorded(circuit) if self.copy.follows else None) or circuit.ask()
        self._note(self.name, _answer(circuit, turn))
        return turn

    def heard(self, event: Event) -> None:
        """Record what came of the call, and see whether it is what the record says."""
        what, name = _HEARD[type(event)], f"{self.name}: outcome"
        if self.copy is not None:
            player = self.step.trace.player
            assert player is not None
            if player.value(self.step.step_id, name, self.occurrence, lambda: None) != what:
                self.copy.follows = False
        self._note(name, what)

    def _recorded(self, circuit: Circuit) -> Turn | None:
        player = self.step.trace.player
        assert player is not None
        answer = player.value(self.step.step_id, self.name, self.occurrence, lambda: None)
        if not isinstance(answer, dict):
            return None
        now = circuit.clock()
        before = retold(answer, now, circuit.rules, epoch=circuit.state.epoch + 1)
        after = retold(answer, now, circuit.rules, epoch=before.epoch) if answer.get("admits") else before
        circuit.become(after)
        return Turn(before, after, now, Ask()) if admits(before, after) is bool(answer.get("admits")) else None

    def _note(self, name: str, value: Any) -> None:
        self.step.trace.recorder.note(self.step, "value", name, self.occurrence, value)


def _answer(circuit: Circuit, turn: Turn) -> dict[str, Any]:
    return {**told(turn.after, turn.now, circuit.rules), "admits": turn.admits}


_copies: WeakKeyDictionary[Any, WeakKeyDictionary[Any, Copy]] = WeakKeyDictionary()
# Guards the table above.
_lock = threading.Lock()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)


def copy_of(breaker: Any, make: Callable[[], Circuit]) -> Copy | None:
    """The running replay's own copy of a breaker, made by ``make`` when first asked for; None outside a replay."""
    step = CURRENT.get()
    if step is None or step.trace.player is None:
        return None
    with _lock:
        copies = _copies.setdefault(step.trace.player, WeakKeyDictionary())
        return copies.get(breaker) or copies.setdefault(breaker, Copy(make()))


def admission(breaker: Any, name: str, make: Callable[[], Circuit]) -> Admission | None:
    """Where a breaker is asked now; None outside a workflow."""
    step = CURRENT.get()
    return None if step is None else Admission(step, name, copy_of(breaker, make))


def changed(name: str, turn: Turn) -> None:
    """Tag the running step with a transition. Several may happen within one step."""
    step = CURRENT.get()
    if step is None:
        return
    change = {
        "name": name,
        "was": turn.before.name,
        "is": turn.after.name,
        "heard": _HEARD[type(turn.event)],
        "reason": getattr(turn.after, "reason", ""),
        "at_ns": time.time_ns(),
    }
    with _lock:
        tags, _ = step.described()
        step.describe(tags={BREAKERS: [*(tags or {}).get(BREAKERS, ()), change]})
