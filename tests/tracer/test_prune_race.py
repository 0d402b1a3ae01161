"""Collecting while others write: what a writer leans on in that very moment is never lost, on either database."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import Story
from tests.recording import ROOT
from tracer import codec
from tracer.store import Store, collecting, open_store
from tracer.store.horizon import Superseded
from tracer.store.pace import Pace

_chance = random.Random(3)
TALK = [{"role": "user", "content": "".join(_chance.choices("abcdefg hijklmn opqrstu ", k=300))} for _ in range(40)]
#: What is said again and again: long conversations that share their messages, one that is a piece of others, and short
#: texts. Each is unused whenever the last trace is gone that said it.
SAID: list[Any] = [
    TALK[:20],
    TALK[:21],
    TALK[10:],
    [*TALK[30:], *TALK[:20]],
    {"wrapped": codec.encode(TALK[:20]).data},
    {"twice": codec.encode({"wrapped": codec.encode(TALK[:20]).data}).data},
    "short",
    TALK[3]["content"],
]


def told(which: int, number: int | None = None) -> Story:
    first, second, third = said(which)
    story = Story(input=first, number=number)
    story.step("look", input=second, output=which)
    story.step("say", output=again(which))
    return story.finish(third)


def again(which: int) -> str:
    """What is said once in a writer's turn, and again in its next."""
    return f"the text {which % TURN} of a turn " * 20


def said(which: int) -> list[Any]:
    return [SAID[(which * step + more) % len(SAID)] for step, more in ((1, 0), (7, 3), (5, 1))]


def is_whole(store: Store) -> bool:
    """Every trace that is there can be read as it was told."""
    assert store.check().damaged == ()
    assert store.verify_totals() == []
    for row in store.traces(limit=10_000):
        root, look, say = store.trace(row.trace_id).steps
        assert look.output is not None
        assert say.output is not None
        read = [store.value(ref) for ref in (root.input, look.input, root.output) if ref is not None]
        assert read == said(store.value(look.output))
        assert store.value(say.output) == again(store.value(look.output))
    return True


#: How many traces a writer writes at a time.
TURN = 24
_acts = st.lists(st.tuples(st.sampled_from(["tell", "tell", "delete"]), st.integers(0, 7)), max_size=2)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Gives a place for a new store each time."""
    parent = tmp_path_factory.mktemp("stores")
    numbers = itertools.count()
    return lambda: parent / f"{next(numbers)}.db"


class TestBetweenTwoTransactions:
    @settings(max_examples=25)
    @given(
        before=st.lists(st.integers(0, 7), min_size=1, max_size=6),
        gone=st.integers(1, 6),
        meanwhile=st.lists(_acts, max_size=30),
    )
    def test_others_may_do_what_they_like(
        self, place: Callable[[], Path], before: list[int], gone: int, meanwhile: list[list[tuple[str, int]]]
    ) -> None:
        with open_store(place()) as store, open_store(store.place) as other:
            for which in before:
                store.apply(told(which).events, owner="me")
            store.delete([row.trace_id for row in store.traces()[:gone]])
            with _interleaved(other, iter(meanwhile)):
                store.upkeep.collect()
            assert is_whole(store)
            store.upkeep.collect()
            assert is_whole(store)
            assert store.upkeep.survey().bodies == 0


class _interleaved:
    """Before each transaction of a collection, which are made small, somebody else does the next acts."""

    def __init__(self, other: Store, acts: Iterator[list[tuple[str, int]]]) -> None:
        self.other, self.acts, self.is_acting = other, acts, False
        self.patch = pytest.MonkeyPatch()

    def act(self) -> None:
        if self.is_acting:
            return
        self.is_acting = True
        for what, which in next(self.acts, []):
            if what == "tell":
                self.other.apply(told(which).events, owner="you")
            else:
                self.other.delete([row.trace_id for row in self.other.traces()[which : which + 1]])
        self.is_acting = False

    def __enter__(self) -> None:
        for name in ("reading", "writing"):
            module = collecting if name == "reading" else sys.modules[Pace.__module__]
            self.patch.setattr(module, name, self._after_acts(getattr(module, name)))
        for name, size in {"_BODIES": 2, "_PACKS": 1, "_ROWS": 7, "_LISTS": 1}.items():
            self.patch.setattr(collecting, name, size)
        self.patch.setattr(sys.modules[Pace.__module__], "_AIM_S", 0.0001)
        self.patch.setattr(sys.modules[Pace.__module__], "_LEAST_REST_S", 0.0)

    def __exit__(self, *_: object) -> None:
        self.patch.undo()

    def _after_acts(self, opened: Callable[..., Any]) -> Callable[..., Any]:
        def first_act(engine: Any) -> Any:
            self.act()
            return opened(engine)

        return first_act


#: For each line that it is sent it writes some batches, and then says how many traces it has written in all.
WRITER = """
import sys
from tests.tracer.test_prune_race import TURN, told
from tracer.store import open_store

url, first = sys.argv[1], int(sys.argv[2])
written = 0
with open_store(url) as store:
    print("ready", flush=True)
    for _ in sys.stdin:
        for _ in range(TURN // 2):
            events = [event for each in range(2) for event in told(written + each, first + written + each).events]
            store.apply(events, owner=f"writer-{first}")
            written += 2
        print(written, flush=True)
"""
#: Deletes all but the newest traces and collects, until it is killed.
COLLECTOR = """
import contextlib, sys
from tracer.store import open_store
from tracer.store.horizon import Superseded

with open_store(sys.argv[1]) as store:
    print("ready", flush=True)
    while True:
        store.delete([row.trace_id for row in store.traces(limit=200)[5:]])
        with contextlib.suppress(Superseded):
            store.upkeep.collect()
        print("collected", flush=True)
"""


class Process:
    def __init__(self, source: str, *args: object, folder: Path) -> None:
        self.errors = folder / f"errors-{time.monotonic_ns()}"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", source, *map(str, args)],
                cwd=ROOT,
                env={"PYTHONPATH": str(ROOT), "PLAYHEAD_STRICT": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.says() == "ready", self.errors.read_text()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ends(self) -> None:
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0, self.errors.read_text()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=60)


class TestProcesses:
    def test_lose_nothing_to_a_collection(self, store: Store, store_url: str, tmp_path: Path) -> None:
        writers = [Process(WRITER, store_url, first, folder=tmp_path) for first in (1 << 20, 2 << 20)]
        gone, written = 0, []
        for _ in range(5):
            # what was said so far is used by nothing, and said again while it is collected
            gone += len(store.delete([row.trace_id for row in store.traces(limit=200)]).gone)
            for writer in writers:
                writer.go()
            store.upkeep.collect()
            written = [int(writer.says()) for writer in writers]
        for writer in writers:
            writer.ends()
        assert store.facts().traces + gone == sum(written)
        assert is_whole(store)
        store.upkeep.collect()
        assert is_whole(store)
        assert store.upkeep.survey().bodies == 0

    def test_lose_nothing_to_collectors_that_are_killed(self, store: Store, store_url: str, tmp_path: Path) -> None:
        writer = Process(WRITER, store_url, 1 << 20, folder=tmp_path)
        for rounds in (0, 1, 2):
            collector = Process(COLLECTOR, store_url, folder=tmp_path)
            writer.go()
            for _ in range(rounds):
                collector.says()
            # when the writer is done, the collector is anywhere
            writer.says()
            collector.kill()
        writer.ends()
        assert is_whole(store)
        store.upkeep.collect()
        assert is_whole(store)
        assert store.upkeep.survey().bodies == 0

    def test_may_collect_at_once(self, store: Store, store_url: str, tmp_path: Path) -> None:
        writer = Process(WRITER, store_url, 1 << 20, folder=tmp_path)
        collector = Process(COLLECTOR, store_url, folder=tmp_path)
        for _ in range(4):
            writer.go()
            with contextlib.suppress(Superseded):
                store.upkeep.collect()
            writer.says()
        collector.says()
        collector.kill()
        writer.ends()
        assert is_whole(store)
