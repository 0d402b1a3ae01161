"""What a guarded replay lets happen: what is nobody's effect, what the plan lets be sent, and our own work."""

# What is done here is done as careless code does it.
# ruff: noqa: PTH103, PTH104, PTH105, PTH108, PTH123, PTH208, T201

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import logging.handlers
import os
import platform
import shutil
import socket
import sqlite3
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import httpx
import openai
import pytest
import requests

import tracer
from replay import allow, edit, live, replay, substitute
from tests.loopback import Reply
from tests.replay.unmarked import Folder
from tracer import Target, step, workflow
from tracer.store import open_store


def _read(where: str) -> Any:
    return Path(where, "old.txt").read_text(), os.listdir(where), Path(where, "full").stat().st_mode


def _read_a_database(where: str) -> Any:
    with contextlib.closing(sqlite3.connect(f"file:{where}/data.db?mode=ro", uri=True)) as database:
        return database.execute("SELECT x FROM t").fetchall()


def _database_in_memory(_: str) -> Any:
    for name in (":memory:", "", "file::memory:?cache=shared"):
        with contextlib.closing(sqlite3.connect(name, uri=name.startswith("file:"))) as database:
            database.execute("CREATE TABLE t (x)")


def _import(where: str) -> Any:
    sys.path.insert(0, where)
    try:
        return importlib.import_module("read_later").__name__
    finally:
        sys.path.remove(where)
        del sys.modules["read_later"]


def _temporary(_: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        deep = Path(folder, "deep", "er")
        deep.mkdir(parents=True)
        (deep / "file.txt").write_text("x")
        (deep / "file.txt").rename(deep / "moved.txt")
        shutil.copytree(folder + "/deep", folder + "/copy")
        shutil.rmtree(folder + "/copy")
        with contextlib.closing(sqlite3.connect(f"{folder}/scratch.db")) as database:
            database.execute("CREATE TABLE t (x)")
    with tempfile.NamedTemporaryFile("w") as named, tempfile.TemporaryFile("w") as nameless:
        named.write("x")
        nameless.write("x")
        Path(named.name).write_text("y")
    with tempfile.SpooledTemporaryFile(1, "w") as spooled:
        spooled.write("longer than one")


def _log(where: str) -> Any:
    logger = logging.getLogger("tests.replay.guard")
    handler = logging.handlers.RotatingFileHandler(f"{where}/log.txt", maxBytes=1, backupCount=2, delay=True)
    logger.addHandler(handler)
    try:
        for number in range(3):
            logger.warning("line %d", number)
    finally:
        logger.removeHandler(handler)
        handler.close()


def _terminal(_: str) -> Any:
    print("to the terminal")
    print("and there", file=sys.stderr)
    with open(os.devnull, "w") as nothing:
        nothing.write("x")


def _what_comes_to_nothing(where: str) -> Any:
    os.makedirs(f"{where}/full", exist_ok=True)
    Path(where, "empty").mkdir(exist_ok=True)
    Path(where, "missing").unlink(missing_ok=True)
    shutil.rmtree(f"{where}/missing", ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.rename(f"{where}/missing", f"{where}/new")
    os.kill(os.getpid(), 0)


def _machine(_: str) -> Any:
    # asks once in a process: forget what it was told
    platform.uname.__globals__["_uname_cache"] = None
    platform.uname.__globals__["_platform_cache"].clear()
    return bool(platform.platform()) and platform.uname().processor is not None


async def _main() -> None:
    await asyncio.gather(*(asyncio.to_thread(str, number) for number in range(3)))


def _threads(_: str) -> Any:
    asyncio.run(_main())
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(str, range(4)))
    one, other = socket.socketpair()
    with one, other, socket.create_server(("127.0.0.1", 0)):
        one.sendall(b"x")


def _store(_: str) -> Any:
    tracer.flush()
    with open_store(tracer.recorder.current_config().database_url) as store:
        return bool(store.traces())


def _old_temporary_files(_: str) -> Any:
    """Whatever was dropped elsewhere may be cleaned up here."""
    LEFT.pop().cleanup()


#: Folders made by tempfile before the replay, one for each run.
LEFT: list[tempfile.TemporaryDirectory[str]] = []

HARMLESS: dict[str, Callable[[str], Any]] = {
    "reading": _read,
    "reading a database": _read_a_database,
    "a database in memory": _database_in_memory,
    "an import that writes byte code": _import,
    "temporary files": _temporary,
    "temporary files of before": _old_temporary_files,
    "logging to a file": _log,
    "the terminal": _terminal,
    "what comes to nothing": _what_comes_to_nothing,
    "asking what machine this is": _machine,
    "event loops, threads and socket pairs": _threads,
    "our own store": _store,
}


@step
def choose(where: str) -> str:
    return where


@step
def harmless(what: str, where: str) -> str:
    HARMLESS[what](where)
    return what


@workflow
def pipeline(what: str, where: str) -> str:
    return harmless(what, choose(where))


class TestWhatIsNobodysEffect:
    @pytest.mark.parametrize("what", HARMLESS)
    def test_it_happens(self, recorded, tmp_path, monkeypatch, what):
        monkeypatch.setattr(sys, "dont_write_bytecode", False)
        folders = []
        for name in ("first", "second"):
            folder = tmp_path / name
            folders.append(Folder(folder))
            (folder / "read_later.py").write_text("x = 1")
            with contextlib.closing(sqlite3.connect(folder / "data.db")) as database:
                database.execute("CREATE TABLE t (x)")
            LEFT.append(tempfile.TemporaryDirectory(dir=folder))
        pipeline(what, folders[0].where)
        again = replay("latest", edit("choose", folders[1].where))
        assert (again.stopped, again.error, again.output) == (None, None, what)
        if what == "an import that writes byte code":
            assert list(Path(folders[1].where, "__pycache__").iterdir())
        for left in LEFT:
            left.cleanup()
        LEFT.clear()


@step
def prepare(where: str) -> str:
    return where


@step
def beside(where: str) -> str:
    with tempfile.NamedTemporaryFile("w", dir=where, delete=False) as made:
        made.write("x")
    os.replace(made.name, f"{where}/old.txt")
    return "replaced"


@step
def onward(where: str) -> str:
    with tempfile.NamedTemporaryFile("w", delete=False) as made:
        made.write("x")
    try:
        shutil.copy(made.name, f"{where}/new.txt")
    finally:
        os.unlink(made.name)
    return "copied"


@workflow
def replacing(where: str) -> str:
    return beside(prepare(where))


@workflow
def copying(where: str) -> str:
    return onward(prepare(where))


class TestATemporaryFile:
    @pytest.mark.parametrize("run", [replacing, copying])
    def test_it_is_no_way_to_what_lies_elsewhere(self, recorded, tmp_path, monkeypatch, run):
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        first, second = Folder(tmp_path / "first"), Folder(tmp_path / "second")
        run(first.where)
        before = second.state()
        again = replay("latest", edit("prepare", second.where))
        assert again.stopped.divergence.kind == "unmarked-effect"
        assert second.state() == before
        assert list(scratch.iterdir()) == []


def _sync(url: str, text: str) -> str:
    with openai.OpenAI(base_url=url, api_key="not-a-real-key", max_retries=0) as client:
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
        return answer.choices[0].message.content


async def _async(url: str, text: str) -> str:
    async with openai.AsyncOpenAI(base_url=url, api_key="not-a-real-key", max_retries=0) as client:
        answer = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
        return answer.choices[0].message.content


SAY: dict[str, Callable[[str, str], str]] = {
    "sync": _sync,
    "async": lambda url, text: asyncio.run(_async(url, text)),
}


@step
def ask(url: str, text: str, how: str) -> str:
    return SAY[how](url, text)


@step(kind="llm")
def ask_by_other_means(url: str, text: str) -> str:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    answer = requests.post(f"{url}/chat/completions", json=body, timeout=30)
    return answer.json()["choices"][0]["message"]["content"]


@workflow
def asking(url: str, text: str, how: str) -> str:
    return ask(url, choose(text), how)


@workflow
def asking_by_other_means(url: str, text: str) -> str:
    return ask_by_other_means(url, choose(text))


@step
def get(url: str, text: str) -> int:
    return httpx.get(f"{url}/{text}").status_code


@workflow
def getting(url: str, text: str) -> int:
    return get(url, choose(text))


class TestWhatThePlanLetsBeSent:
    @pytest.mark.parametrize("how", SAY)
    def test_a_live_model_call_connects(self, recorded, server, how):
        asking(server.url, "one", how)
        for rules, more in (
            ([live("ask")], {}),
            ([edit("choose", "two")], {"on_divergence": "live"}),
            ([substitute("ask", model="other")], {}),
        ):
            tracer.configure(models=[Target(name="other", base_url=server.url)])
            server.next(Reply(words=("anew",)))
            again = replay(recorded.trace("latest").trace_id, *rules, **more)
            assert (again.stopped, again.output, again.live) == (None, "anew", 1)

    def test_a_step_that_is_marked_as_a_model_call_connects_by_any_means(self, recorded, server):
        asking_by_other_means(server.url, "one")
        server.next(Reply(words=("anew",)))
        again = replay("latest", edit("choose", "two"), on_divergence="live")
        assert (again.stopped, again.output) == (None, "anew")

    def test_a_request_is_sent_that_the_plan_lets_go_live(self, recorded, server):
        getting(server.url, "one")
        again = replay("latest", edit("choose", "two"), on_divergence="live")
        assert (again.stopped, again.output, again.live) == (None, 200, 1)

    def test_a_request_that_nobody_is_asked_about_is_stopped_also_on_a_connection_that_is_there(self, recorded, server):
        tracer.configure(capture={"GET 127.0.0.1": "off"})
        with httpx.Client() as client:
            CLIENTS.append(client)
            getting_again(server.url, "one")
            seen = len(server.seen)
            again = replay("latest", edit("choose", "two"))
            assert f"send the request GET {server.url}/two" in str(again.stopped)
            assert len(server.seen) == seen
            assert replay(again.replay_of, edit("choose", "two"), allow("get_again")).output == 200
            CLIENTS.clear()


#: The client that is there before the replay.
CLIENTS: list[httpx.Client] = []


@step
def get_again(url: str, text: str) -> int:
    return CLIENTS[-1].get(f"{url}/{text}").status_code


@workflow
def getting_again(url: str, text: str) -> int:
    return get_again(url, choose(text))


BESIDE = SimpleNamespace(begin=threading.Event(), done=threading.Event())


@step
def meet(where: str) -> bool:
    BESIDE.begin.set()
    return BESIDE.done.wait(30)


@workflow
def meeting(where: str) -> bool:
    return meet(choose(where))


@step
def record(where: str) -> str:
    Path(where, "recorded").touch()
    return "written"


@workflow
def recording(where: str) -> str:
    return record(where)


class TestOutsideAReplay:
    def test_what_runs_beside_it_does_as_it_did(self, recorded, tmp_path):
        def beside() -> None:
            BESIDE.begin.wait(30)
            (tmp_path / "beside").touch()
            recording(str(tmp_path))
            BESIDE.done.set()

        BESIDE.done.set()
        meeting("here")
        trace_id = recorded.trace("latest").trace_id
        BESIDE.begin.clear()
        BESIDE.done.clear()
        thread = threading.Thread(target=beside)
        thread.start()
        again = replay(trace_id, edit("choose", "there"))
        thread.join()
        assert (again.stopped, again.output) == (None, True)
        assert sorted(path.name for path in tmp_path.glob("*e*d*")) == ["beside", "recorded"]

    def test_what_runs_after_it_does_as_it_did(self, recorded, tmp_path):
        recording(str(tmp_path))
        replay("latest")
        (tmp_path / "recorded").unlink()
        assert recording(str(tmp_path)) == "written"
        assert (tmp_path / "recorded").exists()


@step
def much(size: int) -> str:
    return "x" * size


@workflow
def writing_much(size: int) -> int:
    return sum(len(much(size + number)) for number in range(20))


class TestOurOwnWork:
    def test_a_replay_writes_its_journal_as_ever(self, recorded):
        size = 4 << 20  # so that segments are made under way
        tracer.configure(max_value_bytes=size * 2)
        writing_much(size)
        again = replay("latest", live("much"), verify=True)
        assert (again.stopped, again.output) == (None, 20 * size + 190)

    def test_a_replay_reads_its_record_where_that_is_a_server(self, recorded, postgres_url):
        tracer.configure(database_url=postgres_url)
        pipeline("the terminal", "here")
        again = replay("latest", edit("choose", "there"))
        assert (again.stopped, again.output) == (None, "the terminal")
