"""What the journal takes in, and what recording weighs.

    python benchmarks/durability.py [--events 1000000] [--steps 1000000]

First a burst of small events into the journal from one thread: events a second by CPU and by wall clock, how many are
missing when they are read back, and what an append costs that begins a new segment. Then the resident memory of a
program that calls a small function a million times, bare and recorded, with its store there and with its store away;
each in a process of its own, at the first tenth, half-way and at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MEMORY = """
import json, os, sys, time

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

how, steps = sys.argv[1], int(sys.argv[2])

def small(n):
    return n + 1

flow = step = lambda function: function
if how != "bare":
    from tracer import step, workflow as flow
    import tracer

called = step(small)

@flow
def many(first, count):
    for n in range(first, first + count):
        called(n)

seen, done, peak = [resident_mb()], 0, 0.0
began = time.perf_counter()
while done < steps:
    many(done, 1000)
    done += 1000
    peak = max(peak, resident_mb())
    if done * 10 // steps > (done - 1000) * 10 // steps and done * 10 // steps in (1, 5, 10):
        if how == "recorded": tracer.flush(600)
        seen.append(resident_mb())
waiting = refused = 0
if how != "bare":
    from tracer import recorder
    from tracer.guard import degraded, REFUSED
    waiting, refused = recorder.recorder().journal.waiting_bytes / 1e6, degraded[REFUSED]
print(json.dumps([*seen[1:], max(peak, *seen), waiting, refused, time.perf_counter() - began]))
"""
PACED, PER_SECOND = 400_000, 200_000
PAYLOAD = b"started: a small step, its name, path, times and a few arguments; " * 4


def burst(events: int) -> None:
    from tracer.journal import START, Journal  # noqa: PLC0415 - not before the tables' heading

    with tempfile.TemporaryDirectory() as home:
        journal = Journal(Path(home), "feedbeef")
        frames = [b"%07d" % n + PAYLOAD[: 200 + n % 50] for n in range(10_000)]
        cpu_ns, wall_ns = time.thread_time_ns(), time.perf_counter_ns()
        for n in range(events):
            journal.append(frames[n % 10_000])
        cpu_ns, wall_ns = time.thread_time_ns() - cpu_ns, time.perf_counter_ns() - wall_ns
        read, wrong, position = 0, 0, START
        while position < journal.end:
            got, position = journal.read(position, limit=10_000)
            wrong += sum(frame != frames[(read + n) % 10_000] for n, frame in enumerate(got))
            read += len(got)
            journal.drop_before(position)
        switches_us, other = switches(journal, frames)
        journal.close(written=journal.end)
    print(f"A burst of {events:,} events of 207 to 256 bytes")
    print(f"{'events/s by CPU of the caller':36}{events / cpu_ns * 1e9:>12,.0f}")
    print(f"{'events/s by wall clock':36}{events / wall_ns * 1e9:>12,.0f}")
    print(f"{'missing or wrong when read back':36}{events - read + wrong:>12,}")
    median_us, worst_us = statistics.median(switches_us), max(switches_us)
    print(f"Then {PACED:,} events at {PER_SECOND:,} a second")
    print(f"{'an append that begins a segment (us)':36}{median_us:>12,.0f}, {worst_us:,.0f} at worst")
    print(f"{'other appends above 300 us':36}{other:>12,}")


def switches(journal: Any, frames: list[bytes]) -> tuple[list[float], int]:
    """At a fixed pace: the time of each append that began a new segment, and how many others were slow."""
    clock = time.perf_counter_ns
    due_ns, number, other = clock(), journal.end.segment, 0
    taken_us: list[float] = []
    for n in range(PACED):
        due_ns += 10**9 // PER_SECOND
        while clock() < due_ns:
            pass
        before_ns = clock()
        journal.append(frames[n % 10_000])
        took_us = (clock() - before_ns) / 1e3
        if journal.end.segment != number:
            number = journal.end.segment
            taken_us.append(took_us)
        elif took_us > 300:
            other += 1
    return taken_us, other


def weigh(how: str, steps: int) -> list[float]:
    with tempfile.TemporaryDirectory() as home:
        url = "postgresql://127.0.0.1:1/away" if how == "away" else f"sqlite:///{home}/playhead.db"
        places = {"PLAYHEAD_HOME": home, "PLAYHEAD_DATABASE_URL": url}
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", MEMORY, how, str(steps)],
            env={**os.environ, **places},
            stdout=subprocess.PIPE,
            check=True,
        )
    told: list[Any] = json.loads(ran.stdout)
    return told


def memory(steps: int) -> None:
    print(f"\nResident memory over {steps:,} steps (MB)")
    print(f"{'':28}{'at 10 %':>9}{'50 %':>9}{'end':>9}{'peak':>9}{'over bare':>11}{'waiting':>9}{'refused':>9}{'s':>7}")
    bare = 0.0
    for how in ("bare", "recorded", "away"):
        *seen, peak, waiting, refused, took_s = weigh(how, steps)
        bare = bare or peak
        name = {"bare": "bare", "recorded": "recorded, the store there", "away": "recorded, the store away"}[how]
        columns = "".join(f"{value:>9.1f}" for value in (*seen, peak))
        print(f"{name:28}{columns}{peak - bare:>11.1f}{waiting:>9.0f}{refused:>9,.0f}{took_s:>7.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=1_000_000)
    asked = parser.parse_args()
    burst(asked.events)
    memory(asked.steps)


if __name__ == "__main__":
    main()
