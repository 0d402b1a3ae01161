"""How long the viewer's server works for a page of the list, with very many traces in SQLite.

    python benchmarks/viewing.py [traces] [--rounds 5]

Fills a store with that many traces of ten steps (100,000 by default, a million steps; a minute), then asks for pages
over ASGI, in this process, and prints the CPU time of a request: the median of the rounds, best to worst. Rows are put
straight into the tables: what recording costs is measured elsewhere.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator

from fastapi.testclient import TestClient
from sqlalchemy import Table, insert

from tracer.store import Filter, open_store
from tracer.store.engine import connect, locate, writing
from tracer.store.tables import model_calls, step_texts, steps, traces
from web import create_app

STEPS = 10
BATCH = 2_000
MINUTE_NS = 60 * 10**9
WORDS = ("card", "lost", "refund", "account", "transfer", "rate", "cash", "pin", "order", "late", "fee", "wallet")
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "smollm2-135m")
ERRORS = ("openai.RateLimitError", "json.JSONDecodeError", "TimeoutError")
Row = dict[str, Any]


def told(number: int, dice: random.Random, now_ns: int) -> dict[Table, list[Row]]:
    """One trace as rows: every tenth failed, every fiftieth a replay."""
    trace_id, started = f"{number:032x}", now_ns - number * MINUTE_NS
    said = " ".join(dice.choices(WORDS, k=14)) + f" order-{number}"
    model, failed = MODELS[number % 7 % 4], number % 10 == 3
    whole: Row = {
        **{column.name: None for column in traces.columns},
        "trace_id": trace_id,
        "workflow": ("support", "billing", "research")[number % 5 % 3],
        "owner": "desk",
        "preview": said,
        "started_ns": started,
        "ended_ns": started + dice.randrange(10**8, 10**10),
        "outcome": "failed" if failed else "ok",
        "tags": {"team": ("cards", "loans")[number % 2]},
        "failed_step": "draft" if failed else None,
        "error_type": ERRORS[number % 3] if failed else None,
        "error_message": "Error code: 429 - too many requests" if failed else None,
        "steps": STEPS,
        "model_calls": 2,
        "models": [model],
        "input_tokens": 781,
        "output_tokens": 418,
        "cost_nusd": number * 997,
        "unpriced": 0,
        "escalations": 0,
        "seq": STEPS,
        "counted": STEPS,
        "replay_of": f"{number + 7:032x}" if number % 50 == 0 else None,
    }
    called = [f"{number * STEPS + at:016x}" for at in (3, 6)]
    calls = [{"trace_id": trace_id, "step_id": step_id, "model": model, "streamed": False} for step_id in called]
    texts = [
        {"trace_id": trace_id, "step_id": step_id, "part": part, "text": f"{said} {part}"}
        for step_id in called
        for part in ("input", "output")
    ]
    return {traces: [whole], steps: list(_steps(number, trace_id, started)), model_calls: calls, step_texts: texts}


def _steps(number: int, trace_id: str, started_ns: int) -> Iterator[Row]:
    for at in range(STEPS):
        name = f"step{at}" if at else "support"
        yield {
            "trace_id": trace_id,
            "step_id": f"{number * STEPS + at:016x}",
            "seq": at,
            "name": name,
            "kind": "step",
            "path": name,
            "occurrence": 0,
            "started_ns": started_ns + at,
            "origin": "live",
            "effect": 0,
            "ended_ns": started_ns + at + 1,
            "outcome": "ok",
        }


def fill(path: Path, count: int) -> None:
    engine = connect(locate(path))
    dice, now_ns = random.Random(1), time.time_ns()
    numbers = iter(range(count))
    while batch := list(itertools.islice(numbers, BATCH)):
        rows: dict[Table, list[Row]] = {}
        for number in batch:
            for table, some in told(number, dice, now_ns).items():
                rows.setdefault(table, []).extend(some)
        with writing(engine) as connection:
            for table, some in rows.items():
                connection.execute(insert(table), some)


def measured(ask: Callable[[], Any], rounds: int) -> str:
    ask()
    took = []
    for _ in range(rounds):
        began = time.process_time_ns()
        ask()
        took.append((time.process_time_ns() - began) / 1e6)
    return f"{statistics.median(took):8.1f}  ({min(took):.1f} to {max(took):.1f})"


def main(count: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "playhead.db") as store:
        fill(Path(folder) / "playhead.db", count)
        client = TestClient(create_app(store), base_url="http://127.0.0.1")
        middle = f"{store.traces(limit=1)[0].started_ns - count // 2 * MINUTE_NS}-0"
        pages = {
            "the list": "/",
            "a page from the middle": f"/?before={middle}",
            "failed": "/?status=failed",
            "one workflow": "/?workflow=support",
            "one workflow, failed": "/?status=failed&workflow=support",
            "one model, a week": "/?model=gpt-4o&since=7d",
            "a cost, a duration and a tag": "/?q=cost>0.01+duration>2s+tag:team=cards",
            "a frequent word": "/?q=refund",
            "a rare word": f"/?q=order-{count - 5}",
            "a word that nobody said": "/?q=zebra",
        }
        print(f"{count:,} traces, {count * STEPS:,} steps: CPU ms of a request, median (best to worst)")
        for name, path in pages.items():
            answer = client.get(path)
            assert answer.status_code == 200, (path, answer.text[:500])
            print(f"{name:<34}{measured(lambda path=path: client.get(path), rounds)}  {len(answer.content):>8,} bytes")
        for name, found in (("facets of all", Filter()), ("facets of one workflow", Filter(workflow="support"))):
            print(f"{name:<34}{measured(lambda found=found: store.facets(found), rounds)}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("traces", nargs="?", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args()
    main(asked.traces, asked.rounds)
