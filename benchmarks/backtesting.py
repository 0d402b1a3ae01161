"""How a backtest scales with the cores: traces per second of wall-clock time, from the store to the report.

    python benchmarks/backtesting.py [traces] [steps]

Records traces of ten steps each (nine plain steps and a tool), then backtests all of them with one step edited, so that
the workflow runs again and nine steps are served: with one process, and doubling up to the number of cores. Starting
the processes, reading every record, writing every new trace and reading it again to score it are part of it.

On a machine that others use, seconds say little; the two last columns do. ``CPU/trace`` is what a trace takes of all
processes together: as long as it does not grow with their number, nobody waits for anybody. ``parent`` is the part of
it that is not spread over the processes, and so sets the most that any number of cores could do.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from typing import Any

import tracer
from replay import backtest, edit
from tracer.store import Filter

ANSWER = "Your card is blocked now, and a new one is on its way. " * 4


@tracer.step
def plain(number: int) -> dict[str, Any]:
    return {"text": ANSWER, "number": number}


@tracer.step(kind="tool")
def look_up(number: int) -> dict[str, Any]:
    return {"text": ANSWER, "number": number}


@tracer.workflow
def pipeline(first: int, steps: int) -> int:
    total = sum(plain(first + number)["number"] for number in range(steps - 1))
    return total + look_up(first)["number"]


def cpu_s() -> tuple[float, float]:
    """CPU time of this process, and of it and all that it has started and that have ended, in seconds."""
    own, ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    mine = own.ru_utime + own.ru_stime
    return mine, mine + ended.ru_utime + ended.ru_stime


def main(traces: int, steps: int) -> None:
    tracer.configure(home=tempfile.mkdtemp())
    for first in range(traces):
        pipeline(first, steps)
    tracer.flush()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = sorted({1, *(2**power for power in range(8) if 2**power <= cores), cores})
    print(f"{traces:,} traces of {steps} steps, {cores} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'processes':<12}{'seconds':>10}{'traces/s':>10}{'of one':>10}{'CPU/trace':>12}{'parent':>10}{'load':>7}")
    alone = 0.0
    for number in workers:
        began, cpu = time.perf_counter(), cpu_s()
        report = backtest(Filter(workflow="pipeline"), edit("look_up", {"number": 0}), workers=number)
        took = time.perf_counter() - began
        assert len(report.outcomes) == traces
        assert not report.problems(), report.problems()
        alone = alone or took
        own, all_of_them = ((now - then) / traces * 1e3 for now, then in zip(cpu_s(), cpu, strict=True))
        print(
            f"{number:<12}{took:>10.1f}{traces / took:>10,.0f}{alone / took:>9.2f}x{all_of_them:>9.1f} ms{own:>7.1f} ms"
            f"{os.getloadavg()[0]:>7.1f}"
        )


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] + ["1000", "10"][len(sys.argv) - 1 :])))
