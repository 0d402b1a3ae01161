"""How long ``playhead stats`` takes over many traces: from the store to the rows of each table.

    python benchmarks/stats.py [traces] [steps]

Fills a store on SQLite with traces of ten steps (two of them model calls, one a router's decision), then counts each
table once: wall-clock and CPU time, and the most memory this process ever had.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Iterator

from sqlalchemy import insert

from tracer.stats.measure import BY
from tracer.stats.reading import stats_of
from tracer.store import Filter, open_store
from tracer.store.engine import writing
from tracer.store.tables import model_calls, steps, traces

NEW_YEAR_NS = 1_767_225_600 * 10**9
DAY_NS = 86_400 * 10**9
AT_ONCE = 2_000
chance = random.Random(5)
KINDS = ("llm", "llm", "router", "tool")


def a_trace(number: int, of_steps: int) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of one trace, as the writer would leave them."""
    trace_id, began_ns = f"{number:032x}", NEW_YEAR_NS + number * (30 * DAY_NS // 100_000)
    rows, calls, at_ns = [], [], began_ns
    for index in range(of_steps):
        kind = "workflow" if index == 0 else KINDS[index - 1] if index <= len(KINDS) else "step"
        took_ns = int(chance.lognormvariate(19, 0.6))
        tags = None
        if kind == "router":
            decision = {"policy": "cascade", "candidates": ["a", "b"], "fell_back": number % 20 == 0}
            tags = {"decision": {**decision, "chosen": "b" if number % 3 == 0 else "a"}}
        row = {
            **dict.fromkeys(column.name for column in steps.columns),
            "trace_id": trace_id,
            "step_id": f"{number * 16 + index:016x}",
            "seq": index,
            "kind": kind,
            "parent_id": None if index == 0 else f"{number * 16:016x}",
            "name": kind,
            "occurrence": 0,
            "path": "flow" if index == 0 else f"flow/{kind}_{index}",
            "started_ns": at_ns,
            "origin": "live",
            "ended_ns": at_ns + took_ns,
            "outcome": "ok",
            "effect": 0,
            "end_tags": tags,
            "input": os.urandom(16),
            "output": os.urandom(16),
            "identity": f"k1:{number:032x}",
        }
        rows.append(row)
        if kind == "llm":
            same = {"trace_id": trace_id, "step_id": row["step_id"], "model": f"model-{index}", "streamed": False}
            calls.append({**same, "cost_nusd": chance.randrange(1_000_000), "price": "p"})
        at_ns += took_ns if index else 1_000
    rows[0]["ended_ns"] = at_ns
    outcome = "failed" if number % 25 == 0 else "ok"
    row = {
        "trace_id": trace_id,
        "workflow": f"flow-{number % 4}",
        "version": f"v{number % 3}",
        "owner": "me",
        "preview": "",
        "started_ns": began_ns,
        "ended_ns": at_ns,
        "outcome": outcome,
        "steps": of_steps,
        "model_calls": len(calls),
        "models": [],
        "input_tokens": 0,
        "output_tokens": 0,
        "unpriced": 0,
        "cost_nusd": sum(call["cost_nusd"] for call in calls),
        "escalations": int(number % 40 == 0),
        "tags": {"arms": {"drafts": {"arm": "canary" if number % 10 == 0 else "production", "propensity": 0.1}}},
    }
    return row, rows, calls


def fill(path: Path, number: int, of_steps: int) -> None:
    def batches() -> Iterator[range]:
        return (range(start, min(number, start + AT_ONCE)) for start in range(0, number, AT_ONCE))

    with open_store(path) as store:
        for batch in batches():
            made = [a_trace(each, of_steps) for each in batch]
            with writing(store._engine) as connection:  # noqa: SLF001 - no journal: reading is what is measured
                connection.execute(insert(traces), [row for row, _, _ in made])
                connection.execute(insert(steps), [row for _, rows, _ in made for row in rows])
                connection.execute(insert(model_calls), [row for _, _, calls in made for row in calls])


def main(number: int, of_steps: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "playhead.db"
        fill(path, number, of_steps)
        print(f"{number:,} traces, {number * of_steps:,} steps, {path.stat().st_size / 1e6:,.0f} MB")
        with open_store(path) as store:
            for by in BY:
                began, cpu = time.perf_counter(), time.process_time()
                found = stats_of(store, Filter(), by=by)
                took, cpu = time.perf_counter() - began, time.process_time() - cpu
                print(f"by {by:<10}{took:8.2f} s {cpu:8.2f} s CPU   {len(found.rows)} rows")
            began = time.perf_counter()
            sides = stats_of(store, Filter(), by="workflow", compare="arm:drafts")
            print(f"compare arms {time.perf_counter() - began:6.2f} s   {len(json.dumps(sides.as_json())):,} bytes")
    print(
        f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB, load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] + ["100000", "10"][len(sys.argv) - 1 :])))
