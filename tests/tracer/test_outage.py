"""What can be taken away from a process that records, one thing at a time, with real means. Each has the same shape:
the user's calls go on, what was said so far is kept, it is counted, and one warning says what to do."""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import warnings
from contextlib import closing
from typing import Any, Callable, Iterator

import pytest
from sqlalchemy import make_url

import tracer
from tests import recording
from tests.recording import Project
from tracer import recorder, step, workflow
from tracer.doctor import examine
from tracer.errors import StoreUnreachable
from tracer.guard import PlayheadWarning, degraded
from tracer.journal import Journal
from tracer.store import Store, open_store
from tracer.writer import Writer

#: Every test here records into a project of its own.
project = recording.project


@step
def double(x: int) -> int:
    return 2 * x


@workflow
def flow(x: int) -> int:
    return double(x)


@contextlib.contextmanager
def one_warning(says: str) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield
    assert [each.category for each in warned] == [PlayheadWarning], [str(each.message) for each in warned]
    assert says in str(warned[0].message)


def outputs(project: Project) -> list[Any]:
    return sorted(project.value(trace.root) for trace in project.traces())


class Child:
    """A process that records, and waits where it is told to: ``say()`` in its source prints a line and waits for one.

    Whatever becomes of the test, it ends.
    """

    HEAD = "import sys\ndef say(*words):\n    print(*words, flush=True)\n    return sys.stdin.readline()\n"

    def __init__(self, project: Project, source: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(project.script(self.HEAD + source))],
            env=project.environment(PLAYHEAD_STRICT="0", **environment),
            cwd=project.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, self.process.communicate()[1]
        return line

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self, code: int = 0) -> str:
        """Let it end; what it said on standard error."""
        _, said = self.process.communicate(timeout=60)
        assert self.process.returncode == code, said
        return said

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


Start = Callable[..., Child]


@pytest.fixture
def start(project: Project) -> Iterator[Start]:
    """Starts children of this project."""
    children: list[Child] = []

    def start_one(source: str, **environment: str) -> Child:
        children.append(Child(project, source, **environment))
        return children[-1]

    yield start_one
    for child in children:
        if child.process.returncode is None:
            child.kill()


class Gate:
    """A TCP port in front of a Postgres server that can be shut: every connection breaks, and none is taken."""

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, args=(self.listener,))
        self.thread.start()

    def shut(self) -> None:
        # Shut down first: closing alone does not wake who waits in accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def open(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.thread = threading.Thread(target=self._serve, args=(self.listener,))
        self.thread.start()

    def _serve(self, listener: socket.socket) -> None:
        pairs: dict[socket.socket, socket.socket] = {}
        while True:
            ready, _, _ = select.select([listener, *pairs], [], [])
            for each in ready:
                if each is listener:
                    try:
                        near, _ = listener.accept()
                    except OSError:
                        for pair in pairs:
                            pair.close()
                        return
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(self.behind)
                    pairs |= {near: far, far: near}
                elif each in pairs:
                    self._pass_on(each, pairs)

    def _pass_on(self, each: socket.socket, pairs: dict[socket.socket, socket.socket]) -> None:
        with contextlib.suppress(OSError):
            if data := each.recv(65536):
                pairs[each].sendall(data)
                return
        other = pairs.pop(each)
        pairs.pop(other)
        each.close()
        other.close()


@pytest.fixture
def gate(project: Project, postgres_url: str) -> Iterator[tuple[Gate, str]]:
    """A gate before an empty Postgres database, and the URL that leads through it."""
    url = make_url(postgres_url)
    folder = url.query.get("host") or url.host
    gate = Gate(f"{folder}/.s.PGSQL.{url.port or 5432}")
    yield gate, url.set(host="127.0.0.1", port=gate.port, query={}).render_as_string(hide_password=False)
    tracer.shutdown()
    with contextlib.suppress(OSError):
        gate.shut()


class TestAServerThatGoesAway:
    def test_in_the_middle_and_comes_back_gets_everything_once(
        self, project: Project, gate: tuple[Gate, str], postgres_url: str
    ) -> None:
        server, url = gate
        project.degraded = {"reach its store"}
        tracer.configure(database_url=url, home=project.home)
        for n in range(5):
            flow(n)
        assert tracer.flush(30.0)
        server.shut()
        with one_warning("check that the server runs and the URL is right"):
            for n in range(5, 500):
                assert flow(n) == 2 * n
            assert tracer.flush(0.5) is False
        told = examine()
        assert (told.exit_code, told.facts["queued_events"]) == (4, 495 * 4)
        server.open()
        assert tracer.flush(30.0)
        with open_store(postgres_url) as store:
            assert len(store.traces(limit=1000)) == 500
            assert store.verify_totals() == []


class TestAStoreThat:
    def test_is_locked_beyond_patience_gets_everything_when_it_is_let_go(self, project: Project) -> None:
        project.degraded = {"reach its store"}
        path = project.home / "playhead.db"
        tracer.configure(database_url=f"sqlite:///{path}?timeout=0.1", home=project.home)
        flow(0)
        assert tracer.flush()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with one_warning("is locked by another process; close what holds it"):
                assert [flow(n) for n in range(1, 4)] == [2, 4, 6]
                assert tracer.flush(1.0) is False
            other.execute("ROLLBACK")
        assert tracer.flush(15.0)
        assert outputs(project) == [0, 2, 4, 6]

    def test_is_full_gets_everything_when_there_is_room(self, project: Project, start: Start) -> None:
        child = start(
            "import resource, tracer\n"
            "from tracer import workflow\n"
            "from tracer.journal import SEGMENT_BYTES\n"
            "flow = workflow(name='flow')(lambda x, text: x)\n"
            "flow(0, ''); tracer.flush()\n"
            "_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
            # Segments just fit; the database, into which incompressible text goes, does not.
            "resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT_BYTES, hard))\n"
            "import random; chance = random.Random(1)\n"
            "flowed = [flow(n, chance.randbytes(200_000).hex()) for n in range(1, 40)]\n"
            "from tracer.guard import degraded\n"
            "while not degraded: tracer.flush(0.1)\n"
            "say(flowed == list(range(1, 40)), tracer.flush(0.1))\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
            "say(tracer.flush(30))\n",
        )
        assert child.hear() == "True False"
        child.go_on()
        assert child.hear() == "True"
        child.go_on()
        said = child.end()
        assert said.count("PlayheadWarning: playhead could not reach its store") == 1
        assert "check the disk or give another path" in said
        assert outputs(project) == list(range(40))

    def test_can_not_be_written_keeps_all_in_the_journal(self, project: Project) -> None:
        project.degraded = {"reach its store"}
        tracer.configure(database_url="sqlite:////proc/playhead.db", home=project.home)
        with one_warning("make its directory writable or give another path"):
            assert flow(4) == 8
            assert tracer.flush(0.3) is False
        assert tracer.shutdown() is False
        assert len(list((project.home / "journal").iterdir())) == 1

    def test_a_newer_playhead_wrote_keeps_all_in_the_journal_until_it_is_read(self, project: Project) -> None:
        project.degraded = {"reach its store"}
        flow(0)
        assert tracer.shutdown()
        path = project.home / "playhead.db"

        def set_revision(to: str) -> str:
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                (was,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
                database.execute("UPDATE alembic_version SET version_num = ?", [to])
                return str(was)

        was = set_revision("9999")
        with one_warning("upgrade playhead"):
            assert flow(1) == 2
            assert tracer.flush(0.3) is False
        assert tracer.shutdown() is False
        assert examine().exit_code == 2
        set_revision(was)
        assert outputs(project) == [0, 2]


class TestAFullDisk:
    def test_costs_the_events_that_find_no_room_which_are_counted_for_others_to_see(
        self, project: Project, start: Start
    ) -> None:
        child = start(
            "import resource\n"
            "from tracer import step, workflow\n"
            "cut = step(lambda x: x[:1], name='cut')\n"
            "_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
            "@workflow\n"
            "def flow():\n"
            "    cut('first')\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))\n"
            "    got = [cut('x' * 3_000_000) for _ in range(4)]\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
            "    return got + [cut('last')]\n"
            "say(flow())\n",
        )
        assert child.hear() == "['x', 'x', 'x', 'x', 'l']"
        child.go_on()
        said = child.end()
        assert said.count("PlayheadWarning: playhead could not write to its journal") == 1
        assert "free some disk, or set PLAYHEAD_HOME to a place with room" in said
        (trace,) = project.traces()
        assert (project.value(trace.steps[1]), project.value(trace.steps[-1])) == ("f", "l")
        assert examine().facts["degraded"].get("write to its journal", 0) > 0


class TestAHome:
    def test_that_is_deleted_is_said_and_recording_goes_on_in_a_new_one(self, project: Project, start: Start) -> None:
        child = start(
            "import os, shutil, tracer\n"
            "from tracer import workflow\n"
            "flow = workflow(name='flow')(lambda x: x)\n"
            "assert flow(1) and tracer.flush()\n"
            "shutil.rmtree(os.environ['PLAYHEAD_HOME'])\n"
            "number = 2\n"
            "from tracer.guard import degraded\n"
            "while not any('deleted' in what for what in degraded):\n"
            "    assert flow(number) == number\n"
            "    tracer.flush(0.1)\n"
            "    number += 1\n"
            "flow(-1)\n"
            "say(tracer.flush(30))\n"
        )
        assert child.hear() == "True"
        child.go_on()
        said = child.end()
        assert "PlayheadWarning: playhead could not find its journal's folder, which was deleted" in said
        assert "Traceback" not in said
        assert -1 in outputs(project)


class TestPastTheCap:
    def test_new_traces_are_refused_and_other_processes_see_how_many(self, project: Project, start: Start) -> None:
        (project.folder / "disk").touch()
        url = f"sqlite:///{project.folder / 'disk' / 'playhead.db'}"
        child = start(
            "from tracer import workflow\n"
            "flow = workflow(name='flow')(lambda x: len(x))\n"
            "assert [flow('x' * 100_000) for _ in range(30)] == [100_000] * 30\n"
            "say('full')\n",
            PLAYHEAD_DATABASE_URL=url,
            PLAYHEAD_JOURNAL_CAP_MB="1",
        )
        assert child.hear() == "full"
        tracer.configure(database_url=url)
        told = examine()
        assert told.exit_code == 4
        refused = told.facts["refused_traces"]
        assert 15 < refused < 25
        assert f"{refused} traces were refused because the journal was full" in "\n".join(told.problems)
        child.go_on()
        assert child.end().count("PlayheadWarning: playhead could not keep up") == 1
        (project.folder / "disk").unlink()
        told = examine()
        assert (told.facts["traces"], told.facts["refused_traces"]) == (30 - refused, refused)
        assert told.facts["queued_events"] == told.facts["journals_of_dead"] == 0


class TestAFork:
    def test_in_the_middle_of_a_trace_does_not_keep_the_parents_journal_from_being_adopted(
        self, project: Project, start: Start
    ) -> None:
        child = start(
            "import os, signal\n"
            "from tracer import step, workflow\n"
            "double = step(lambda x: 2 * x, name='double')\n"
            "@workflow\n"
            "def flow():\n"
            "    double(1)\n"
            "    if os.fork() == 0:\n"
            "        double(2)\n"
            "        sys.stdin.readline()\n"
            "        os._exit(0)\n"
            "    double(3)\n"
            "    print('ready', flush=True)\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "flow()\n",
        )
        assert child.hear() == "ready"
        assert child.process.wait(30) == -signal.SIGKILL
        # Its own child lives on.
        (trace,) = project.traces()
        assert trace.summary.status == "interrupted"
        assert {project.value(each) for each in trace.steps} >= {2, 6}
        child.go_on()
        child.end(-signal.SIGKILL)
        (trace,) = project.traces()
        assert {project.value(each) for each in trace.steps} == {None, 2, 4, 6}

    def test_does_not_count_the_parents_failures_again(self, project: Project) -> None:
        ran = project.python(
            "import os, warnings; warnings.simplefilter('ignore')\n"
            "from tracer.guard import degraded, report, untold\n"
            "report('count', 'x')\n"
            "child = os.fork()\n"
            "if child == 0:\n"
            "    os._exit(len(degraded) + len(untold()))\n"
            "assert os.waitpid(child, 0)[1] == 0\n",
            PLAYHEAD_STRICT="0",
        )
        assert ran.returncode == 0, ran.stderr
        assert examine().facts["degraded"] == {"count": 1}


class TestAClock:
    def test_that_is_set_back_leaves_the_order_within_a_trace(self, project: Project) -> None:
        ran = project.python(
            "import time\n"
            "from tracer import step, workflow\n"
            "double = step(lambda x: 2 * x, name='double')\n"
            "real = time.time_ns\n"
            "@workflow\n"
            "def flow():\n"
            "    double(1)\n"
            "    time.time_ns = lambda: real() - 3600 * 10**9\n"
            "    double(2)\n"
            "    double(3)\n"
            "flow(); flow()\n"
        )
        assert ran.returncode == 0, ran.stderr
        for trace in project.traces():
            starts = [each.started_ns for each in trace.steps]
            assert starts == sorted(starts)
            assert all(each.ended_ns is not None and each.ended_ns >= each.started_ns for each in trace.steps)
            assert [project.value(each) for each in trace.steps] == [None, 2, 4, 6]
        assert examine().problems == ()


class TestTheWritersThread:
    """Its store is made by the function it is given: what that raises is a defect of the database's library or ours."""

    @pytest.fixture(autouse=True)
    def not_strict(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLAYHEAD_STRICT", "0")

    def writer(self, project: Project, opening: Callable[[], Store]) -> tuple[Journal, Writer]:
        tag = recorder.current_config().store_tag
        journal = Journal(project.home, tag)
        return journal, Writer(journal, project.home, tag, opening)

    @pytest.mark.parametrize("error", [MemoryError, SystemExit, RecursionError, ImportError, KeyboardInterrupt])
    def test_outlives_whatever_is_raised_below_it(self, project: Project, error: type[BaseException]) -> None:
        project.degraded = {"write to its store", "read one of its own events"}
        raised = [error("out of order")]

        def opening() -> Store:
            if raised:
                raise raised.pop()
            return open_store(project.home / "playhead.db")

        journal, writer = self.writer(project, opening)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            journal.append(b"of no consequence")
            assert writer.flush(15.0) is True
        assert writer.close(5.0) is True
        assert degraded["write to its store"] == 1

    def test_that_dies_is_said_and_flush_neither_hangs_nor_raises_and_the_next_one_goes_on(
        self, project: Project
    ) -> None:
        project.degraded = {"keep its writer running", "read one of its own events"}

        class Unspeakable(StoreUnreachable):
            def __str__(self) -> str:
                raise ZeroDivisionError("no words")

        raised = [Unspeakable()]

        def opening() -> Store:
            if raised:
                raise raised.pop()
            return open_store(project.home / "playhead.db")

        journal, writer = self.writer(project, opening)
        journal.append(b"of no consequence")
        with one_warning("could not keep its writer running (ZeroDivisionError: no words)"):
            assert writer.flush(60.0) is False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert writer.flush(60.0) is True
        assert writer.close(5.0) is True

    def test_that_can_not_be_started_leaves_all_in_the_journal(self, project: Project) -> None:
        ran = project.python(
            "import threading, tracer\n"
            "from tracer import workflow\n"
            "flow = workflow(name='flow')(lambda x: x)\n"
            "import resource\n"
            # No memory for another thread's stack.
            "threading.stack_size(1 << 30)\n"
            "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
            "resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20),) * 2)\n"
            "print(flow(7), tracer.flush(1.0))\n",
            PLAYHEAD_STRICT="0",
        )
        assert (ran.returncode, ran.stdout) == (0, "7 False\n"), ran.stderr
        assert ran.stderr.count("PlayheadWarning: playhead could not start its writer") == 1
        assert outputs(project) == [7]


class TestOurOwnCounts:
    def test_of_a_process_that_ended_are_kept_and_can_be_forgotten(self, project: Project) -> None:
        for _ in range(2):
            project.python(
                "from tracer import workflow\n"
                "from tracer.guard import report\n"
                "workflow(name='flow')(lambda: report('count to three', 'two'))()\n",
                PLAYHEAD_STRICT="0",
            )
        assert examine().facts["degraded"] == {"count to three": 2}
        command = [sys.executable, "-m", "tracer.cli", "doctor", "--forget", "--json"]
        told = subprocess.run(command, env=project.environment(), capture_output=True, check=True, text=True)
        assert json.loads(told.stdout)["degraded"] == {}
        assert examine().facts["degraded"] == {}

    def test_of_a_process_that_was_killed_are_kept_by_who_adopts_it(self, project: Project, start: Start) -> None:
        child = start(
            "from tracer import workflow\n"
            "from tracer.guard import report\n"
            "workflow(name='flow')(lambda: [report('count to three', 'two') for _ in range(5)])()\n"
            "say('done')\n",
        )
        assert child.hear() == "done"
        living = examine()
        assert living.facts["degraded"] == {"count to three": 5}
        assert [each["pid"] for each in living.facts["processes"]] == [child.process.pid]
        child.kill()
        for _ in range(2):
            assert examine().facts["degraded"] == {"count to three": 5}
        assert list((project.home / "journal").iterdir()) == []


class TestALatecomer:
    @pytest.mark.parametrize(
        ("how", "statuses"),
        [
            ("raise ValueError('unhandled')", ["failed"]),
            ("daemon()", ["interrupted"]),
            ("at_exit()", ["completed", "completed"]),
        ],
        ids=["unhandled", "daemon-thread", "atexit"],
    )
    def test_is_recorded_to_the_very_end(self, project: Project, how: str, statuses: list[str]) -> None:
        ran = project.python(
            "import atexit, threading\n"
            # Registered before ours, so it runs after it.
            "atexit.register(lambda: late())\n"
            "late = lambda: None\n"
            "from tracer import step, workflow\n"
            "double = step(lambda x: 2 * x, name='double')\n"
            "def daemon():\n"
            "    began = threading.Event()\n"
            "    def forever():\n"
            "        while True: double(1); began.set()\n"
            "    import contextvars\n"
            "    context = contextvars.copy_context()\n"
            "    threading.Thread(target=context.run, args=(forever,), daemon=True).start()\n"
            "    began.wait()\n"
            "    import os; os._exit(0)\n"
            "def at_exit():\n"
            "    global late\n"
            "    late = workflow(name='late')(lambda: double(4))\n"
            "@workflow\n"
            "def flow():\n"
            "    double(1)\n"
            f"    {how}\n"
            "flow()\n",
            PLAYHEAD_STRICT="0",
        )
        assert "PlayheadWarning" not in ran.stderr
        traces = project.traces()
        assert [trace.summary.status for trace in traces] == statuses
        assert all("completed" in {each.status for each in trace.steps[1:]} for trace in traces)
