"""One replay, in a process of its own: ``child QUESTION ANSWER``, two files of JSON.

The server may run for days while the code is edited. A new process has the code as it is now.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from replay.cli import replay_as_json
from replay.errors import ReplayError
from replay.mcp.arguments import Replay
from replay.mcp.reading import rules_of
from replay.run import replay
from tracer.errors import TracerError
from tracer.reading import open_reading


def main(question: str, answer: str) -> None:
    asked = Replay.model_validate_json(Path(question).read_text(encoding="utf-8"))
    try:
        told = _told(asked)
    except (ReplayError, TracerError) as error:
        told = {"problem": str(error)}
    Path(answer).write_text(json.dumps(told), encoding="utf-8")


def _told(asked: Replay) -> dict[str, Any]:
    rules = rules_of(asked)
    with open_reading() as store:  # adopts what a killed run left, so that it can be replayed
        trace_id = store.resolve(asked.trace)
    done = replay(
        trace_id,
        *rules,
        on_divergence=asked.on_divergence,
        budget_usd=asked.budget_usd,
        max_live_calls=asked.max_live_calls,
    )
    return {**replay_as_json(done), "parted": [str(divergence) for divergence in done.divergences]}


if __name__ == "__main__":
    main(*sys.argv[1:])
