from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter

import pytest

from tests import recording
from tests.recording import Project

#: Every test here records into a project of its own.
project = recording.project

#: Each finished step is reported on standard output, with its number, after the decorated call has returned.
REPORTING = """
import asyncio, os, sys, threading
from tracer import step, workflow


def report(number):
    os.write(1, b"%d\\n" % number)

@step
def work(number):
    return number * 2

@step
async def later(number):
    await asyncio.sleep(0)
    return number * 2

def many(first):
    for number in range(first, first + 1_000_000):
        work(number)
        report(number)

@workflow
def sync_flow():
    many(0)

@workflow
def threaded_flow():
    import contextvars
    contexts = [contextvars.copy_context() for _ in range(3)]
    threads = [threading.Thread(target=c.run, args=(many, n * 1_000_000)) for n, c in enumerate(contexts)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

async def many_later(first):
    for number in range(first, first + 1_000_000):
        await later(number)
        report(number)

@workflow
async def async_flow():
    await asyncio.gather(*(many_later(n * 1_000_000) for n in range(3)))

flow = globals()[sys.argv[1] + "_flow"]
asyncio.run(flow()) if sys.argv[1] == "async" else flow()
"""
ROUNDS = 5
CHANCE = random.Random(4711)


def killed_after(project: Project, how: str, reports: int) -> list[int]:
    """Kill a recording process when it has reported so many steps; all numbers that it reported."""
    running = subprocess.Popen(
        [sys.executable, project.script(REPORTING), how],
        env=project.environment(),
        cwd=project.folder,
        stdout=subprocess.PIPE,
    )
    assert running.stdout is not None
    numbers = [int(running.stdout.readline()) for _ in range(reports)]
    running.kill()
    numbers += [int(line) for line in running.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    assert running.wait() == -signal.SIGKILL
    running.stdout.close()
    return numbers


class TestKilled:
    @pytest.mark.parametrize("how", ["sync", "threaded", "async"])
    def test_at_any_moment_every_finished_step_is_there_once_and_the_rest_interrupted(
        self, project: Project, how: str
    ) -> None:
        reported = [killed_after(project, how, CHANCE.randrange(1, 3_000)) for _ in range(ROUNDS)]
        first_reading = project.traces()
        assert len(first_reading) == ROUNDS
        for trace, numbers in zip(first_reading, reported, strict=True):
            ended = [each for each in trace.steps if each.status == "completed"]
            # A step that had ended may have been killed before it was reported, one for each that ran at once.
            assert 0 <= len(ended) - len(numbers) <= 3
            inputs = Counter(each.input.digest for each in ended if each.input is not None)
            assert set(inputs.values()) == {1}
            assert trace.summary.status == "interrupted"
            assert trace.steps[0].status == "interrupted"
            open_steps = [each for each in trace.steps[1:] if each.status == "interrupted"]
            assert all(each.input is not None and each.output is None for each in open_steps)
        assert project.traces() == first_reading

    def test_the_values_are_those_that_were_reported(self, project: Project) -> None:
        numbers = killed_after(project, "sync", 50)
        (trace,) = project.traces()
        for number, found in list(zip(numbers, trace.steps[1:], strict=False))[:50]:
            assert project.value(found, "input") == {"number": number}
            assert project.value(found) == number * 2

    def test_readers_at_the_same_time_double_nothing(self, project: Project) -> None:
        numbers = killed_after(project, "sync", 2_000)
        reading = [
            subprocess.Popen([sys.executable, "-m", "tracer.cli", "ls"], env=project.environment(), cwd=project.folder)
            for _ in range(3)
        ]
        assert [each.wait(60) for each in reading] == [0, 0, 0]
        (trace,) = project.traces()
        assert 0 <= sum(each.status == "completed" for each in trace.steps) - len(numbers) <= 1
        assert not any((project.home / "journal").iterdir())

    def test_an_adopter_that_is_killed_doubles_nothing(self, project: Project) -> None:
        numbers = killed_after(project, "sync", 3_000)
        for reach in (1, 4):
            adopter = subprocess.Popen(
                [sys.executable, "-c", ADOPTING, str(reach)], env=project.environment(), cwd=project.folder
            )
            assert adopter.wait(60) == -signal.SIGKILL
        (trace,) = project.traces()
        assert 0 <= sum(each.status == "completed" for each in trace.steps) - len(numbers) <= 1


#: Adopts what is there, and is killed in the middle: while the given batch is written.
ADOPTING = """
import os, sys
from tracer import adoption
from tracer.reading import open_reading
adoption.BATCH = 500
apply, left = adoption.write, [int(sys.argv[1])]
def counting(*args, **kwargs):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), 9)
    apply(*args, **kwargs)
adoption.write = counting
open_reading()
"""

ENDING = """
import os, signal, sys, threading, time
from tracer import step, workflow
double = step(lambda x: 2 * x, name="double")

@workflow
def flow(end):
    double(1)
    if end == "os._exit":
        os._exit(3)
    if end == "SIGTERM":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    if end == "interrupt":
        signal.raise_signal(signal.SIGINT)
    if end == "sys.exit":
        sys.exit(3)
    if end == "abort":
        os.abort()

if sys.argv[1] == "thread":
    thread = threading.Thread(target=flow, args=("sys.exit",))
    thread.start()
    thread.join()
else:
    try:
        flow(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(4)
"""


class TestEnded:
    @pytest.mark.parametrize(
        ("how", "code", "status"),
        [
            ("plain", 0, "completed"),
            ("os._exit", 3, "interrupted"),
            ("SIGTERM", -signal.SIGTERM, "interrupted"),
            ("interrupt", 4, "cancelled"),
            ("sys.exit", 3, "failed"),
            ("abort", -signal.SIGABRT, "interrupted"),
            ("thread", 0, "failed"),
        ],
    )
    def test_in_whatever_way_without_a_flush_nothing_is_lost(
        self, project: Project, how: str, code: int, status: str
    ) -> None:
        assert project.python(ENDING, how).returncode == code
        (trace,) = project.traces()
        assert [each.status for each in trace.steps] == [status, "completed"]
        assert project.value(trace.steps[1]) == 2


class TestAFullDisk:
    def test_costs_the_user_one_warning(self, project: Project) -> None:
        ran = project.python(
            "import resource\n"
            "from tracer import step, workflow\n"
            "double = step(lambda x: x[:1], name='double')\n"
            "@workflow\n"
            "def flow():\n"
            "    double('first')\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
            "    return [double('x' * 3_000_000) for _ in range(4)]\n"
            "print(flow())\n",
            PLAYHEAD_STRICT="0",
        )
        assert ran.stdout == "['x', 'x', 'x', 'x']\n"
        assert (ran.returncode, ran.stderr.count("PlayheadWarning: playhead could not write to its journal")) == (0, 1)
        (trace,) = project.traces()
        assert project.value(trace.steps[1]) == "f"
