"""What became of breakers, out of the tags of steps in which they changed; and what those that are shared are now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterable, Mapping

from router.breaker.record import BREAKERS
from router.breaker.sharing import PREFIX

if TYPE_CHECKING:
    from tracer.store import Filter, Store
    from tracer.store.shared import Shared
    from tracer.store.tagged import Tagged


@dataclass(frozen=True, slots=True)
class Transition:
    """A breaker that became ``now`` because it ``heard`` something: asked, succeeded, failed, abandoned."""

    name: str
    was: str
    now: str
    heard: str
    reason: str
    at_ns: int
    trace_id: str
    path: str

    @property
    def is_trip(self) -> bool:
        return self.now == "open" and self.heard == "failed"


@dataclass(frozen=True, slots=True)
class Known:
    """A breaker over a period. ``state`` is what it became last; ``shared`` says that this is every process's word for
    it, and not only that of the one that changed it last."""

    name: str
    state: str
    since_ns: int
    trips: int = 0
    probes: int = 0
    last_error: str = ""
    shared: bool = False


def transitions(store: Store, found: Filter) -> list[Transition]:
    """Every change of a breaker in the traces of a filter, oldest first."""
    return sorted(_transitions(store.tagged(BREAKERS, found)), key=lambda each: each.at_ns)


def known(changes: Iterable[Transition], shared: Mapping[str, Shared]) -> list[Known]:
    """Every breaker that changed, or that processes share, by name. Pure."""
    by_name: dict[str, list[Transition]] = {}
    for change in changes:
        by_name.setdefault(change.name, []).append(change)
    states = {name.removeprefix(PREFIX): one.value for name, one in shared.items() if isinstance(one.value, dict)}
    return [_known(name, by_name.get(name, []), states.get(name)) for name in sorted({*by_name, *states})]


def _known(name: str, changes: list[Transition], shared: Mapping[str, object] | None) -> Known:
    trips = [each for each in changes if each.is_trip]
    last_error = trips[-1].reason if trips else str((shared or {}).get("reason", ""))
    if shared is not None:
        state, since_ns = str(shared.get("state", "closed")), int(str(shared.get("since_ns", 0)))
    else:
        state, since_ns = changes[-1].now, changes[-1].at_ns
    probes = sum(each.now == "half-open" for each in changes)
    return Known(name, state, since_ns, len(trips), probes, last_error, shared is not None)


def _transitions(rows: Iterable[Tagged]) -> Iterable[Transition]:
    for row in rows:
        told = row.tags[BREAKERS]
        for each in told if isinstance(told, list) else ():
            if isinstance(each, Mapping) and "name" in each and "is" in each:
                yield Transition(
                    str(each["name"]),
                    str(each.get("was", "")),
                    str(each["is"]),
                    str(each.get("heard", "")),
                    str(each.get("reason", "")),
                    int(each.get("at_ns", row.started_ns)),
                    row.trace_id,
                    row.path,
                )
