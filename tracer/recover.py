"""``playhead recover``: every dead process's journal into the store, and what came of each.

A journal is brought in by itself whenever its store is opened on its machine. This command does the same and tells of
it, and takes in what another machine left here. Its locks may not reach this one, so that is only done when asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from tracer import recorder
from tracer.adoption import adopting
from tracer.owners import elsewhere, host_of
from tracer.store import Filter, Store, open_store


@dataclass(frozen=True, slots=True)
class Recovered:
    """One dead process: the events brought in now, and its traces that have no end. ``problem`` says why its journal
    stays; ``damaged`` names the files of which a part could not be read."""

    owner: str
    events: int
    interrupted: int
    damaged: tuple[Path, ...]
    problem: str


def recover(*, all_hosts: bool = False) -> Iterator[Recovered]:
    """Adopt one journal after the other. Raises StoreUnreachable, and ConfigError for a setting that can't be."""
    config = recorder.current_config()
    # With nobody to ask who lives, an open trace is interrupted when its owner was adopted.
    with open_store(config.database_url) as store:
        before = _interrupted(store)
        for each in adopting(store, config.home, config.store_tag, all_hosts=all_hosts):
            interrupted = _interrupted(store)
            yield Recovered(each.owner, each.events, interrupted - before, each.damaged, each.problem)
            before = interrupted
    if not all_hosts:
        for folder in elsewhere(config.home, config.store_tag):
            host = host_of(folder.name)
            why = f"it is of the machine {host}: add --all-hosts if nothing on {host} records here any more"
            yield Recovered(folder.name, 0, 0, (), why)


def _interrupted(store: Store) -> int:
    return store.facets(Filter()).statuses.get("interrupted", 0)
