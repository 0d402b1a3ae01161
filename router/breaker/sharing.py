"""One circuit for many processes: what each of them makes of it is told to the others through the store.

Transitions are shared, counts are not: each process counts its own calls. A trip is told in passing and reaches the
others within half a second. The right to probe is claimed before the probe goes out, so one process has it; that is
the only call that waits for the store, and no longer than ``_CLAIM_S``: if the answer is late, the next call is the
probe. While the store is away every process goes on with the circuit it has.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from router.breaker.circuit import Circuit, Clock, Turn
from router.breaker.state import Abandoned, Ask, Closed, Event, HalfOpen, Rules, State, retold
from router.mirror import Mirror, mirror_of

if TYPE_CHECKING:
    from tracer.store import Store

PREFIX = "breaker:"
_CLAIM_S = 0.25
#: How often one call tries to be the probe while other processes keep changing the circuit.
_CLAIMS = 3
#: The first call of a process waits this long for the circuit that the others have.
_FIRST_S = 1.0


class SharedCircuit(Circuit):
    """A circuit whose transitions other processes follow, as it follows theirs. ``wall_ns`` is the time of day."""

    def __init__(
        self,
        name: str,
        rules: Rules,
        clock: Clock,
        place: Store | str | Path | None,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__(rules, clock)
        self._name = name
        self._place = place
        self._has: Mirror | None = None
        self._wall_ns = wall_ns
        self._id = uuid.uuid4().hex[:8]
        #: The newest version of the shared value that this circuit has followed.
        self._version = 0
        #: Own transitions that the store does not have yet: until then nothing older is followed.
        self._untold = 0
        self._asked_before = False

    def forked(self) -> None:
        super().forked()
        self._untold = 0  # what still waited is the parent's to tell

    def close(self) -> None:
        """Let go of the store; the circuit goes on as this process's own."""
        if self._has is not None:
            self._has.close()

    @property
    def _mirror(self) -> Mirror:
        """Looked for at the first call: where the store is may be configured after the breaker is made."""
        if self._has is None:
            mirror = mirror_of(self._place, PREFIX)
            with self._lock:
                if self._has is None:
                    self._has = mirror
            if self._has is not mirror:
                mirror.close()
        return self._has

    @property
    def state(self) -> State:
        self._catch_up()
        return self._state

    def ask(self) -> Turn:
        for _ in range(_CLAIMS):
            self._catch_up()
            turn = super().ask()
            if not (isinstance(turn.after, HalfOpen) and turn.admits):
                return turn
            outcome = self._tell(turn.after, wait_s=_CLAIM_S)
            if outcome in {"changed", "away"}:
                return turn
            if outcome == "late":  # perhaps another process is the one: the next call will know
                super().report(Abandoned(turn.after.epoch))
                break
            # Another process probes, or has closed the circuit: what it said has been read now.
            self._catch_up(is_told_off=True)
        state = self._state
        return Turn(state, state, self.clock(), Ask())

    def report(self, event: Event) -> Turn:
        turn = super().report(event)
        if turn.is_transition:
            self._tell(turn.after)
        return turn

    def _tell(self, state: State, *, wait_s: float = 0.0) -> str:
        mine = {**self._as_shared(state), "by": self._me, "since_ns": self._wall_ns()}

        def onto(there: Any) -> Any:
            return None if self._is_anothers(there, state) else mine

        with self._lock:
            self._untold += 1
        return self._mirror.change(self._name, onto, wait_s=wait_s, done=self._told)

    def _told(self) -> None:
        with self._lock:
            self._untold -= 1

    @property
    def _me(self) -> str:
        return f"{socket.gethostname()}:{os.getpid()}:{self._id}"

    def _is_anothers(self, there: Any, mine: State) -> bool:
        """Whether what another process made of the circuit holds against this: it is open, or probed, right now; or it
        is closed, where this one would probe."""
        if not isinstance(there, dict) or there.get("by") == self._me:
            return False
        if there.get("state") == "closed":
            return isinstance(mine, HalfOpen)
        return int(there.get("until_ns", 0)) > self._wall_ns()

    def _as_shared(self, state: State) -> dict[str, Any]:
        if isinstance(state, Closed):
            return {"state": state.name}
        left_ns = int(max(0.0, state.until - self.clock()) * 1e9)
        return {"state": state.name, "until_ns": self._wall_ns() + left_ns, "reason": state.reason}

    def _catch_up(self, *, is_told_off: bool = False) -> None:
        """Go on from what another process made of the circuit since; in any case, where it held against this one."""
        if not self._asked_before:
            self._asked_before = True
            self._mirror.ready(_FIRST_S)
        shared = self._mirror.seen().get(self._name)
        if shared is None or (shared.version <= self._version and not is_told_off):
            return
        with self._lock:
            if not is_told_off and (shared.version <= self._version or self._untold):
                return
            self._version = shared.version
            value = shared.value
            if not isinstance(value, dict) or value.get("by") == self._me:
                return
            left_s = (int(value.get("until_ns", 0)) - self._wall_ns()) / 1e9
            theirs = retold({**value, "left_s": left_s}, self.clock(), self.rules, epoch=self._state.epoch + 1)
            if not (isinstance(theirs, Closed) and isinstance(self._state, Closed)):
                self._state = theirs
