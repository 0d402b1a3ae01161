"""One contestant, one round of W1, in this process: prints its figures as one line of JSON.

    python -m costs.w1 playhead --texts FILE --steps 20000 --unique

W1 is a workflow of 10 steps, each with a prompt of 2,000 characters and a small dict in, and a text of 1,000 characters
and a small dict out; nothing else happens. All texts are in memory before any clock starts, and out of the garbage
collector's sight. Before it is measured a contestant runs one workflow and writes it out, so that what happens once a
process (imports, the schema) is in "start" and in nothing else.

caller_us    CPU of the calling thread (time.thread_time_ns) per step, the workflow around ten of them included
process_us   CPU of all threads (time.process_time_ns) per step, until all is flushed and shut down
start_ms     CPU of the process for importing, setting up and the first workflow, written out
peak_mb      peak resident memory of the whole process (getrusage), texts and interpreter included
recorded     spans that the contestant's own store has in the end, of how many were begun ("expected")
bytes        what one step takes on disk, or on the wire
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import resource
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

from costs import sink, texts

STEPS_A_WORKFLOW = 10
#: The floor's rows in one executemany: more make it no cheaper.
ROWS_A_BATCH = 1_000
PATIENCE_S = 120.0
OPTIONS: dict[str, Any] = {"temperature": 0.2, "top_k": 40, "language": "en", "stop": ["\n\n"]}

Output = tuple[str, dict[str, Any]]
Workflow = Callable[[int], int]


class Work:
    """The undecorated program: ``step()`` makes its step, which gives the outputs in turn, and ``flow(step)`` a
    workflow that calls that step ten times, with the prompts of its number."""

    def __init__(self, pairs: Iterator[tuple[str, str]]) -> None:
        self.prompts: list[str] = []
        self.outputs: list[Output] = []
        for number, (prompt, answer) in enumerate(pairs):
            usage = {"input": 400 + number % 200, "output": 180 + number % 90, "model": "small"}
            self.prompts.append(prompt)
            self.outputs.append((answer, usage))

    def step(self) -> Callable[[str, dict[str, Any]], Output]:
        upcoming = iter(self.outputs)

        def draft(prompt: str, options: dict[str, Any]) -> Output:  # noqa: ARG001 - only recorded
            return next(upcoming)

        return draft

    def flow(self, step: Callable[[str, dict[str, Any]], Output]) -> Workflow:
        def ticket(number: int) -> int:
            for prompt in self.prompts_of(number):
                step(prompt, OPTIONS)
            return number

        return ticket

    def prompts_of(self, number: int) -> list[str]:
        first = number * STEPS_A_WORKFLOW
        return self.prompts[first : first + STEPS_A_WORKFLOW]


class Contestant(NamedTuple):
    """``run(number)`` runs a workflow; ``close`` writes out everything and ends; ``kept`` is asked after that."""

    run: Workflow
    flush: Callable[[], object] = lambda: None
    close: Callable[[], object] = lambda: None
    kept: Callable[[], dict[str, Any]] = dict


def bare(work: Work, _address: str, _home: Path) -> Contestant:
    """The functions as they are."""
    return Contestant(work.flow(work.step()))


def playhead(work: Work, _address: str, home: Path) -> Contestant:
    """@workflow and @step, into SQLite."""
    import tracer  # noqa: PLC0415 - its import is a part of what is measured

    tracer.configure(home=home)

    def kept() -> dict[str, Any]:
        with closing(sqlite3.connect(home / "playhead.db")) as store:
            (count,) = store.execute("SELECT count(*) FROM steps WHERE outcome IS NOT NULL").fetchone()
        sizes = [path.stat().st_size for path in home.rglob("*") if path.is_file()]
        return {"recorded": count, "total_bytes": sum(sizes)}

    return Contestant(
        tracer.workflow(work.flow(tracer.step(work.step()))),
        flush=lambda: tracer.flush(PATIENCE_S),
        close=lambda: (tracer.flush(PATIENCE_S), tracer.shutdown(PATIENCE_S)),
        kept=kept,
    )


def otel(work: Work, address: str, _home: Path, **queue: int) -> Contestant:
    """A span for each step and each workflow; prompt, dict and output as attributes, dicts as JSON text."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    # Lost spans are counted at the sink: a line for each hundred or so of them would only hide the tables.
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{address}/v1/traces"), **queue))
    spans = provider.get_tracer("w1")
    step = work.step()

    def traced(prompt: str, options: dict[str, Any]) -> Output:
        inputs = {"prompt": prompt, "options": json.dumps(options)}
        with spans.start_as_current_span("draft", attributes=inputs) as span:
            text, usage = step(prompt, options)
            span.set_attributes({"text": text, "usage": json.dumps(usage)})
            return text, usage

    flow = work.flow(traced)

    def run(number: int) -> int:
        with spans.start_as_current_span("ticket", attributes={"number": number}):
            return flow(number)

    def kept() -> dict[str, Any]:
        numbers = sink.taken(address)
        return {"recorded": numbers["spans"], "total_bytes": numbers["bytes"]}

    flush_ms = int(PATIENCE_S * 1_000)
    return Contestant(run, flush=lambda: provider.force_flush(flush_ms), close=provider.shutdown, kept=kept)


def otel_long_queue(work: Work, address: str, home: Path) -> Contestant:
    """The same with a queue that holds everything, so that nothing need be lost."""
    return otel(work, address, home, max_queue_size=200_000)


def floor(work: Work, _address: str, home: Path) -> Contestant:
    """What the hardware and SQLite allow: finished rows, uncompressed, into one table with a text key, by executemany.

    A run is one workflow's turn; every hundredth writes a batch. The rows are made beforehand.
    """
    store = sqlite3.connect(home / "floor.db", isolation_level=None)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("PRAGMA synchronous=NORMAL")
    store.execute("CREATE TABLE steps (id TEXT PRIMARY KEY, began_ns, name, input, options, output, usage)")
    rows = [
        (f"{number:032x}", time.time_ns(), "draft", prompt, json.dumps(OPTIONS), text, json.dumps(usage))
        for number, (prompt, (text, usage)) in enumerate(zip(work.prompts, work.outputs, strict=True))
    ]
    waiting = iter(rows)
    due: list[tuple[Any, ...]] = []

    def write() -> None:
        store.execute("BEGIN IMMEDIATE")
        store.executemany("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)", due)
        store.execute("COMMIT")
        due.clear()

    def run(number: int) -> int:
        due.extend(next(waiting) for _ in range(STEPS_A_WORKFLOW))
        if len(due) >= ROWS_A_BATCH:
            write()
        return number

    def close() -> None:
        write()
        store.close()

    def kept() -> dict[str, Any]:
        return {"recorded": None, "total_bytes": (home / "floor.db").stat().st_size}

    return Contestant(run, close=close, kept=kept)


CONTESTANTS: dict[str, Callable[[Work, str, Path], Contestant]] = {
    "bare": bare,
    "otel": otel,
    "otel-long-queue": otel_long_queue,
    "playhead": playhead,
    "floor": floor,
}


def measure(make: Callable[[Work, str, Path], Contestant], work: Work, address: str, home: Path) -> dict[str, Any]:
    """One round of what ``make`` makes. Workflow 0 warms up, the others are measured."""
    gc.collect()
    gc.freeze()
    process_ns = time.process_time_ns()
    contestant = make(work, address, home)
    contestant.run(0)
    contestant.flush()
    start_ns = time.process_time_ns() - process_ns
    workflows = len(work.prompts) // STEPS_A_WORKFLOW
    steps = (workflows - 1) * STEPS_A_WORKFLOW
    run = contestant.run
    process_ns, caller_ns = time.process_time_ns(), time.thread_time_ns()
    for number in range(1, workflows):
        run(number)
    caller_ns = time.thread_time_ns() - caller_ns
    contestant.close()
    process_ns = time.process_time_ns() - process_ns
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "caller_us": caller_ns / steps / 1e3,
        "process_us": process_ns / steps / 1e3,
        "start_ms": start_ns / 1e6,
        "peak_mb": peak / (1e6 if sys.platform == "darwin" else 1e3),
        "expected": workflows * (STEPS_A_WORKFLOW + 1),
        "steps": workflows * STEPS_A_WORKFLOW,
        **contestant.kept(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contestant", choices=CONTESTANTS)
    parser.add_argument("--texts", type=Path, required=True, help="what costs.texts.write wrote")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--unique", action="store_true", help="every text another one")
    parser.add_argument("--sink", default="", help="where OpenTelemetry exports to")
    given = parser.parse_args()
    count = given.steps + STEPS_A_WORKFLOW
    work = Work(texts.read(given.texts, count, unique=given.unique, distinct=STEPS_A_WORKFLOW))
    with tempfile.TemporaryDirectory() as home:
        print(json.dumps(measure(CONTESTANTS[given.contestant], work, given.sink, Path(home))))


if __name__ == "__main__":
    main()
