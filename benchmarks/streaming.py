"""How much later the first piece of a stream reaches its reader because it is recorded, and the last one.

    python benchmarks/streaming.py [--streams 50] [--rounds 7]

A client reads streams of 21 events from a server in another process, one after the other over a kept connection, with
capture and without, in fresh child processes by turns. The server thinks for 30 ms before each. Times are wall time,
for waiting is what is measured, and beside it the CPU of the reading thread until the first piece, which hardly
depends on what else the machine does. Of each process the median over its streams; shown are median (best to worst)
over the rounds, and of what recording adds the same over the differences within a round.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections import defaultdict
from typing import Any

from costs import streams
from costs.rounds import Spread, child, environment, over, table

_TARGET_US = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=50, help="per process")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    figures: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    there = [name for name in streams.CLIENTS if importlib.util.find_spec(name.partition("-")[0]) is not None]
    with streams.running(environment()) as address:
        for _ in range(given.rounds):
            for name in there:
                for how in ("bare", "recorded"):
                    figures[name, how].append(child("costs.streams", name, how, address, str(given.streams)))
    rows = []
    for name in there:
        bare, recorded = figures[name, "bare"], figures[name, "recorded"]
        added = over(recorded, bare, "first_us")
        rows.append(
            [
                name,
                Spread(one["first_us"] for one in bare).text(0),
                Spread(one["first_us"] for one in recorded).text(0),
                added.text(0),
                over(recorded, bare, "cpu_us").text(0),
                over(recorded, bare, "whole_us").text(0),
                "met" if added.median <= _TARGET_US else "MISSED",
            ]
        )
    head = (
        "client",
        "first piece, µs",
        "recorded, µs",
        "added, µs",
        "CPU of it",
        "added to the whole",
        "at most 1,000",
    )
    table(f"Streams: {given.streams} a process, {given.rounds} rounds", head, rows)


if __name__ == "__main__":
    main()
