"""What is recorded to where, and what is waiting, refused or wrong: the facts behind ``playhead doctor`` and the
viewer's banner and health table."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Iterator

from tracer import format as fmt
from tracer import health, recorder
from tracer.config import Config, shown_url
from tracer.errors import ConfigError, StoreError
from tracer.guard import REFUSED, UNSENT, degraded
from tracer.otlp.destination import destination
from tracer.owners import abandoned, elsewhere, host_of, is_alive
from tracer.reading import open_reading

#: Events that wait longer than this are told of: a writer that keeps up takes well under a second.
PATIENCE_S = 5
#: What only delays: the journal keeps everything meanwhile.
DELAYS = frozenset({"reach its store", "write to its store", "start its writer", "keep its writer running"})
#: What was counted longer ago is no longer on every page; ``playhead doctor`` still says it.
RECENT_NS = 24 * 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Recording:
    """How recording fares in all processes of one home. ``living`` is by owner, ``dead`` are the journals that nobody
    brought in yet and ``dead_bytes`` their size on disk, ``hosts`` the other machines that left journals here."""

    living: dict[str, health.Status]
    dead: tuple[str, ...]
    dead_bytes: int
    hosts: tuple[str, ...]
    kept: health.Kept
    at_ns: int

    @property
    def refused(self) -> int:
        return self._counts()[REFUSED]

    @property
    def degraded(self) -> dict[str, int]:
        """What could not be done, by the words of the warning; refused traces are counted by themselves."""
        return {what: times for what, times in self._counts().items() if what != REFUSED}

    @property
    def missing(self) -> int:
        """How often something was not recorded that should have been."""
        return sum(times for what, times in self.degraded.items() if what not in DELAYS | {UNSENT})

    @property
    def recently(self) -> bool:
        """Whether anything of this was counted by a process that lives, or within a day."""
        return any(each.degraded for each in self.living.values()) or self.at_ns - self.kept.last_ns < RECENT_NS

    def _counts(self) -> Counter[str]:
        counts = Counter(self.kept.degraded)
        for status in self.living.values():
            counts.update(status.degraded)
        return counts

    def late(self) -> Iterator[tuple[str, health.Status, float]]:
        """The processes whose events have waited for too long, and for how many seconds."""
        for owner, status in self.living.items():
            waited_s = (self.at_ns - status.behind_since_ns) / 1e9
            if status.behind_since_ns and waited_s > PATIENCE_S:
                yield owner, status, waited_s

    def problems(self) -> Iterator[str]:
        """Sentences that say what is wrong and what to do."""
        if self.refused:
            yield (
                f"{self.refused:,} traces were refused because the journal was full: make the store reachable or "
                "faster, or raise PLAYHEAD_JOURNAL_CAP_MB"
            )
        for what, times in self.degraded.items():
            number = "once" if times == 1 else f"{times:,} times"
            yield f"{number} playhead could not {what}: {_meaning(what)}, and a warning said why the first time"
        for _, status, waited_s in self.late():
            why = f" ({status.problem})" if status.problem else ""
            yield (
                f"{status.queued_events:,} events of process {status.pid} ({fmt.size(status.queued_bytes)}) have "
                f"waited {waited_s:,.0f} s for the store{why}; nothing is lost: they are written when it takes them"
            )
        if self.dead:
            yield f"{len(self.dead)} processes left events that are not in the store: run playhead recover"
        if self.hosts:
            yield (
                f"journals of {', '.join(self.hosts)} lie here: they are brought in there, or, where that machine "
                "records no more, by playhead recover --all-hosts"
            )


def _meaning(what: str) -> str:
    if what == UNSENT:
        return "the receiver lacks them, the store does not"
    return "nothing is lost by that" if what in DELAYS else "what it was about to record then is missing"


@dataclass(frozen=True, slots=True)
class Report:
    """``facts`` by name, in the order to show them; ``problems`` as sentences that say what to do. ``exit_code`` is 0
    where the store can be used, else that of the error: 4 unreachable, 2 written by a newer playhead."""

    facts: dict[str, Any]
    problems: tuple[str, ...]
    exit_code: int = 0

    @property
    def unreachable(self) -> bool:
        return self.exit_code != 0


def examine() -> Report:
    """Look at the settings, the store and the journals. Raises ConfigError for a setting that can't be."""
    config = recorder.current_config()
    facts: dict[str, Any] = {
        "playhead": version("playhead"),
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
        "recording": "on" if config.enabled else "off (PLAYHEAD_ENABLED)",
        "capture_content": config.capture_content,
        "sample_rate": config.sample,
        "home": str(config.home),
        "journal_cap": config.journal_cap_bytes,
        "store": shown_url(config.database_url),
        "otlp_export": "off",
    }
    problems: list[str] = []
    if config.otlp_export:
        try:
            facts["otlp_export"] = str(destination())
        except ConfigError as error:
            facts["otlp_export"] = "nowhere"
            problems.append(f"finished steps are not sent on: {error}")
    exit_code = 0
    try:
        with open_reading() as store:
            told = store.facts()
    except StoreError as error:
        exit_code = error.exit_code
        problems.append(str(error))
    else:
        for name in ("database", "revision", "traces", "steps", "payloads", "payload_size", "size"):
            facts[name] = getattr(told, name)
        facts["recording_now"] = list(told.running)
    seen = recording(config)
    facts.update(told_of(seen))
    facts["degraded_here"] = dict(degraded)
    problems += seen.problems()
    problems += [f"this process could not {what} ({times} times)" for what, times in degraded.items()]
    return Report(facts, tuple(problems), exit_code)


def recording(config: Config) -> Recording:
    """Look at the journals of one home. Asks no store."""
    living: dict[str, health.Status] = {}
    kept = health.kept(config.home)
    dead: list[str] = []
    dead_bytes = 0
    for folder in abandoned(config.home, config.store_tag):
        if is_alive(config.home, folder.name):
            living[folder.name] = health.read_status(folder) or health.Status()
        else:
            dead.append(folder.name)
            dead_bytes += sum(path.stat().st_blocks * 512 for path in folder.glob("*.seg"))
    hosts = tuple(sorted({host_of(folder.name) for folder in elsewhere(config.home, config.store_tag)}))
    return Recording(living, tuple(dead), dead_bytes, hosts, kept, time.time_ns())


def told_of(seen: Recording) -> dict[str, Any]:
    """The same, for a program."""
    living = seen.living.values()
    return {
        "queued_events": sum(each.queued_events for each in living),
        "queued_bytes": sum(each.queued_bytes for each in living),
        "written_events": sum(each.written_events for each in living),
        "refused_traces": seen.refused,
        "degraded": seen.degraded,
        "journals_of_dead": len(seen.dead),
        "journal_bytes_of_dead": seen.dead_bytes,
        "journals_of_other_hosts": list(seen.hosts),
        "processes": [{"owner": owner, **asdict(status)} for owner, status in seen.living.items()],
    }
