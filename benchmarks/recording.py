"""What recording costs the caller: CPU time of the calling thread per decorated call, and of ``import tracer``.

    python benchmarks/recording.py

Prints a table: median, best and worst of 7 rounds. The inputs are a prompt of 2,000 characters and a small mapping, the
output a text of 1,000 characters and a small mapping. The plain call's own cost is taken off. The writer's thread works
meanwhile, as it does in life; its CPU time is not the caller's and is shown by itself.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable

ROUNDS = 7
CALLS = 5_000
PROMPT = ("Answer the customer in two sentences, kindly. " * 50)[:2_000]
OPTIONS = {"temperature": 0.2, "top_k": 40, "language": "en", "stop": ["\n\n"]}
ANSWER = ("Your card is blocked now, and a new one is on its way. " * 30)[:1_000]


def answer(prompt: str, options: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - only recorded
    return {"text": ANSWER, "usage": {"input": 512, "output": 220}, "model": "small"}


def per_call_us(call: Callable[..., Any], clock: Callable[[], int] = time.thread_time_ns) -> float:
    began_ns = clock()
    for _ in range(CALLS):
        call(PROMPT, OPTIONS)
    return (clock() - began_ns) / CALLS / 1_000


def recorded() -> list[tuple[str, list[float]]]:
    import tracer  # noqa: PLC0415 - its import is measured first

    step = tracer.step(answer)
    flow = tracer.workflow(answer)
    rows: dict[str, list[float]] = {"step in a workflow": [], "workflow": [], "all threads, per step": []}

    @tracer.workflow
    def many() -> None:
        rows["step in a workflow"].append(per_call_us(step) - per_call_us(answer))

    for _ in range(ROUNDS):
        began_ns = time.process_time_ns()
        many()
        tracer.flush(60.0)
        rows["all threads, per step"].append((time.process_time_ns() - began_ns) / CALLS / 1_000)
        rows["workflow"].append(per_call_us(flow) - per_call_us(answer))
        tracer.flush(60.0)
    return [(f"{name} (µs)", values) for name, values in rows.items()]


def switched_off() -> list[tuple[str, list[float]]]:
    import tracer  # noqa: PLC0415 - its import is measured first

    tracer.configure(enabled=False)
    flow, step = tracer.workflow(answer), tracer.step(answer)
    return [
        ("workflow, recording off (µs)", [per_call_us(flow) - per_call_us(answer) for _ in range(ROUNDS)]),
        ("step outside a workflow (µs)", [per_call_us(step) - per_call_us(answer) for _ in range(ROUNDS)]),
    ]


def imported() -> list[tuple[str, list[float]]]:
    def once_ms(code: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3

    once_ms("import tracer")  # so that the compiled files are there
    return [("import tracer (ms)", [once_ms("import tracer") - once_ms("pass") for _ in range(ROUNDS)])]


def main() -> None:
    print(f"{'':32}{'median':>9}{'best':>9}{'worst':>9}")
    with tempfile.TemporaryDirectory() as home:
        os.environ["PLAYHEAD_HOME"] = home
        for measured in (imported, recorded, switched_off):
            for name, values in measured():
                print(f"{name:32}{statistics.median(values):9.2f}{min(values):9.2f}{max(values):9.2f}")


if __name__ == "__main__":
    main()
