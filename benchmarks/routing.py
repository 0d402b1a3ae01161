"""What routing costs without the model's time; whether it holds under a storm is routed.py's to say.

    python benchmarks/routing.py [--calls 5000] [--rounds 5]

CPU time of the calling thread per routed call of a function that answers at once, outside a workflow
(recording off) and inside one (on); what a bare call of that function takes is in every round and taken off. Each
contestant runs in a fresh child process, in turns; figures are median (best to worst).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import Any

from costs.rounds import Spread, child, over, table
from costs.routes import CASES

_TARGET_US = 50


def overhead(rounds: int, calls: int) -> None:
    """Measure what routing adds to a call, and print it."""
    figures: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for _ in range(rounds):
        for case in CASES:
            for recording in ("off", "on"):
                figures[case, recording].append(child("costs.routes", case, recording, str(calls)))
    rows = []
    for case in CASES:
        if case == "bare":
            continue
        off, on = (over(figures[case, how], figures["bare", how], "us") for how in ("off", "on"))
        rows.append([case, off.text(1), on.text(1), "met" if off.median <= _TARGET_US else "MISSED"])
    bare = Spread(one["us"] for one in figures["bare", "off"]).text(2)
    head = ("added per call, µs of CPU", "recording off", "recording on", f"off, at most {_TARGET_US}")
    table(f"Routing: {calls:,} calls, {rounds} rounds; the bare call takes {bare} µs", head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5_000, help="per process")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    overhead(given.rounds, given.calls)


if __name__ == "__main__":
    main()
