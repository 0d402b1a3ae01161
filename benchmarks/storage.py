"""What recorded steps cost on disk, and what it costs to write them into a store on SQLite.

    python benchmarks/storage.py [tau-bench directory]

Prints bytes per turn of a conversation that grows, each turn in a batch of its own; bytes and CPU time per step of a
plain workload (10 steps in a workflow, a prompt of 2,000 and an answer of 1,000 characters, all different or all the
same), beside the same rows put in by sqlite3's executemany without digests or compression; and, where tau-bench's
conversations of airline agents are given, their bytes beside the same steps as JSON lines. CPU times are medians of 5.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any, Iterable, Iterator

from tracer import codec
from tracer.batches import BATCH, events_of
from tracer.events import Event, Finished, Started, pack
from tracer.store import open_store

KEY = b"k" * 32
ROUNDS = 5
WORKFLOWS = 500
TURNS = (25, 50, 100, 200)
WORDS = (Path(__file__).resolve().parents[1] / "LICENSE").read_text(encoding="utf-8").lower().split()
chance = random.Random(11)
clock_ns = count(1_767_225_600 * 10**9, 1_000)


def text(length: int) -> str:
    """Words in an order of their own, as a model might never say them, each with a number now and then."""
    said = [
        word if chance.random() < 0.9 else str(chance.randrange(10_000)) for word in chance.choices(WORDS, k=length)
    ]
    return " ".join(said)[:length]


class Trace:
    """One workflow as it comes about: its events, as they lie in the journal."""

    def __init__(self, name: str, value: Any) -> None:
        self.id = os.urandom(16)
        self.frames: list[bytes] = []
        self.numbers = count()
        self.root: bytes | None = None
        entry = {"module": "app", "qualname": name, "file": "app.py", "root": "."}
        self.root = self.begin(name, value, kind="workflow", workflow=name, entry=entry)

    def begin(self, name: str, value: Any, *, kind: str = "step", **attrs: Any) -> bytes:
        number, at_ns, step_id = next(self.numbers), next(clock_ns), os.urandom(8)
        path = name if self.root is None else f"flow/{name}[{number}]"
        self._say(Started(self.id, step_id, self.root, name, kind, path, number, at_ns, value, [], None, None, attrs))
        return step_id

    def end(self, step_id: bytes, value: Any) -> None:
        self._say(Finished(self.id, step_id, next(clock_ns), "ok", codec.encode(value).data, [], None, {}))

    def _say(self, event: Event) -> None:
        if isinstance(event, Started):
            event = event._replace(input=codec.encode(event.input).data)
        self.frames.append(pack(event))


def applied(path: Path, batches: Iterable[list[bytes]]) -> list[float]:
    """Write batches into a new store; the CPU time of each one, events unpacked to rows committed, in microseconds."""
    took = []
    with open_store(path) as store:
        store.apply([], owner="me", position=(0, 0))
        for number, frames in enumerate(batches, 1):
            began_ns = time.thread_time_ns()
            store.apply(events_of(frames, KEY), owner="me", position=(0, number))
            took.append((time.thread_time_ns() - began_ns) / 1_000)
    return took


def size_of(path: Path) -> int:
    """The database as it lies, after a checkpoint and without a VACUUM."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.stat().st_size


def in_batches(frames: list[bytes]) -> list[list[bytes]]:
    return [frames[start : start + BATCH] for start in range(0, len(frames), BATCH)]


def conversation(turns: int) -> Iterator[list[bytes]]:
    system = {"role": "system", "content": text(6_000)}
    tools = [{"type": "function", "name": f"tool_{number}", "description": text(600)} for number in range(20)]
    messages = [system]
    trace = Trace("flow", {"question": text(100)})
    yield trace.frames[:]
    for _ in range(turns):
        trace.frames.clear()
        messages.append({"role": "user", "content": text(400)})
        step = trace.begin("chat", {"model": "m", "messages": messages, "tools": tools})
        answer = {"role": "assistant", "content": text(600)}
        trace.end(step, answer)
        messages.append(answer)
        yield trace.frames[:]
    trace.frames.clear()
    trace.end(trace.root or b"", "done")
    yield trace.frames[:]


def growth(directory: Path) -> None:
    open_store(directory / "empty.db").close()
    empty = size_of(directory / "empty.db")
    print("a conversation that grows, 1,000 characters a turn, each turn in a batch of its own")
    for turns in TURNS:
        path = directory / f"{turns}.db"
        applied(path, conversation(turns))
        size = size_of(path) - empty
        print(f"  {turns:4} turns {size:12,} bytes {size / turns:10,.0f} a turn")


def workload(*, unique: bool) -> list[bytes]:
    prompt, answer = text(2_000), text(1_000)
    frames = []
    for _ in range(WORKFLOWS):
        trace: Trace | None = None
        for _ in range(10):
            value = {"prompt": text(2_000) if unique else prompt, "options": {"temperature": 0.2, "top_k": 40}}
            output = {"text": text(1_000) if unique else answer, "usage": {"input": 512, "output": 220}}
            if trace is None:
                trace, end = Trace("flow", value), output
            else:
                trace.end(trace.begin("answer", value), output)
        trace.end(trace.root, end)
        frames += trace.frames
    return frames


def plain_rows(directory: Path, frames: list[bytes]) -> list[float]:
    """The same steps by executemany alone: no digests, no compression, nothing shared, nothing summed up."""
    connection = sqlite3.connect(directory / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(
        "CREATE TABLE steps (trace_id TEXT, step_id TEXT, parent_id TEXT, name TEXT, kind TEXT, path TEXT,"
        " occurrence INT, started_ns INT, ended_ns INT, outcome TEXT, input BLOB, output BLOB,"
        " PRIMARY KEY (trace_id, step_id))"
    )
    took = []
    for batch in in_batches(frames):
        began: dict[bytes, Started] = {}
        rows = []
        for event in events_of(batch, KEY):
            if isinstance(event, Started):
                began[event.step_id] = event
            elif isinstance(event, Finished) and (start := began.get(event.step_id)) is not None:
                parent = None if start.parent_id is None else start.parent_id.hex()
                head = (start.trace_id.hex(), start.step_id.hex(), parent, start.name, start.kind, start.path)
                rows.append(
                    (*head, start.occurrence, start.at_ns, event.at_ns, event.outcome, start.input, event.output)
                )
        began_ns = time.thread_time_ns()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"INSERT INTO steps VALUES ({', '.join('?' * 12)})", rows)
        connection.execute("COMMIT")
        took.append((time.thread_time_ns() - began_ns) / 1_000 / len(rows))
    connection.close()
    (directory / "plain.db").unlink()
    return took


def writing(directory: Path) -> None:
    print(f"10 steps in a workflow, {WORKFLOWS * 10:,} steps, batches of {BATCH:,} events")
    for name, unique in (("every text unique", True), ("every text the same", False)):
        frames = workload(unique=unique)
        rounds, plain = [], []
        for number in range(ROUNDS):
            path = directory / f"{name}{number}.db"
            rounds.append(sum(applied(path, in_batches(frames))) / (len(frames) / 2))
            plain.append(statistics.mean(plain_rows(directory, frames)))
        size = size_of(path) / (len(frames) / 2)
        print(f"  {name:20} {size:8,.0f} bytes a step {statistics.median(rounds):8.1f} us a step", end="")
        print(f"   executemany alone {statistics.median(plain):6.1f} us")


def tau_bench(directory: Path, source: Path) -> None:
    policy = (source / "policy.md").read_text(encoding="utf-8")
    tools = json.loads((source / "tools.json").read_text(encoding="utf-8"))
    frames: list[bytes] = []
    lines = steps = 0
    with gzip.open(source / "airline_gpt-4o.jsonl.gz", "rt", encoding="utf-8") as runs:
        for run in map(json.loads, runs):
            messages = [
                {**message, "content": policy} if message["content"] == "$AIRLINE_POLICY" else message
                for message in run["messages"]
            ]
            trace = Trace("flow", {"question": run["user_instruction"]})
            for at, message in enumerate(messages):
                if message["role"] == "assistant":
                    asked = {"model": run["model"], "messages": messages[:at], "tools": tools}
                    trace.end(trace.begin("chat", asked), message)
                    lines += len(json.dumps({"input": asked, "output": message}, ensure_ascii=False).encode()) + 1
                    steps += 1
            trace.end(trace.root or b"", "done")
            frames += trace.frames
    path = directory / "tau.db"
    took = sum(applied(path, in_batches(frames)))
    size = size_of(path)
    print(f"tau-bench airline, {steps:,} model calls: {lines:,} bytes as JSON lines, {size:,} in the store", end="")
    print(f" ({size / lines:.1%}), {size / steps:,.0f} a call, {took / steps:,.0f} us a call")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        growth(directory)
        writing(directory)
        if len(sys.argv) > 1:
            tau_bench(directory, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
