"""The players of a test: each workflow that it calls is played from the cassette that is its own.

The code of the workflow and of its steps runs, for that is what a test is about; what reaches out (model calls, tools,
effects, requests) is served. What the cassettes don't hold ends the test, or is recorded, as the mode says.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Mapping

from replay.cassette.files import Source
from replay.divergence import Divergence, Stopped
from replay.match import Match
from replay.plan import Plan, serve
from replay.player import ReplayPlayer
from replay.recognised import known_as_kept, recognised
from replay.record import REACHING_KINDS, Record
from tracer.model import Step, Trace, TraceSummary
from tracer.player import Call, Decision


class CassettePlayer(ReplayPlayer):
    """Plays one trace. ``adds``: what it does not explain is done, to be recorded; ``renews``: and so is what was
    recorded of code that has changed since."""

    def __init__(self, record: Record, *, adds: bool, renews: bool) -> None:
        plan = Plan(() if renews else (serve("*"),), "live" if adds else "stop", verify=True)
        super().__init__(record, plan, {})
        self._adds = adds

    def _diverged(self, call: Call, match: Match) -> Any:
        reaches_out = call.effect or call.kind in REACHING_KINDS
        return (
            self._anew(match.outcome, call, match.step)
            if reaches_out and self._adds
            else super()._diverged(call, match)
        )

    def _cut_off(self, call: Call, source: Step) -> Any:
        return self._anew("interrupted", call, source) if self._adds else super()._cut_off(call, source)

    def _not_restored(self, call: Call, source: Step, culprit: str) -> Any:
        return (
            self._anew("not-replayable", call, source) if self._adds else super()._not_restored(call, source, culprit)
        )

    def _anew(self, kind: str, call: Call, source: Step | None) -> Decision:
        self._diverge(kind, call, source, "recorded anew", self._changes(call, source))
        return self._go_live(call, source)


class Card:
    """One cassette in the deck: the file, the trace in it, and the player of it once a workflow has begun."""

    def __init__(self, source: Source | None, record: Record) -> None:
        #: None where the run has no cassette yet.
        self.source = source
        self.record = record
        self.player: CassettePlayer | None = None

    @property
    def trace(self) -> Trace:
        return self.record.trace


class Deck:
    """A player for every workflow that begins: it deals each one a card, by name and input, else the next of its name.

    ``stopped`` is why the test can't go on, if it can't. Thread-safe.
    """

    def __init__(self, cards: list[Card], *, adds: bool, renews: bool) -> None:
        self.cards = cards
        self._own_stop: Stopped | None = None
        self._adds = adds
        self._renews = renews
        self._by_trace: dict[str, CassettePlayer] = {}
        self._by_step: dict[str, CassettePlayer] = {}
        self._lock = threading.RLock()

    @property
    def stopped(self) -> Stopped | None:
        if self._own_stop is not None:
            return self._own_stop
        return next((player.stopped for player in self.players if player.stopped is not None), None)

    @property
    def players(self) -> list[CassettePlayer]:
        """Of the workflows that have begun."""
        return [card.player for card in self.cards if card.player is not None]

    def about(self) -> Mapping[str, Any]:
        return {}

    def decide(self, call: Call) -> Decision:
        with self._lock:
            if call.parent_id is None:
                self._by_trace[call.trace_id] = self._deal(call)
            player = self._by_step[call.step_id] = self._by_trace[call.trace_id]
        return player.decide(call)

    def value(self, step_id: str, name: str, occurrence: int, make: Callable[[], Any]) -> Any:
        player = self._by_step.get(step_id)
        return make() if player is None else player.value(step_id, name, occurrence, make)

    def finished(self, step_id: str, *, call: Mapping[str, Any], at_ns: int) -> None:
        player = self._by_step.get(step_id)
        if player is not None:
            player.finished(step_id, call=call, at_ns=at_ns)

    def close(self) -> None:
        """The test has come to its end: what was recorded and not asked for shows among the divergences."""
        for player in self.players:
            player.close()

    def _deal(self, call: Call) -> CassettePlayer:
        card = self._card_for(call)
        if card is None:
            if not self._adds:
                self._own_stop = Stopped(
                    Divergence("new", call.path, "stopped", call.step_id), "No cassette is left for this workflow"
                )
                raise self._own_stop
            card = Card(None, Record(_no_trace(call.name), lambda _: {}))
            self.cards.append(card)
        card.player = CassettePlayer(card.record, adds=self._adds, renews=self._renews)
        return card.player

    def _card_for(self, call: Call) -> Card | None:
        free = [card for card in self.cards if card.player is None and card.trace.summary.workflow == call.name]
        return next((card for card in free if _is_of(card.trace, call)), free[0] if free else None)


def _is_of(trace: Trace, call: Call) -> bool:
    """Whether this is the recorded run of a workflow with these inputs."""
    root = trace.root
    return root is not None and root.identity == recognised(call, known_as_kept((root,))).identity


def _no_trace(workflow: str) -> Trace:
    return Trace(TraceSummary("", workflow, "running", 0), None, ())
