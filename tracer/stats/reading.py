"""The figures of a store: what the command shows, and a page may."""

from __future__ import annotations

from dataclasses import replace

from tracer.reading import open_reading
from tracer.stats.measure import compare as compared
from tracer.stats.measure import measure
from tracer.stats.rows import Stats
from tracer.stats.sides import sides_of
from tracer.store import Filter, Store


def read_stats(
    *,
    by: str = "workflow",
    workflow: str | None = None,
    since: str | None = None,
    compare: str | None = None,
    passing: float = 0.5,
) -> Stats:
    """The figures of the configured store. Raises ConfigError or StoreUnreachable."""
    parameters = {name: value for name, value in (("workflow", workflow), ("since", since)) if value}
    with open_reading() as store:
        return stats_of(store, Filter.parse(parameters), by=by, compare=compare, passing=passing)


def stats_of(
    store: Store, found: Filter, *, by: str = "workflow", compare: str | None = None, passing: float = 0.5
) -> Stats:
    """The figures of the filter's traces; replays only where it asks for them. Raises ConfigError."""
    wanted = replace(found, replays=bool(found.replays))
    sides = None if compare is None else sides_of(compare)
    with store.seen(wanted, every_step=by == "step") as seen:
        if sides is None:
            return measure(seen, by=by, what=wanted.sentence, passing=passing)
        return compared(seen, *sides, by=by, what=wanted.sentence)
