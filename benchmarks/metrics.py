"""What an answer of ``/metrics`` and a look of ``playhead watch`` cost, and that neither grows with the store: SQLite,
traces of ten steps.

    python benchmarks/metrics.py [traces ...]

For each size: the very first answer, which counts the newest 5,000 traces; answers with nothing new; answers with so
many new traces as come in 15 seconds at one, ten and a hundred a second. CPU time of the process, the median of five
except the first, and the bytes of the answer and of what is kept in the store. Then a look by six rules over one hour
(138 runs ended in it) and a budget over the day (up to 3,323 runs), as often.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert
from stats import DAY_NS, NEW_YEAR_NS, a_trace, fill

from tracer.alerts.measured import Looking
from tracer.alerts.rules import Rule
from tracer.metrics.counting import NAME, STEPS_AT_ONCE, Metering
from tracer.metrics.exposition import exposition
from tracer.store import Store, open_store
from tracer.store.engine import writing
from tracer.store.tables import model_calls, steps, traces

TARGET_MS = 1_000
ROUNDS = 5
STEPS = 10
HOUR_NS = DAY_NS // 24
RULES = (
    Rule("fails", "failure_rate", 0.1, 0.1, HOUR_NS, 1),
    Rule("fails by step", "failure_rate", 0.1, 0.1, HOUR_NS, 1, by="step"),
    Rule("falls back", "fallback_rate", 0.1, 0.1, HOUR_NS, 1),
    Rule("slow", "p95", 10.0, 10.0, HOUR_NS, 1),
    Rule("slow by model", "p95", 10.0, 10.0, HOUR_NS, 1, by="model"),
    Rule("dear", "cost_per_hour", 10.0, 10.0, HOUR_NS, 0),
)
BUDGET = Rule("budget", "budget", 10.0, 10.0, HOUR_NS, 0)


def add(store: Store, first: int, number: int) -> None:
    made = [a_trace(each, STEPS) for each in range(first, first + number)]
    with writing(store._engine) as connection:  # noqa: SLF001 - no journal: reading is what is measured
        connection.execute(insert(traces), [row for row, _, _ in made])
        connection.execute(insert(steps), [row for _, rows, _ in made for row in rows])
        connection.execute(insert(model_calls), [row for _, _, calls in made for row in calls])


def answer(store: Store, metering: Metering) -> tuple[float, str]:
    """How many milliseconds of CPU it took, and what it said."""
    began = time.process_time()
    text = exposition(metering.read(store).ledger.metrics())
    return (time.process_time() - began) * 1e3, text


def look(store: Store, now_ns: int, *rules: Rule) -> float:
    """How many milliseconds of CPU it took to measure all of them."""
    began = time.process_time()
    looking = Looking(store, now_ns)
    for rule in rules:
        looking.readings(rule)
    return (time.process_time() - began) * 1e3


def measured(path: Path, number: int) -> None:
    with open_store(path) as store:
        metering = Metering()
        first, _ = answer(store, metering)
        print(f"{number:>9,} traces   the first {first:7,.0f} ms")
        at = number
        for new in (0, 15, 150, 1_500):
            took = []
            for _ in range(ROUNDS):
                add(store, at, new) if new else None
                at += new
                each, text = answer(store, metering)
                took.append(each)
            usual = statistics.median(took)
            verdict = "met" if usual <= TARGET_MS else "missed"
            print(f"{new:>9,} new      {usual:17,.0f} ms ({min(took):,.0f} to {max(took):,.0f}), target {verdict}")
        kept = json.dumps(store.shared(NAME)[NAME].value)
        # the last hour before a midnight among them
        now_ns = NEW_YEAR_NS + (number * 30 * DAY_NS // 100_000 // DAY_NS) * DAY_NS - 60 * 10**9
        for name, rules in (("six rules", RULES), ("a budget", (BUDGET,))):
            took = [look(store, now_ns, *rules) for _ in range(ROUNDS)]
            print(f"a look by {name:<10} {statistics.median(took):10,.0f} ms ({min(took):,.0f} to {max(took):,.0f})")
        print(f"an answer {len(text):,} bytes, kept in the store {len(kept):,} bytes")


def main(sizes: list[int]) -> None:
    print(f"at most {STEPS_AT_ONCE:,} steps are counted by one answer; target {TARGET_MS:,} ms but for the first")
    for number in sizes:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "playhead.db"
            fill(path, number, STEPS)
            measured(path, number)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [10_000, 100_000])
