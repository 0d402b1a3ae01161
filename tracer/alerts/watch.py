"""Watching: what fires is kept in the store together with what is still to be told of it, in one value for each rule,
changed by compare and set.

So a watch that is started anew goes on where it was; of two that watch the same, one tells. A notice is let go of when
it was taken: a watch that is killed in between tells it again, with the same id.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Callable, Iterator, Mapping

from tracer.alerts import delivery
from tracer.alerts.measured import Looking, Reading
from tracer.alerts.rules import Command, Rule, Rules, Webhook
from tracer.alerts.states import Firing, Notice, advance
from tracer.store import Store

PREFIX = "alert:"
#: For so long a notice is in the hands of who tells it: longer than telling takes.
_HELD_NS = 120 * 10**9
#: Before the second try, and twice as long before each further one, up to the most.
_FIRST_WAIT_NS, _MOST_WAIT_NS = 5 * 10**9, 300 * 10**9
#: What nobody took for a day is given up.
_STALE_NS = 24 * 3600 * 10**9
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Due:
    """A notice and where it goes: tried so often, not to be tried before then."""

    notice: Notice
    to: str
    tries: int = 0
    next_ns: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return (self.notice.id, self.to)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of one rule."""

    firing: Mapping[str, Firing] = field(default_factory=dict)
    due: tuple[Due, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "firing": {of: asdict(each) for of, each in self.firing.items()},
            "due": [asdict(each) for each in self.due],
        }

    @classmethod
    def from_json(cls, told: Any) -> Kept:
        """Nothing, for what another version wrote."""
        if not isinstance(told, dict) or told.get("version") != _VERSION:
            return cls()
        due = (Due(Notice(**each["notice"]), each["to"], each["tries"], each["next_ns"]) for each in told["due"])
        return cls({of: Firing(**each) for of, each in told["firing"].items()}, tuple(due))


@dataclass(frozen=True, slots=True)
class Looked:
    """A rule as it was found: what was measured, and since when each of its alerts that fire does."""

    rule: Rule
    readings: tuple[Reading, ...]
    firing: Mapping[str, Firing]
    notices: tuple[Notice, ...]


@dataclass(slots=True)
class Watch:
    """Rules over one store. ``say`` is told, in a line, of what can't be delivered. Every method raises
    StoreUnreachable."""

    store: Store
    rules: Rules
    say: Callable[[str], None]

    def look(self, now_ns: int) -> list[Looked]:
        """Measure all rules, and keep what follows from that."""
        looking = Looking(self.store, now_ns)
        return [self._look(rule, looking) for rule in self.rules.rules]

    def _look(self, rule: Rule, looking: Looking) -> Looked:
        readings = looking.readings(rule)
        now_ns = looking.now_ns
        while True:
            kept, version = self._kept(rule)
            firing, notices = advance(rule, kept.firing, readings, now_ns=now_ns)
            new = [Due(notice, to.kind) for notice in notices for to in rule.to]
            after = Kept(firing, (*kept.due, *new))
            if after == kept or self._keep(rule, after, version):
                return Looked(rule, tuple(readings), firing, tuple(notices))

    def tell(self, now_ns: int) -> int:
        """Deliver what is due. How many notices are left, of all rules."""
        return sum(self._tell(rule, now_ns) for rule in self.rules.rules)

    def _tell(self, rule: Rule, now_ns: int) -> int:
        places: dict[str, Webhook | Command] = {to.kind: to for to in rule.to}
        for due in self._claimed(rule, places, now_ns):
            problem = delivery.deliver(due.notice, places[due.to])
            if problem:
                self.say(f"{problem}; it is tried again: {due.notice.text}")
                wait_ns = min(_MOST_WAIT_NS, _FIRST_WAIT_NS * 2**due.tries)
                self._put(rule, due.key, replace(due, tries=due.tries + 1, next_ns=now_ns + wait_ns))
            else:
                self._put(rule, due.key, None)
        return len(self._kept(rule)[0].due)

    def _claimed(self, rule: Rule, places: Mapping[str, Webhook | Command], now_ns: int) -> Iterator[Due]:
        """What is due, the oldest first, each in our hands before it is given; of one alert and place only the first,
        so that what resolved is not told before it fired."""
        passed: set[tuple[str, str]] = set()
        while True:
            kept, version = self._kept(rule)
            for due in kept.due:
                alert = (due.notice.of, due.to)
                if due.to not in places or now_ns - due.notice.at_ns >= _STALE_NS:
                    self.say(f"given up, for nobody took it: {due.notice.text}")
                    self._keep(rule, _without(kept, due.key, None), version)
                    break
                if alert not in passed and due.next_ns <= now_ns:
                    held = replace(due, next_ns=now_ns + _HELD_NS)
                    if self._keep(rule, _without(kept, due.key, held), version):
                        yield due
                    break
                passed.add(alert)
            else:
                return

    def _put(self, rule: Rule, key: tuple[str, str], due: Due | None) -> None:
        while True:
            kept, version = self._kept(rule)
            if self._keep(rule, _without(kept, key, due), version):
                return

    def _kept(self, rule: Rule) -> tuple[Kept, int]:
        name = PREFIX + rule.name
        found = self.store.shared(name).get(name)
        return (Kept(), 0) if found is None else (Kept.from_json(found.value), found.version)

    def _keep(self, rule: Rule, kept: Kept, version: int) -> bool:
        return self.store.share(PREFIX + rule.name, kept.as_json(), version=version)


def _without(kept: Kept, key: tuple[str, str], instead: Due | None) -> Kept:
    """The same with another one in its place, or none."""
    due = (instead if each.key == key else each for each in kept.due)
    return replace(kept, due=tuple(each for each in due if each is not None))
