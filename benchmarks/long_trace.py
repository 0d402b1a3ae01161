"""How long the viewer's server works for a page of one long trace, in SQLite.

    python benchmarks/long_trace.py [steps ...] [--rounds 5]

Records nothing: the events of agents with model calls are written as a writer would, then each view of the trace is
asked for over ASGI, in this process. Prints the CPU time of a request, the median of the rounds, best to worst.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

from fastapi.testclient import TestClient
from viewing import measured

from tests.builders import Story
from tracer.store import Store, open_store
from web import create_app

VIEWS = ("timeline", "tree", "conversation", "graph", "events", "json")
BATCH = 1_000


def told(steps: int) -> Story:
    """Agents of ten steps: four calls, five tools."""
    story = Story("research", input={"question": "which fees do customers ask about?"})
    for number in range(steps // 10):
        agent = story.begin(f"agent{number % 7}", kind="agent", input={"topic": number})
        for place in range(9):
            story.now_ns += 3_000_000
            if place % 2:
                story.call("gpt-4o-mini", under=agent, input_tokens=812, output_tokens=96, output="an answer")
            else:
                story.step(f"tool{place}", {"found": place}, under=agent, kind="tool", input={"query": number})
        story.end(agent, number)
    return story.finish()


def fill(store: Store, story: Story) -> str:
    events = iter(story.events)
    while batch := list(itertools.islice(events, BATCH)):
        store.apply(batch, owner="desk")
    return story.trace_id


def main(lengths: list[int], rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "playhead.db") as store:
        client = TestClient(create_app(store), base_url="http://127.0.0.1")
        for length in lengths:
            trace_id = fill(store, told(length))
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
