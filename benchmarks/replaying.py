"""How fast a replay serves: steps per second of wall-clock time, from the store to the new trace.

    python benchmarks/replaying.py [steps]

Prints a table: plain steps served at the top level, leaves served inside a body that runs again, and a fan-out whose
calls come in another order than recorded. Loading the record and writing the new trace are part of it. Then what a
change costs: of a workflow of ten calls one is changed, and the calls that really run are counted. And what a replay
costs beside its steps: one of a ten-step trace by itself, and one of many on a trace that was made ready once.
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import Any

import tracer
from replay import live, replay
from replay.plan import Plan
from replay.stage import staged

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


CALLED: list[int] = []


@tracer.step(kind="tool")
def call(number: int) -> int:
    CALLED.append(number)
    return number * number


@tracer.workflow
def ten() -> int:
    return sum(call(number) for number in range(10))


def what_a_change_costs() -> None:
    ten()
    tracer.flush()
    print(f"\n{'of ten calls':<34}{'ran':>10}{'served':>10}")
    for name, rules in (("nothing changed", ()), ("the fourth is to run", (live("call[3]"),))):
        CALLED.clear()
        done = replay("latest", *rules, fn=ten)
        assert done.stopped is None, done.stopped
        print(f"{name:<34}{len(CALLED):>10}{done.served:>10}")
    again = 50
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(again):
        replay("latest", fn=ten)
    alone = (time.perf_counter() - began) / again, (time.process_time() - cpu) / again
    with staged("latest", ten) as stage:
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(again):
            stage.play(Plan())
        many = (time.perf_counter() - began) / again, (time.process_time() - cpu) / again
    print(f"\n{'a replay of ten steps':<34}{'ms wall':>10}{'ms CPU':>10}")
    for name, (wall_s, cpu_s) in (("by itself", alone), ("one of many on one trace", many)):
        print(f"{name:<34}{wall_s * 1e3:>10.1f}{cpu_s * 1e3:>10.1f}")


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
    what_a_change_costs()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
