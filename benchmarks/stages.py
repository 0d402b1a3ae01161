"""Where the microseconds of W1 go (costs/w1.py, every text another one): a table for the caller, one for the writer.

    python benchmarks/stages.py [--steps 5000] [--rounds 5]

The caller's stages run one after the other, each by itself over all inputs, as the real call makes them; beside them
the whole call, with no writer at work. What is left over is the Python between the stages.

The writer drains what the caller left in the journal, on one thread and into an empty SQLite: once as it is, and once
with a clock that is stopped in one part and started in another wherever a part begins or ends. The collector of
garbage is a part, wherever it runs. What is done for each event, too short for a clock of its own, is measured over
all events apart.

CPU time of the thread per step (a tenth of a workflow included), medians of the rounds. Nothing else runs in this
process meanwhile, so there is no waiting for the interpreter's lock and no other core's cache in these figures, which
there is in those of recording.py.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping
from zlib import crc32

from costs import texts
from costs.rounds import table
from costs.w1 import OPTIONS, STEPS_A_WORKFLOW, Work
from ormsgpack import packb, unpackb
from sqlalchemy.engine import default

import tracer
from tracer import batches, codec, decorators, recorder, recording
from tracer.batches import BATCH
from tracer.context import ActiveStep
from tracer.declared import Capture
from tracer.events import Finished, Started
from tracer.ids import new_step_id
from tracer.journal import START, Journal
from tracer.key import NO_INPUT
from tracer.redact.detection import Detector
from tracer.store import Store, bodies, open_store, packs, rows, statements, write

Figures = dict[str, list[float]]
_NO_TRACE: Any = None


class Parked:
    """In the writer's place while the caller is measured: what is recorded stays in the journal."""

    has_store = False

    def __init__(self, *_: object, **__: object) -> None:
        """There is nothing to start."""

    def wake(self) -> None:
        """Nobody sleeps."""

    def close(self, _timeout_s: float) -> bool:
        return True


def us(steps: int, function: Callable[..., object], *columns: Iterable[Any]) -> float:
    """CPU of calling ``function`` with each row of ``columns``, per step, the loop included."""
    listed = list(zip(*columns, strict=True))
    gc.collect()
    began_ns = time.thread_time_ns()
    for row in listed:
        function(*row)
    return (time.thread_time_ns() - began_ns) / steps / 1e3


def called(work: Work) -> float:
    """The whole: the decorated calls, less the bare ones."""
    steps = len(work.prompts)
    flow, bare = tracer.workflow(work.flow(tracer.step(work.step()))), work.flow(work.step())
    numbers = range(steps // STEPS_A_WORKFLOW)
    return us(steps, flow, numbers) - us(steps, bare, numbers)


def caller_stages(work: Work, figures: Figures, home: Path) -> None:
    """Each stage of a call by itself. The workflow's own two events, a twentieth of the bytes, are in the rest."""
    steps = len(work.prompts)

    def stage(name: str, function: Callable[..., object], *columns: Iterable[Any]) -> None:
        figures[name].append(us(steps, function, *columns) - nothing)

    def step_of(prompt: str) -> ActiveStep:  # noqa: ARG001 - one for each
        return ActiveStep(_NO_TRACE, None, new_step_id(), "draft", "step", "ticket/draft[1]", Capture.FULL)

    nothing = us(steps, lambda _: None, work.prompts)
    spec = decorators.Spec(work.step(), kind="step")
    calls = [(prompt, OPTIONS) for prompt in work.prompts]
    stage("name the arguments", lambda call: spec.binder.name(call, {}), calls)
    stage("make the step and its id", step_of, work.prompts)
    given = [spec.binder.name(call, {}) for call in calls]
    stage("encode", codec.quick, given)
    stage("encode", codec.quick, work.outputs)
    inputs, outputs = ([codec.quick(value) or b"" for value in values] for values in (given, work.outputs))
    detector = Detector()
    stage("look for credentials", detector.suspects, inputs)
    stage("look for credentials", detector.suspects, outputs)
    trace, step, at_ns = bytes(16), bytes(8), time.time_ns()
    named, code = ("draft", "step", "ticket/draft[1]", 1, at_ns), "f1-py3.11:" + "0" * 24
    began = [("s", trace, step, step, *named, data, (), None, code, {}) for data in inputs]
    ended = [("f", trace, step, at_ns, "ok", data, (), None, {}) for data in outputs]
    stage("pack the events", packb, began)
    stage("pack the events", packb, ended)
    journal = Journal(home, "stages")
    for events in (began, ended):
        frames = [packb(event) for event in events]
        summing = us(steps, crc32, frames) - nothing
        figures["checksum"].append(summing)
        figures["copy into the journal"].append(us(steps, journal.append, frames) - nothing - summing)
    journal.close(written=journal.end)


class Clock:
    """CPU time of this thread by part, each part's own: a part that begins stops the clock of the one around it."""

    def __init__(self) -> None:
        self.spent_ns: Counter[str] = Counter()
        self._parts = ["the rest"]
        self._since_ns = time.thread_time_ns()

    def _turn(self) -> None:
        now_ns = time.thread_time_ns()
        self.spent_ns[self._parts[-1]] += now_ns - self._since_ns
        self._since_ns = now_ns

    def begin(self, part: str) -> None:
        self._turn()
        self._parts.append(part)

    def end(self) -> None:
        self._turn()
        self._parts.pop()

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.begin(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.end()

        return timed

    def collecting(self, phase: str, _info: Mapping[str, int]) -> None:
        self.begin("collect garbage") if phase == "start" else self.end()


#: The writer's parts: where each is called from, by what name, and what it is.
PARTS: tuple[tuple[Any, str, str], ...] = (
    (Journal, "read", "read the journal"),
    (Journal, "drop_before", "let go of segments"),
    (batches, "events_of", "unpack events, derive identities"),
    (Store, "apply", "begin and end the transaction"),
    (write, "apply", "make rows, digests"),
    (write, "leave_out", "which traces were dropped"),
    (write, "sum_up", "sum up traces of several batches"),
    (write, "_claim", "hold traces of several batches"),
    (write, "_queued", "queue for the search index"),
    (write, "_by_trace", "by trace"),
    (write, "_advance", "journal position"),
    (write, "_new_traces", "rows of traces"),
    (write, "_write_steps", "rows of steps"),
    (bodies, "keep", "which bodies are new"),
    (packs, "write", "lay out packs"),
    (packs, "_packed", "zstd"),
    (statements, "_light", "rows as sqlite3 takes them"),
    (default.DefaultDialect, "do_executemany", "SQLite: put rows in"),
    (default.DefaultDialect, "do_execute", "SQLite: look up"),
    (default.DefaultDialect, "do_commit", "SQLite: commit"),
)


def drained(journal: Journal, path: Path, *, last: bool) -> int:
    """Everything in the journal into a new store; CPU time in nanoseconds. ``last``: let go of it as well."""
    key, position = recorder.recorder().key, START  # type: ignore[union-attr]
    with open_store(path) as store:
        store.apply([], owner=journal.owner)
        gc.collect()
        began_ns = time.thread_time_ns()
        while position < journal.end:
            frames, position = journal.read(position, limit=BATCH)
            events = batches.events_of(frames, key)
            batches.write(store, events, owner=journal.owner, position=position)
            if last:
                journal.drop_before(position)
        return time.thread_time_ns() - began_ns


def writer_parts(steps: int, journal: Journal, figures: Figures, home: Path) -> None:
    """What ``drained`` takes, part by part."""
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in PARTS]
    clock = Clock()
    for owner, name, part in PARTS:
        setattr(owner, name, clock.around(part, getattr(owner, name)))
    gc.callbacks.append(clock.collecting)
    try:
        with open_store(home / "before.db") as store:  # what happens once a process
            store.apply([], owner="nobody")
        clock.spent_ns.clear()
        drained(journal, home / "watched.db", last=True)
    finally:
        gc.callbacks.remove(clock.collecting)
        for owner, name, original in kept:
            setattr(owner, name, original)
    for part, spent_ns in clock.spent_ns.items():
        if part != "the rest":  # opening the store is a part of it
            figures[part].append(spent_ns / steps / 1e3)


def apart(steps: int, journal: Journal, figures: Figures) -> None:
    """What is done for each event, over all events of the journal."""
    key = recorder.recorder().key  # type: ignore[union-attr]
    frames, position = [], START
    while position < journal.end:
        some, position = journal.read(position, limit=BATCH)
        frames += some
    figures["MessagePack to Python"].append(us(steps, unpackb, frames))
    events = batches.events_of(frames, key)
    inputs = [event.input for event in events if isinstance(event, Started)]
    outputs = [event.output for event in events if isinstance(event, Finished)]
    figures["identities"].append(us(steps, lambda data: codec.identity(data or NO_INPUT, key), inputs))
    figures["digests"].append(us(steps, rows.digest_of, inputs + outputs))


def one_round(work: Work, caller: Figures, writer: Figures, loops: Figures) -> None:
    steps = len(work.prompts)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        tracer.configure(home=home)
        tracer.workflow(lambda: None)()  # what happens once a process
        caller["whole"].append(called(work))
        caller_stages(work, caller, home)
        journal = recorder.recorder().journal  # type: ignore[union-attr]
        apart(steps, journal, loops)
        writer["whole"].append(drained(journal, home / "whole.db", last=False) / steps / 1e3)
        writer_parts(steps, journal, writer, home)
        tracer.shutdown()
        shutil.rmtree(home, ignore_errors=True)


def shown(title: str, figures: Figures, rounds: int) -> None:
    """Parts, largest first, their sum and the whole."""
    whole = statistics.median(figures["whole"])
    medians = {
        part: statistics.median(_by_round(values, rounds)) for part, values in figures.items() if part != "whole"
    }
    lines = [
        (part, f"{value:.1f}", f"{value / whole:.0%}")
        for part, value in sorted(medians.items(), key=lambda item: -item[1])
    ]
    total = sum(medians.values())
    lines += [("their sum", f"{total:.1f}", f"{total / whole:.0%}"), ("the whole", f"{whole:.1f}", "")]
    table(title, ("", "µs/step", "of the whole"), lines)


def _by_round(values: list[float], rounds: int) -> list[float]:
    """A stage that is measured in several places has several values a round."""
    each = len(values) // rounds
    return [sum(values[at : at + each]) for at in range(0, len(values), each)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    recording.Writer = Parked  # type: ignore[assignment,misc]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "texts")
        texts.write(file, given.steps)
        work = Work(texts.read(file, given.steps, unique=True, distinct=STEPS_A_WORKFLOW))
    gc.collect()
    gc.freeze()
    caller, writer, loops = defaultdict(list), defaultdict(list), defaultdict(list)
    for _ in range(given.rounds):
        one_round(work, caller, writer, loops)
    shown("The caller", caller, given.rounds)
    shown("The writer", writer, given.rounds)
    print("\nOf the writer's, for each event: ", end="")
    print(", ".join(f"{part} {statistics.median(values):.1f}" for part, values in loops.items()))


if __name__ == "__main__":
    main()
