"""The two watched replays of one trace, and what they found together."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Iterator

from replay.diff import diff
from replay.errors import NotReplayable
from tracer import recorder
from tracer.reading import open_reading

#: Two seeds under which the sets of strings that programs make are hardly ever in the same order.
_SEEDS = ("1", "20261122")
#: What is asked for without harm as long as no step's input differs: a program's settings, and how long things took.
_HARMLESS = frozenset({"duration", "environment"})
#: The divergences that tell of a run that went another way; the others tell of the plan, the code or the guard.
_DIFFERING = frozenset({"input-changed", "new", "moved", "never-reached"})


@dataclass(frozen=True, slots=True)
class Source:
    """One source of non-determinism. ``kind`` is time, random, duration, environment or I/O; or, where the inputs of a
    step differ, set order (between two hash seeds), order or input. ``file`` is empty where no line can be named.
    ``times`` is how often it was drawn from in one run: one ``random.choice`` may draw more than once."""

    kind: str
    what: str
    file: str
    line: int
    step: str
    times: int = 1

    @property
    def matters(self) -> bool:
        return self.kind not in _HARMLESS


@dataclass(frozen=True, slots=True)
class Findings:
    """``replays`` are the two new traces. ``stopped`` says where they ended early, if they did: what comes after that
    was not seen."""

    trace_id: str
    replays: tuple[str, ...]
    sources: tuple[Source, ...]
    stopped: str | None

    @property
    def exit_code(self) -> int:
        return int(any(source.matters for source in self.sources))


def examine(trace: str) -> Findings:
    """Replay a trace twice and say what differs and why. Raises ReplayError where it can't be replayed, StoreError."""
    with open_reading() as store:
        trace_id = store.resolve(trace)
        told = [_replayed(trace_id, seed) for seed in _SEEDS]
        first, second = (store.trace(each["trace_id"]) for each in told)
        between = diff(first, second, store.value)
    changes = {
        row.after.step_id: [(change.path, repr(change.before), repr(change.after)) for change in row.inputs]
        for row in between.rows
        if row.inputs and row.after is not None
    }
    paths = {row.after.step_id: row.step.path for row in between.rows if row.after is not None}
    found = [*_differing(told, changes, paths), *_asked(told)]
    stopped = next((each["stopped"] for each in told if each["stopped"]), None)
    replays = tuple(each["trace_id"] for each in told)
    return Findings(trace_id, replays, tuple(sorted(found, key=_order)), stopped)


def _order(source: Source) -> tuple[Any, ...]:
    return (not source.matters, source.file, source.line, source.kind, source.step)


def _replayed(trace_id: str, seed: str) -> dict[str, Any]:
    """What one child saw."""
    config = recorder.current_config()
    env = {
        **os.environ,
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PLAYHEAD_DATABASE_URL": config.database_url,
        "PLAYHEAD_HOME": str(config.home),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "told.json"
        command = [sys.executable, "-P", "-m", "replay.nondeterminism.child", trace_id, str(file)]
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
        if not file.exists():
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise NotReplayable(f"the process that replays {trace_id[:8]} ended before its end: {last[0]}")
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if "problem" in told:
        raise NotReplayable(told["problem"])
    return told


def _asked(told: list[dict[str, Any]]) -> Iterator[Source]:
    """What user code asked for in either run."""
    found: dict[tuple[Any, ...], Source] = {}
    for each in told:
        for asked in each["asked"]:
            file, line = asked["site"]
            source = Source(asked["kind"], asked["what"], file, line, asked["step"], asked["times"])
            found.setdefault((source.kind, source.what, file, line, source.step), source)
    return iter(found.values())


def _differing(told: list[dict[str, Any]], changes: dict[str, list[Any]], paths: dict[str, str]) -> Iterator[Source]:
    """The steps whose inputs differ: between the runs, or in both from the record."""
    seen = set()
    for step_id, its_changes in changes.items():
        file, line = told[1]["calls"].get(step_id) or ("", 0)
        kind = "set order" if only_order(its_changes) else "input"
        seen.add(paths[step_id])
        yield Source(kind, _first(its_changes, "between two runs"), file, line, paths[step_id])
    for each in told:
        for divergence in each["divergences"]:
            if divergence["kind"] in _DIFFERING and divergence["path"] not in seen:
                seen.add(divergence["path"])
                file, line = divergence["site"] or ("", 0)
                kind = "order" if only_order(divergence["changes"]) else "input"
                what = _first(divergence["changes"], "from the record") or divergence["text"]
                yield Source(kind, what, file, line, divergence["path"])


def _first(changes: list[Any], against: str) -> str:
    if not changes:
        return ""
    path, before, after = changes[0]
    return f"differs {against} at {path}: {_cut(before)} -> {_cut(after)}"


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."


def only_order(changes: Iterable[Any]) -> bool:
    """Whether what was there is there again, only in another order: of a list's items, or of the words of a text."""
    before: Counter[tuple[str, ...]] = Counter()
    after: Counter[tuple[str, ...]] = Counter()
    for _, was, now in changes:
        before[_words(was)] += 1
        after[_words(now)] += 1
    return bool(before) and before == after


def _words(text: str) -> tuple[str, ...]:
    return tuple(sorted(re.findall(r"\w+", text)))
