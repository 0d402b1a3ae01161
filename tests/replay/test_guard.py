"""A replay stops unmarked code before it acts on the world, whatever it acts by."""

from __future__ import annotations

import asyncio
import ftplib
import gc
import http.client
import imaplib
import inspect
import os
import poplib
import smtplib
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any, Callable, Iterator

import psycopg
import pytest

from replay import allow, edit, from_step, live, replay, stand_in
from tests.replay.support import did, done
from tests.replay.unmarked import AWAITED, IN_A_FOLDER, OVER_THE_NETWORK, Folder, Listener, choose, pipeline
from tracer import effect, span, step, workflow

# Code that gets no further than connect() leaves its socket to the collector: it closes it after an OSError only.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

Place = Folder | Listener

NETWORK = [*OVER_THE_NETWORK, "asyncio.open_connection", "loop.create_datagram_endpoint"]
EVERY_WAY = [
    *((what, how) for what in [*IN_A_FOLDER, *OVER_THE_NETWORK] for how in ("plainly", "in a thread", "in a task")),
    *((what, "in a task") for what in AWAITED),
]


@pytest.fixture
def place(tmp_path) -> Iterator[Callable[[str], Place]]:
    """Makes a place where this sort of act would be seen."""
    listeners: list[Listener] = []

    def make(what: str) -> Place:
        if what not in NETWORK:
            return Folder(tmp_path / f"place {len(list(tmp_path.iterdir()))}")
        listeners.append(Listener())
        return listeners[-1]

    yield make
    if listeners:
        gc.collect()
    for listener in listeners:
        listener.close()


def acts(what: str, how: str, at: Place, other: Place, *rules: Any, **more: Any) -> Any:
    """Record it at one place, and replay it as if the other had been chosen."""
    pipeline(what, how, at.where)
    return replay("latest", edit("choose", other.where), *rules, **more)


class TestUnmarkedCode:
    @pytest.mark.parametrize(("what", "how"), EVERY_WAY)
    def test_it_is_stopped_before_it_acts(self, recorded, place, what, how):
        first, second = place(what), place(what)
        before, untouched = first.state(), second.state()
        again = acts(what, how, first, second)
        assert first.state() != before, "the recorded run is to have done it"
        assert second.state() == untouched
        assert again.stopped is not None
        assert (again.stopped.divergence.kind, again.stopped.divergence.path) == (
            "unmarked-effect",
            "pipeline/careless",
        )

    @pytest.mark.parametrize("what", [*IN_A_FOLDER, *OVER_THE_NETWORK])
    def test_it_acts_where_the_plan_allows_it(self, recorded, place, what):
        first, second = place(what), place(what)
        untouched = second.state()
        again = acts(what, "plainly", first, second, allow("careless"))
        assert (again.stopped, again.output, again.unused) == (None, "done", ())
        assert second.state() != untouched

    @pytest.mark.parametrize("how", ["plainly", "in a thread", "in a task"])
    @pytest.mark.parametrize("rule", [allow("pipeline"), allow("careless"), live("careless")], ids=str)
    def test_what_the_plan_lets_act_acts_on_any_thread_and_task(self, recorded, place, how, rule):
        first, second = place("append"), place("append")
        untouched = second.state()
        again = acts("append", how, first, second, rule)
        assert (again.stopped, again.output) == (None, "done")
        assert second.state() != untouched

    @pytest.mark.parametrize("what", ["append", "subprocess.run", "sqlite3.connect", "urllib"])
    def test_it_acts_in_a_replay_that_wants_no_guard(self, recorded, place, what):
        first, second = place(what), place(what)
        untouched = second.state()
        again = acts(what, "plainly", first, second, guarded=False)
        assert again.output == "done"
        assert second.state() != untouched
        assert "--unguarded" in recorded.trace(again.trace_id).plan["rules"]

    @pytest.mark.parametrize("what", [*IN_A_FOLDER, *OVER_THE_NETWORK, *AWAITED])
    def test_nothing_is_done_by_a_step_that_is_served(self, recorded, place, what):
        there = place(what)
        pipeline(what, "in a task", there.where)
        before = there.state()
        again = replay("latest")
        assert (again.stopped, again.output) == (None, "done")
        assert there.state() == before


@step
def save(where: str) -> str:
    Path(where, "new").touch()
    return "saved"


@step
def stubborn(where: str) -> str:
    try:
        Path(where, "new").touch()
    except BaseException as error:  # noqa: BLE001 - as careless code does
        did(type(error).__name__)
    return "saved"


@step
def announce(what: str) -> str:
    did(what)
    return what


@step
def forked(where: str) -> str:
    thread = threading.Thread(target=stubborn.__wrapped__, args=(where,))
    thread.start()
    thread.join()
    return "saved"


@workflow
def saving(where: str) -> str:
    return save(choose(where))


@workflow
def insisting(where: str) -> str:
    return announce(stubborn(choose(where)))


@workflow
def threading_away(where: str) -> str:
    return announce(forked(choose(where)))


@workflow
def body(where: str) -> str:
    folder = choose(where)
    Path(folder, "new").touch()
    return "saved"


@workflow
def blocks(where: str) -> str:
    folder = choose(where)
    with span("shelf"):
        Path(folder, "new").touch()
    return "saved"


class TestAStop:
    @pytest.fixture
    def folders(self, place) -> list[Folder]:
        return [place("folder"), place("folder")]

    def stopped(self, run: Callable[[str], Any], folders: list[Folder], *rules: Any) -> Any:
        run(folders[0].where)
        done()
        before = folders[1].state()
        again = replay("latest", edit("choose", folders[1].where), *rules)
        assert folders[1].state() == before
        assert again.stopped is not None
        return again

    def test_it_names_the_step_the_act_the_line_and_the_ways_out(self, recorded, folders):
        again = self.stopped(saving, folders)
        line = inspect.getsourcelines(save.__wrapped__)[1] + 2
        assert str(again.stopped) == (
            f"saving/save: unmarked-effect, stopped. It was about to open '{folders[1].where}/new' for writing, at "
            f"{__file__}:{line}. Mark the function that does it with @effect, or let it happen with --allow save"
        )

    def test_it_is_a_divergence_and_the_outcome_of_the_step_and_the_trace(self, recorded, folders):
        again = self.stopped(saving, folders)
        (found,) = again.divergences
        steps = {each.path: each for each in recorded.trace(again.trace_id).steps}
        assert (found.kind, found.path, found.step_id) == ("unmarked-effect", "saving/save", steps[found.path].step_id)
        assert found.recorded_step_id == recorded.step("save", again.replay_of).step_id
        assert [steps[path].outcome for path in ("saving", "saving/save")] == ["stopped", "stopped"]

    @pytest.mark.parametrize("run", [insisting, threading_away], ids=["here", "on a thread"])
    def test_code_that_swallows_it_does_not_go_on(self, recorded, folders, run):
        again = self.stopped(run, folders)
        assert done() == ["Stopped"]
        assert (again.output, again.error, again.stopped.divergence.kind) == (None, None, "unmarked-effect")

    @pytest.mark.parametrize(("run", "path"), [(body, "body"), (blocks, "blocks/shelf")], ids=["body", "block"])
    def test_the_workflows_own_code_is_guarded_too(self, recorded, folders, run, path):
        again = self.stopped(run, folders)
        assert again.stopped.divergence.path == path
        allowed = replay(again.replay_of, edit("choose", folders[1].where), allow(path.rpartition("/")[2]))
        assert allowed.output == "saved"

    def test_leave_for_all_that_follows_is_no_leave_to_act(self, recorded, folders):
        saving(folders[0].where)
        before = folders[1].state()
        for rule in (live("saving"), from_step("choose")):
            again = replay("latest", edit("choose", folders[1].where), rule, on_divergence="live")
            assert again.stopped.divergence.path == "saving/save"
            assert folders[1].state() == before

    def test_a_signal_to_another_process_is_stopped(self, recorded):
        with subprocess.Popen(["sleep", "60"]) as first, subprocess.Popen(["sleep", "60"]) as second:
            try:
                signalling(first.pid)
                assert first.wait(30) == -9
                again = replay("latest", edit("find", second.pid))
                assert f"send signal 9 to process {second.pid}" in str(again.stopped)
                assert second.poll() is None
            finally:
                second.kill()


def _create(url: str, table: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE TABLE {table} (x int)")


async def _create_later(url: str, table: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(f"CREATE TABLE {table} (x int)")


CREATE: dict[str, Callable[[str, str], Any]] = {
    "sync": _create,
    "async": lambda url, table: asyncio.run(_create_later(url, table)),
}


@step
def create(url: str, how: str, table: str) -> str:
    CREATE[how](url, table)
    return table


@workflow
def creating(url: str, how: str, table: str) -> str:
    return create(url, how, choose(table))


class TestADriverWrittenInC:
    @pytest.mark.parametrize("how", CREATE)
    def test_it_is_stopped_before_it_connects(self, recorded, postgres_url, how):
        creating(postgres_url, how, "first")
        again = replay("latest", edit("choose", "second"))
        assert "It was about to connect to a Postgres database" in str(again.stopped)
        with psycopg.connect(postgres_url) as connection:
            made = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert made == [("first",)]
        assert replay(again.replay_of, edit("choose", "second"), allow("create")).output == "second"


def _smtp(line: socket.socket) -> None:
    client = smtplib.SMTP()
    client.sock = line
    client.putcmd("noop")


def _imap(line: socket.socket) -> None:
    client = imaplib.IMAP4.__new__(imaplib.IMAP4)
    client.sock = line
    client.send(b"noop")


def _pop(line: socket.socket) -> None:
    client = poplib.POP3.__new__(poplib.POP3)
    client.sock, client._debugging = line, 0
    client._putcmd("noop")


def _ftp(line: socket.socket) -> None:
    client = ftplib.FTP()
    client.sock = line
    client.putcmd("noop")


def _http(line: socket.socket) -> None:
    client = http.client.HTTPConnection("example.test")
    client.sock = line
    client.request("POST", "/", b"noop")


#: What is said on a connection that is there already; (this end, the other end) of it.
SPEAK = {"smtplib": _smtp, "imaplib": _imap, "poplib": _pop, "ftplib": _ftp, "http.client": _http}
LINES: list[tuple[socket.socket, socket.socket]] = []


@step
def speak(what: str, text: str) -> str:
    SPEAK[what](LINES[-1][0])
    return text


@workflow
def speaking(what: str, text: str) -> str:
    return speak(what, choose(text))


class TestAConnectionOfBefore:
    @pytest.fixture
    def other_end(self) -> Iterator[socket.socket]:
        LINES.append(socket.socketpair())
        this, other = LINES[-1]
        other.setblocking(False)
        with this, other:
            yield other
        LINES.clear()

    @pytest.mark.parametrize("what", SPEAK)
    def test_nothing_is_said_on_it(self, recorded, other_end, what):
        speaking(what, "one")
        assert other_end.recv(1024)
        again = replay("latest", edit("choose", "two"))
        assert again.stopped.divergence.kind == "unmarked-effect"
        with pytest.raises(BlockingIOError):
            other_end.recv(1024)


@step
def find(pid: int) -> int:
    return pid


@step
def end(pid: int) -> None:
    os.kill(pid, 0)
    os.kill(pid, 9)


@workflow
def signalling(pid: int) -> None:
    end(find(pid))


@step
def write(where: str) -> str:
    Path(where, "new").touch()
    return "written"


@effect
def deliver(where: str) -> str:
    return write(where)


@step(kind="tool")
def fetch(where: str) -> str:
    return write.__wrapped__(where)


def _by_writing(where: str) -> str:
    return write.__wrapped__(where)


@effect(stand_in=_by_writing)
def pretend(where: str) -> str:
    return "done"


@workflow
def delivering(where: str) -> str:
    return deliver(choose(where))


@workflow
def fetching(where: str) -> str:
    return fetch(choose(where))


@workflow
def pretending(where: str) -> str:
    return pretend(choose(where))


class TestMarkedCode:
    @pytest.fixture
    def again(self, recorded, place) -> Callable[..., Any]:
        def again(run: Callable[[str], Any], *rules: Any, **more: Any) -> tuple[Any, bool]:
            """What came of a replay at another folder, and whether it did something there."""
            first, second = place("folder"), place("folder")
            run(first.where)
            before = second.state()
            return replay("latest", edit("choose", second.where), *rules, **more), second.state() != before

        return again

    def test_an_effect_that_is_named_acts_and_so_does_what_is_in_it(self, again):
        result, acted = again(delivering, live("deliver"))
        assert (result.stopped, result.output, acted) == (None, "written", True)

    def test_an_effect_that_is_stood_in_for_does_not(self, again):
        result, acted = again(delivering, stand_in("deliver", "kept"))
        assert (result.stopped, result.output, acted) == (None, "kept", False)

    def test_a_stand_in_may_not_act_itself(self, again):
        result, acted = again(pretending)
        assert (result.stopped.divergence.kind, acted) == ("unmarked-effect", False)

    def test_a_tool_that_the_plan_lets_run_acts(self, again):
        for rules, more in (([live("fetch")], {}), ([live("fetching")], {}), ([], {"on_divergence": "live"})):
            result, acted = again(fetching, *rules, **more)
            assert (result.stopped, result.output, acted) == (None, "written", True)

    def test_a_tool_that_runs_for_its_code_has_changed_does_not(self, recorded, module, place):
        folder = place("folder")
        source = """
            from pathlib import Path
            from tracer import step, workflow

            @step(kind="tool")
            def fetch(where):
                {}
                return "fetched"

            @workflow
            def fetching(where):
                return fetch(where)
        """
        module(source.format("pass")).fetching(folder.where)
        before = folder.state()
        changed = module(source.format('Path(where, "new").touch()'))
        stopped = replay("latest", fn=changed.fetching)
        assert (stopped.stopped.divergence.kind, folder.state() == before) == ("unmarked-effect", True)
        assert replay(stopped.replay_of, allow("fetch"), fn=changed.fetching).output == "fetched"
        assert folder.state() != before
