"""A prune: what the rules take is deleted, and what nothing uses any more is collected.

It may be run while others record, as often as one likes, and again where it was killed. Two at once do no harm: the one
that began later does the collecting.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tracer.config import Config, project_root
from tracer.retention.policy import Going, going
from tracer.retention.rules import DAY_NS, Retention, read_rules
from tracer.store import Store
from tracer.store.collecting import Collected
from tracer.store.horizon import Superseded

#: The file of rules, in the project.
RULES = "retention.toml"
#: The shared value that tells of the last prune.
_LAST = "store/pruned"


@dataclass(frozen=True, slots=True)
class Pruned:
    """The traces that went, or would have gone; how many of those that should have stayed because they run again or
    were pinned meanwhile; what was collected, None where another prune went on with it."""

    traces: tuple[Going, ...]
    spared: int
    collected: Collected | None


def rules_in_force(config: Config) -> tuple[Retention, str]:
    """The rules of this project and who says so: the file ``retention.toml``, else PLAYHEAD_RETENTION_DAYS, else
    nobody. Raises ConfigError for a file that can't be."""
    path = project_root() / RULES
    if path.is_file():
        return read_rules(path), RULES
    if config.retention_days is not None:
        return Retention.of_days(config.retention_days), "PLAYHEAD_RETENTION_DAYS"
    return Retention(), ""


def due(store: Store, retention: Retention, *, now_ns: int, only: str = "*") -> list[Going]:
    """The traces that go by these rules, the oldest first."""
    if retention.is_empty:
        return []
    before_ns = None
    if not retention.needs_all:
        before_ns = now_ns - int((retention.least_days or 0) * DAY_NS)
    subjects = store.upkeep.subjects(before_ns=before_ns, sizes=retention.needs_sizes)
    return going(subjects, retention, now_ns=now_ns, only=only)


def foreseen(store: Store, retention: Retention, *, now_ns: int, only: str = "*") -> Pruned:
    """What a prune would do. Changes nothing."""
    found = due(store, retention, now_ns=now_ns, only=only)
    told = store.upkeep.survey(without=[each.subject.trace_id for each in found])
    return Pruned(tuple(found), 0, told)


def prune(store: Store, retention: Retention, *, now_ns: int, only: str = "*") -> Pruned:
    """Delete what the rules take, and collect what nothing uses any more."""
    found = due(store, retention, now_ns=now_ns, only=only)
    gone = set(store.upkeep.delete([each.subject.trace_id for each in found]).gone)
    try:
        collected = store.upkeep.collect()
    except Superseded:
        collected = None
    went = tuple(each for each in found if each.subject.trace_id in gone)
    pruned = Pruned(went, len(found) - len(went), collected)
    _tell(store, pruned)
    return pruned


def last_prune(store: Store) -> dict[str, Any] | None:
    """When the store was last pruned (``at_ns``), how many ``traces`` went then and how many bytes were ``freed``."""
    there = store.shared(_LAST).get(_LAST)
    return None if there is None else there.value


def _tell(store: Store, pruned: Pruned) -> None:
    freed = 0 if pruned.collected is None else pruned.collected.freed
    told = {"at_ns": time.time_ns(), "traces": len(pruned.traces), "freed": freed}
    there = store.shared(_LAST).get(_LAST)
    store.share(_LAST, told, version=0 if there is None else there.version)


def as_json(pruned: Pruned, *, is_dry: bool, said_by: str) -> dict[str, Any]:
    return {
        "dry_run": is_dry,
        "rules": said_by or None,
        "traces": [
            {
                "trace_id": each.subject.trace_id,
                "workflow": each.subject.workflow,
                "started_ns": each.subject.started_ns,
                "why": each.why,
            }
            for each in pruned.traces
        ],
        "spared": pruned.spared,
        "collected": None if pruned.collected is None else asdict(pruned.collected),
    }


def file_of(path: str) -> tuple[Retention, str]:
    """The rules in a named file. Raises ConfigError for one that can't be."""
    return read_rules(Path(path)), path
