"""How long a writer waits while half of a store is pruned.

    python benchmarks/pruning.py [traces] [--database URL]

Fills a store with that many traces of ten steps (5,000 by default), each step with 2,000 characters of its own and a
conversation that all share, half of them old. Then another process writes batches of ten such traces as fast as it
can, first alone for as long as 300 batches take, then while the old half is pruned. Prints how long one batch takes
from its begin to its commit, waiting included: median, 99th percentile and longest, in milliseconds. Target: 200 at
the most.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Iterator

from tracer import codec
from tracer.events import Event, Finished, Started
from tracer.retention.pruning import prune
from tracer.retention.rules import DAY_NS, Retention
from tracer.store import open_store

TRACES_AT_ONCE = 10
ALONE = 300
OLD_NS = 90 * DAY_NS
TARGET_MS = 200
WORDS = (Path(__file__).resolve().parents[1] / "LICENSE").read_text(encoding="utf-8").lower().split()
TALK = [{"role": "user", "content": " ".join(WORDS[start : start + 60])} for start in range(0, 600, 30)]


def told(number: int, at_ns: int, chance: random.Random) -> Iterator[Event]:
    trace, root = number.to_bytes(16, "big"), (number << 8).to_bytes(8, "big")
    entry = {"workflow": "support"}
    shared = codec.encode({"messages": TALK}).data
    yield Started(trace, root, None, "support", "workflow", "support", 0, at_ns, shared, [], None, None, entry)
    for step in range(1, 10):
        name = root[:-1] + bytes((step,))
        own = codec.encode(" ".join(chance.choices(WORDS, k=300))).data
        began = (trace, name, root, "draft", "step", f"support/draft[{step}]", step - 1, at_ns + step)
        yield Started(*began, own, [], None, None, {})
        yield Finished(trace, name, at_ns + step, "ok", codec.encode(f"{number} {step}").data, [], None, {})
    yield Finished(trace, root, at_ns + 10, "ok", codec.encode(number).data, [], None, {})


def fill(url: str, traces: int) -> None:
    chance, now_ns = random.Random(1), time.time_ns()
    with open_store(url) as store:
        for start in range(0, traces, TRACES_AT_ONCE):
            at_ns = now_ns - (OLD_NS if start < traces // 2 else 0)
            numbers = range(start + 1, start + 1 + TRACES_AT_ONCE)
            store.apply([event for number in numbers for event in told(number, at_ns, chance)], owner="me")


def write(url: str, first: int, stop: Path) -> None:
    """Write until there is a file ``stop``, at least ALONE batches; then say how long each took, in milliseconds."""
    chance, took = random.Random(first), []
    with open_store(url) as store:
        print("ready", flush=True)
        for number in count(first, TRACES_AT_ONCE):
            events = [
                event for one in range(number, number + TRACES_AT_ONCE) for event in told(one, time.time_ns(), chance)
            ]
            began = time.perf_counter()
            store.apply(events, owner="writer")
            took.append((time.perf_counter() - began) * 1_000)
            if len(took) >= ALONE and stop.exists():
                break
    print(json.dumps(took), flush=True)


@contextlib.contextmanager
def writing(url: str, first: int, stop: Path) -> Iterator[list[float]]:
    """A process that writes meanwhile; afterwards, how long each of its batches took."""
    stop.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--write", str(first), str(stop), "--database", url]
    took: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield took
        stop.touch()
        took += json.loads(process.stdout.readline())


def shown(name: str, took: list[float]) -> None:
    worst = statistics.quantiles(took, n=100)[-1]
    print(f"  {name:24} {len(took):6,} {statistics.median(took):8.1f} {worst:8.1f} {max(took):8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("traces", nargs="?", type=int, default=5_000)
    parser.add_argument("--database")
    parser.add_argument("--write", nargs=2, metavar=("FIRST", "STOP"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write(given.database, int(given.write[0]), Path(given.write[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        url = given.database or f"sqlite:///{folder}/playhead.db"
        stop = Path(folder) / "stop"
        fill(url, given.traces)
        with writing(url, 1 << 30, stop) as alone:
            pass
        with open_store(url) as store, writing(url, 1 << 31, stop) as beside:
            before = store.facts()
            began = time.perf_counter()
            done = prune(store, Retention.of_days(30), now_ns=time.time_ns())
            seconds = time.perf_counter() - began
        with open_store(url) as store:
            whole = not store.check().damaged
    collected = done.collected
    assert collected is not None
    print(f"{before.database}, {given.traces:,} traces of ten steps, {before.size / 1e6:,.0f} MB")
    print(
        f"  pruned {len(done.traces):,} traces and {collected.bodies:,} bodies in {seconds:.1f} s; verify is", end=" "
    )
    print(f"{'green' if whole else 'RED'}; packs {collected.freed / 1e6:,.1f} MB smaller")
    print(f"  {'a batch of 100 steps, ms':24} {'batches':>6} {'median':>7} {'p99':>8} {'longest':>8}")
    shown("alone", alone)
    shown("while it is pruned", beside)
    print(f"  target: {TARGET_MS} at the most: {'met' if max(beside) <= TARGET_MS else 'missed'}")


if __name__ == "__main__":
    main()
