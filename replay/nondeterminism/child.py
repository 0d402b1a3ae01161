"""One watched replay, in a process of its own: ``child TRACE FILE`` writes what it saw to the file, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from replay.errors import ReplayError
from replay.nondeterminism.watch import Site, Watch
from replay.result import Replay
from replay.run import replay
from tracer import recorder
from tracer.errors import TracerError
from tracer.store import open_store


def main(trace: str, file: str) -> None:
    try:
        told = _told(trace)
    except (ReplayError, TracerError) as error:
        told = {"problem": str(error), "exit_code": getattr(error, "exit_code", 2)}
    Path(file).write_text(json.dumps(told), encoding="utf-8")


def _told(trace: str) -> dict[str, Any]:
    with open_store(recorder.current_config().database_url) as store:
        entry = store.trace(store.resolve(trace)).entry
    root = None if entry is None else entry.root or (entry.file and str(Path(entry.file).parent))
    watch = Watch(root or str(Path.cwd()))
    with watch.on():
        done = replay(trace, verify=True)
    return {
        "trace_id": done.trace_id,
        "stopped": None if done.stopped is None else str(done.stopped),
        "asked": [
            {"kind": each.kind, "what": each.what, "site": each.site, "step": each.step, "times": times}
            for each, times in watch.asked.items()
        ],
        "divergences": _divergences(done, watch.calls),
        "calls": watch.calls,
    }


def _divergences(done: Replay, calls: dict[str, Site]) -> list[dict[str, Any]]:
    return [
        {
            "kind": each.kind,
            "path": each.path,
            "text": str(each),
            "site": calls.get(each.step_id or ""),
            "changes": [(change.path, repr(change.before), repr(change.after)) for change in each.changes],
        }
        for each in done.divergences
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
