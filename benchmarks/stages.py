"""Where the microseconds of W1 go (costs/w1.py, every text another one): a table for the caller, one for the writer.

    python benchmarks/stages.py [--steps 5000] [--rounds 5]

The caller's stages are measured twice, with no writer at work. In place: how much less the whole call takes when the
stage is left out as well. By itself: the same work over all inputs in a loop of its own. That takes less, for there its
code and its tables stay in the caches; in place they, the texts and the journal's pages come from farther away.

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
import contextlib
import gc
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping
from unittest import mock

from costs import texts
from costs.rounds import Spread, table
from costs.w1 import OPTIONS, STEPS_A_WORKFLOW, Work
from ormsgpack import packb, unpackb
from sqlalchemy.engine import default

import tracer
from tracer import batches, codec, keeping, recorder, recording
from tracer.batches import BATCH
from tracer.events import Finished, Started
from tracer.journal import START, Journal
from tracer.key import NO_INPUT
from tracer.redact.detection import Detector
from tracer.store import Store, bodies, open_store, packs, rows, statements, write

Figures = dict[str, list[float]]
CREDENTIALS, ENCODE = "look for credentials", "encode"
PACK, JOURNAL = "pack the events", "checksum, and copy into the journal"


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


def in_place(work: Work, figures: Figures) -> None:
    """The whole call, and what it takes less without each stage, and without those that were left out before."""
    active = recorder.recorder()
    assert active is not None
    data = b"a value"
    before = called(work)
    figures["the whole"].append(before)
    with contextlib.ExitStack() as stack:
        for part, owner, name, instead in (
            (CREDENTIALS, active.keeper, "_suspects", lambda _data: None),
            (JOURNAL, active.journal, "append", lambda _frame: None),
            (PACK, recording, "packb", lambda _event: data),
            (ENCODE, keeping.Keeper, "keep", lambda *_: (data, data, ())),
        ):
            stack.enter_context(mock.patch.object(owner, name, instead))
            left = called(work)
            figures[part].append(before - left)
            before = left
    figures["all else: the step, its id, its path, its arguments' names, the calls"].append(before)


def caller_stages(work: Work, figures: Figures, home: Path) -> None:
    """Each stage of a step by itself; not those of the workflow around ten of them."""
    steps = len(work.prompts)

    def stage(name: str, function: Callable[..., object], *columns: Iterable[Any]) -> None:
        figures[name].append(us(steps, function, *columns) - nothing)

    nothing = us(steps, lambda _: None, work.prompts)
    given = [{"prompt": prompt, "options": OPTIONS} for prompt in work.prompts]
    stage(ENCODE, codec.quick, given)
    stage(ENCODE, codec.quick, work.outputs)
    inputs, outputs = ([codec.quick(value) or b"" for value in values] for values in (given, work.outputs))
    detector = Detector()
    stage(CREDENTIALS, detector.suspects, inputs)
    stage(CREDENTIALS, detector.suspects, outputs)
    trace, step, at_ns = bytes(16), bytes(8), time.time_ns()
    named, code = ("draft", "step", "ticket/draft[1]", 1, at_ns), "f1-py3.11:" + "0" * 24
    began = [("s", trace, step, step, *named, data, (), None, code, {}) for data in inputs]
    ended = [("f", trace, step, at_ns, "ok", data, (), None, {}) for data in outputs]
    stage(PACK, packb, began)
    stage(PACK, packb, ended)
    journal = Journal(home, "stages")
    stage(JOURNAL, journal.append, [packb(event) for event in began])
    stage(JOURNAL, journal.append, [packb(event) for event in ended])
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
    (Store, "apply", "what is done once a batch"),
    (write, "apply", "make rows, digests"),
    (write, "leave_out", "what is done once a batch"),
    (write, "_claim", "what is done once a batch"),
    (write, "_queued", "what is done once a batch"),
    (write, "sum_up", "what is done once a batch"),
    (write, "_advance", "what is done once a batch"),
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
    """What is done for each event, over all events of the journal by itself."""
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


def one_round(work: Work, caller: Figures, alone: Figures, writer: Figures, loops: Figures) -> None:
    steps = len(work.prompts)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        tracer.configure(home=home)
        tracer.workflow(lambda: None)()  # what happens once a process
        called(work)  # for the writer
        caller_stages(work, alone, home)
        journal = recorder.recorder().journal  # type: ignore[union-attr]
        apart(steps, journal, loops)
        drained(journal, home / "first.db", last=False)
        writer["the whole"].append(drained(journal, home / "whole.db", last=False) / steps / 1e3)
        writer_parts(steps, journal, writer, home)
        in_place(work, caller)
        tracer.shutdown()
        shutil.rmtree(home, ignore_errors=True)


def shown(title: str, figures: Figures, alone: Figures, rounds: int) -> None:
    """Parts, largest first, their sum and the whole: median (best to worst), by itself where that was measured."""
    each = {part: Spread(_by_round(values, rounds)) for part, values in figures.items()}
    whole = each.pop("the whole")
    single = {part: Spread(_by_round(values, rounds)).text(1) for part, values in alone.items()}
    ordered = sorted(each.items(), key=lambda item: -item[1].median)
    total = sum(part.median for part in each.values())
    lines = [(part, spread.text(1), f"{spread.median / total:.0%}", single.get(part, "")) for part, spread in ordered]
    lines += [("their sum", f"{total:.1f}", "", ""), ("the whole", whole.text(1), "", "")]
    table(title, ("", "µs/step", "of the sum", "by itself"), lines)


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
    caller, alone, writer, loops = (defaultdict(list) for _ in range(4))
    for _ in range(given.rounds):
        one_round(work, caller, alone, writer, loops)
    shown("The caller", caller, alone, given.rounds)
    shown("The writer", writer, {}, given.rounds)
    said = ", ".join(f"{part} {Spread(values).text(1)}" for part, values in loops.items())
    print(f"\nIn the writer's parts, each measured by itself (µs/step): {said}")


if __name__ == "__main__":
    main()
