"""How long the viewer's server works for a page of one long trace, in SQLite.

    python benchmarks/long_trace.py [steps ...] [--rounds 5]

Records nothing: the events of agents with model calls are written as a writer would, then each view of the trace is
asked for over ASGI, in this process. Prints the CPU time of a request, the median of the rounds, best to worst.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from viewing import measured

from tracer import codec
from tracer.events import Finished, Started
from tracer.store import Store, open_store
from web import create_app

VIEWS = ("timeline", "tree", "conversation", "graph", "events", "json")
BATCH = 1_000


class Run:
    """The events of one run, a step after another."""

    def __init__(self, number: int) -> None:
        self.id = number.to_bytes(16, "big")
        self.events: list[Started | Finished] = []
        self.now_ns = time.time_ns()
        self._numbers = itertools.count(number << 32)

    def begin(self, name: str, above: bytes | None, kind: str, value: Any, **attrs: Any) -> bytes:
        step_id = next(self._numbers).to_bytes(8, "big")
        data = codec.encode(value).data
        self.events.append(
            Started(self.id, step_id, above, name, kind, name, 0, self.now_ns, data, [], None, None, attrs)
        )
        return step_id

    def end(self, step_id: bytes, value: Any, **attrs: Any) -> None:
        self.now_ns += 3_000_000
        data = codec.encode(value).data
        self.events.append(Finished(self.id, step_id, self.now_ns, "ok", data, [], None, attrs))


def told(number: int, steps: int) -> Run:
    """Agents of ten steps: four calls, five tools."""
    run = Run(number)
    root = run.begin("research", None, "workflow", {"question": "which fees?"}, workflow="research")
    usage = {"input_tokens": 812, "output_tokens": 96}
    call = {"provider": "openai", "model_asked": "gpt-4o-mini", "model": "gpt-4o-mini", "usage": usage}
    for at in range(steps // 10):
        agent = run.begin(f"agent{at % 7}", root, "agent", {"topic": at})
        for place in range(9):
            if place % 2:
                asked = run.begin("chat", agent, "llm", {"model": "gpt-4o-mini", "topic": at}, model="gpt-4o-mini")
                run.end(asked, "an answer", call=call)
            else:
                run.end(run.begin(f"tool{place}", agent, "tool", {"query": at}), {"found": place})
        run.end(agent, at)
    run.end(root, "done")
    return run


def fill(store: Store, run: Run) -> str:
    events = iter(run.events)
    while batch := list(itertools.islice(events, BATCH)):
        store.apply(batch, owner="desk")
    return run.id.hex()


def main(lengths: list[int], rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "playhead.db") as store:
        client = TestClient(create_app(store), base_url="http://127.0.0.1")
        for number, length in enumerate(lengths, 1):
            trace_id = fill(store, told(number, length))
            print(f"a trace of {length:,} steps: CPU ms of a request, median (best to worst)")
            print(f"{'reading it':<14}{measured(lambda known=trace_id: store.trace(known), rounds)}")
            for view in VIEWS:
                path = f"/t/{trace_id}?view={view}"
                answer = client.get(path)
                assert answer.status_code == 200, (path, answer.text[:500])
                took = measured(lambda path=path: client.get(path), rounds)
                print(f"{view:<14}{took}  {len(answer.content):>8,} bytes")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("steps", nargs="*", type=int, default=[500, 10_000, 20_000])
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args()
    main(asked.steps, asked.rounds)
