"""What is recorded to where, and what is waiting, refused or wrong: the facts behind ``playhead doctor`` and the
viewer's health page."""

from __future__ import annotations

import sqlite3
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from tracer import recorder
from tracer.config import Config, shown_url
from tracer.errors import StoreError
from tracer.guard import degraded
from tracer.owners import abandoned, is_alive
from tracer.reading import open_reading


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
        "store": shown_url(config.database_url),
    }
    problems: list[str] = []
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
    facts.update(_waiting(config))
    facts["degraded_here"] = dict(degraded)
    problems += [f"this process could not {what} ({times} times)" for what, times in degraded.items()]
    return Report(facts, tuple(problems), exit_code)


def _waiting(config: Config) -> dict[str, Any]:
    """What lies in journals and not in the store: of living processes, and of dead ones that could not be adopted."""
    living = dead = 0
    for folder in abandoned(config.home, config.store_tag):
        size = sum(path.stat().st_blocks * 512 for path in folder.glob("*.seg"))
        if is_alive(config.home, folder.name):
            living += size
        else:
            dead += size
    return {"journal_bytes_of_living": living, "journal_bytes_of_dead": dead}
