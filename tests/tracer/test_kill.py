"""Real processes, killed at random instants: what was finished is there, once, and what was running says so.

``PLAYHEAD_KILL_SEED`` draws other instants, ``PLAYHEAD_KILLS`` multiplies their number.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from tests import recording
from tests.recording import Project
from tracer import codec
from tracer.model import Step, Trace
from tracer.reading import open_reading
from tracer.store import Store

#: Every test here records into a project of its own.
project = recording.project

SEED = int(os.environ.get("PLAYHEAD_KILL_SEED", "4711"))
TIMES = int(os.environ.get("PLAYHEAD_KILLS", "1"))

#: A warm parent: it forks victims, hears of each step that began and of each that has returned, and kills them at
#: random instants; in between it kills some that adopt. Prints what every victim witnessed.
PARENT = """
import asyncio, contextvars, json, os, random, select, signal, sys, threading, time
from tracer import step, workflow
from tracer.reading import open_reading
import tracer.adoption, tracer.store

how, rounds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
open_reading().close()
out = -1


@step
def inner(number, pad):
    os.write(out, b"b %d\\n" % number)
    return [2 * number, "x" * pad]

@step
def outer(number, pad):
    # A number for each level: the even ones are the outer steps'.
    os.write(out, b"b %d\\n" % number)
    inner(number + 1, pad)
    os.write(out, b"e %d\\n" % (number + 1))
    return [2 * number, "x" * pad]

@step
async def later(number, pad):
    os.write(out, b"b %d\\n" % number)
    await asyncio.sleep(0)
    return [2 * number, "x" * pad]

def many(first, pad):
    for number in range(first, first + 1_000_000, 2):
        outer(number, pad)
        os.write(out, b"e %d\\n" % number)

async def many_later(first, pad):
    for number in range(first, first + 1_000_000):
        await later(number, pad)
        os.write(out, b"e %d\\n" % number)

@workflow
def sync_flow(victim, pad):
    many(0, pad)

@workflow
def threaded_flow(victim, pad):
    contexts = [contextvars.copy_context() for _ in range(8)]
    threads = [threading.Thread(target=c.run, args=(many, n * 1_000_000, pad)) for n, c in enumerate(contexts)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

@workflow
async def async_flow(victim, pad):
    await asyncio.gather(*(many_later(n * 1_000_000, pad) for n in range(4)))


def forked(run, *args):
    global out
    hear, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(hear)
            out = tell
            asyncio.run(run(*args)) if asyncio.iscoroutinefunction(run) else run(*args)
        finally:
            os._exit(9)
    os.close(tell)
    return pid, hear

def spin(at_most_us):
    until = time.perf_counter_ns() + chance.randrange(at_most_us * 1000)
    while time.perf_counter_ns() < until: pass

def kill(pid):
    os.kill(pid, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL

def hear_all(pids_by_pipe, enough):
    heard = {hear: b"" for hear in pids_by_pipe}
    while pids_by_pipe:
        for hear in select.select(list(pids_by_pipe), [], [])[0]:
            data = os.read(hear, 65536)
            assert data or not enough[hear], "a victim ended by itself"
            heard[hear] += data
        for hear in [each for each in pids_by_pipe if heard[each].count(b"e") >= enough[each]]:
            spin(2000)
            kill(pids_by_pipe.pop(hear))
            while data := os.read(hear, 65536): heard[hear] += data
            os.close(hear)
    return list(heard.values())

flow = {"sync": sync_flow, "threaded": threaded_flow, "async": async_flow, "processes": sync_flow}[how]
at_once = int(sys.argv[4])
witnessed = []
for _ in range(rounds):
    pids, enough = {}, {}
    for _ in range(at_once):
        pid, hear = forked(flow, len(witnessed) + len(pids), chance.choice([0, 0, 300, 30_000]))
        pids[hear], enough[hear] = pid, chance.choice([0, 1, chance.randrange(60), chance.randrange(400)])
        if not enough[hear]:
            # Before the first step, or the journal, or anything.
            spin(8000)
    told = hear_all({hear: pid for hear, pid in pids.items() if enough[hear]}, enough)
    for hear, pid in pids.items():
        if not enough[hear]:
            kill(pid)
            told.insert(list(pids).index(hear), os.read(hear, 1 << 20))
    witnessed += [[line.decode() for line in data.splitlines(keepends=True) if line.endswith(b"\\n")] for data in told]
    if chance.random() < 0.4:
        pid, hear = forked(open_reading)
        spin(25_000)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(hear)
print(json.dumps(witnessed))
"""


@dataclass(frozen=True)
class Witness:
    began: frozenset[int]
    ended: frozenset[int]

    @classmethod
    def of(cls, lines: list[str]) -> Witness:
        told = [line.split() for line in lines]
        ended = [int(number) for what, number in told if what == "e"]
        assert len(set(ended)) == len(ended)
        return cls(frozenset(int(number) for what, number in told if what == "b"), frozenset(ended))


def witnesses(project: Project, how: str, rounds: int, **environment: str) -> list[Witness]:
    victims = str(AT_ONCE_VICTIMS[how])
    ran = subprocess.run(
        [sys.executable, project.script(PARENT), how, str(rounds * TIMES), str(SEED), victims],
        env=project.environment(**environment),
        cwd=project.folder,
        stdout=subprocess.PIPE,
        timeout=100 * TIMES,
        check=True,
    )
    return [Witness.of(lines) for lines in json.loads(ran.stdout)]


def digest(value: Any) -> str:
    return codec.address(codec.encode(value).data)


def read_all(store: Store) -> dict[int, Trace]:
    """Every trace, by the number of its victim."""
    found = [store.trace(row.trace_id) for row in store.traces(limit=100_000)]
    numbered = [(store.value(trace.root.input)["victim"], trace) for trace in found if trace.root and trace.root.input]
    assert len(numbered) == len(found) == len(dict(numbered))
    return dict(numbered)


def check(trace: Trace, pad: int, witness: Witness, at_once: int) -> None:
    steps = {each.input.digest: each for each in trace.steps[1:] if each.input is not None}
    # Exactly once, and none without its input.
    assert len(steps) == len(trace.steps) - 1
    assert trace.summary.status == trace.steps[0].status == "interrupted"

    def step_of(number: int) -> Step:
        wanted = digest({"number": number, "pad": pad})
        assert wanted in steps, f"step {number} of {trace.trace_id} is lost (seed {SEED})"
        return steps[wanted]

    for number in witness.ended:
        found = step_of(number)
        assert (found.status, found.output and found.output.digest) == (
            "completed",
            digest([2 * number, "x" * pad]),
        ), number
    unfinished = [step_of(number) for number in witness.began - witness.ended]
    assert {each.status for each in unfinished} <= {"interrupted", "completed"}
    assert all(each.output is None for each in unfinished if each.status == "interrupted")
    # One may have ended, or begun, and been killed before it said so: one for each that ran at once.
    statuses = Counter(each.status for each in trace.steps[1:])
    assert 0 <= statuses["completed"] - len(witness.ended) <= 2 * at_once
    assert statuses["interrupted"] <= 2 * at_once
    assert set(statuses) <= {"completed", "interrupted"}
    assert len(unfinished) <= 2 * at_once


#: Steps of one level that run at once in a victim, and victims that run at once.
AT_ONCE = {"sync": 1, "threaded": 8, "async": 4, "processes": 1}
AT_ONCE_VICTIMS = {"sync": 1, "threaded": 1, "async": 1, "processes": 3}


class TestKilledAtAnyInstant:
    @pytest.fixture(params=["sqlite", "postgres"])
    def where(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        if request.param == "sqlite":
            return {}
        url = request.getfixturevalue("postgres_url")
        monkeypatch.setenv("PLAYHEAD_DATABASE_URL", url)
        return {"PLAYHEAD_DATABASE_URL": url}

    @pytest.mark.parametrize("how", ["sync", "threaded", "async", "processes"])
    def test_what_was_finished_is_there_once_and_what_was_running_is_interrupted(
        self, project: Project, where: dict[str, str], how: str
    ) -> None:
        told = witnesses(project, how, (10 if where else 50) // AT_ONCE_VICTIMS[how], **where)
        with open_reading() as store:
            traces = read_all(store)
            assert store.verify_totals() == []
            for victim, witness in enumerate(told):
                if victim in traces:
                    root = traces[victim].root
                    assert root is not None
                    assert root.input is not None
                    check(traces[victim], store.value(root.input)["pad"], witness, AT_ONCE[how])
                else:
                    assert not witness.began, f"victim {victim} of seed {SEED} is lost"
        with open_reading() as store:
            assert read_all(store) == traces
        left = [path.name for path in (project.home / "journal").iterdir() if not path.name.startswith(".")]
        assert left == [], f"seed {SEED}"
