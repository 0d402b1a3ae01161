"""How fast a replay serves: steps per second of wall-clock time, from the store to the new trace.

    python benchmarks/replaying.py [steps]

Prints a table: plain steps served at the top level, leaves served inside a body that runs again, and a fan-out whose
calls come in another order than recorded. Loading the record and writing the new trace are part of it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import Any

import tracer
from replay import replay

ROUNDS = 3
ANSWER = {"text": "Your card is blocked now, and a new one is on its way. " * 4, "tokens": [512, 220]}


class Turn:
    """Whether this run is a replay: the order of a fan-out may well depend on what no step knows."""

    again = False


@tracer.step
def plain(number: int) -> dict[str, Any]:
    return {**ANSWER, "number": number}


@tracer.step(kind="tool")
def leaf(number: int) -> dict[str, Any]:
    return {**ANSWER, "number": number}


@tracer.step
def body(numbers: list[int]) -> int:
    return sum(leaf(number)["number"] for number in numbers)


@tracer.workflow
def at_the_top(count: int) -> int:
    return sum(plain(number)["number"] for number in range(count))


@tracer.workflow
def inside(count: int) -> int:
    return body(list(range(count)))


@tracer.workflow
def shuffled(count: int) -> int:
    order = range(count) if not Turn.again else reversed(range(count))
    return sum(leaf(number)["number"] for number in order)


def main(count: int) -> None:
    tracer.configure(home=tempfile.mkdtemp())
    print(f"{'':<34}{'steps/s':>10}")
    for name, flow, verify in (
        ("plain steps", at_the_top, False),
        ("leaves in a body that runs", inside, True),
        ("leaves in the reverse order", shuffled, False),
    ):
        Turn.again = False
        flow(count)
        tracer.flush()
        Turn.again = True
        best = 0.0
        for _ in range(ROUNDS):
            began = time.perf_counter()
            done = replay("latest", verify=verify)
            assert done.stopped is None, done.stopped
            best = max(best, done.served_steps / (time.perf_counter() - began))
        print(f"{name:<34}{best:>10,.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
