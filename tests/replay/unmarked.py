"""Everything by which unmarked code may act on the world, each as a function of where it does so; and a workflow that
does one of them in a step, a thread, or a task."""

# Each way that the standard library has is one to try.
# ruff: noqa: PTH101, PTH102, PTH103, PTH104, PTH105, PTH106, PTH107, PTH123, PTH211

from __future__ import annotations

import asyncio
import contextlib
import dbm.dumb
import ftplib
import http.client
import imaplib
import os
import poplib
import pty
import shutil
import smtplib
import socket
import sqlite3
import subprocess
import threading
import urllib.request
import warnings
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterator

from tracer import step, workflow

#: More than any of these takes; a test that waits so long has failed.
PATIENCE_S = 10


class Folder:
    """A folder in which something lies. Two states are equal where nothing was done between them."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        (path / "full").mkdir(parents=True)
        (path / "empty").mkdir()
        (path / "full" / "inner.txt").write_text("inner")
        (path / "old.txt").write_text("old")

    def state(self) -> Any:
        return sorted(_facts(path) for path in Path(self.where).rglob("*"))


def _facts(path: Path) -> tuple[Any, ...]:
    told = path.lstat()
    content = path.read_bytes() if path.is_file() else b""
    return (str(path), told.st_mode, told.st_mtime_ns, told.st_nlink, content)


class Listener:
    """Accepts connections and datagrams on 127.0.0.1, and hangs up. Its state is how many there were."""

    def __init__(self) -> None:
        self._stream = socket.create_server(("127.0.0.1", 0))
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(self._stream.getsockname())
        self.where = str(self._stream.getsockname()[1])
        self._callers: list[Any] = []
        self._arrived = threading.Condition()
        self._threads = [threading.Thread(target=self._accept), threading.Thread(target=self._receive)]
        for thread in self._threads:
            thread.start()

    def state(self) -> int:
        """Calls that came before this one, which it makes itself: they are taken in the order they came."""
        with _called(self.where) as call, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", 0))
            sender.sendto(b"state", ("127.0.0.1", int(self.where)))
            own = {call.getsockname(), sender.getsockname()}
            with self._arrived:
                assert self._arrived.wait_for(lambda: own <= set(self._callers), PATIENCE_S)
                self._callers = [caller for caller in self._callers if caller not in own]
                return len(self._callers)

    def close(self) -> None:
        with _called(self.where), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            self._stream.shutdown(socket.SHUT_RDWR)
            sender.sendto(b"close", ("127.0.0.1", int(self.where)))
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._stream.close()
        self._datagrams.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, caller = self._stream.accept()
                connection.close()
                self._note(caller)

    def _receive(self) -> None:
        while True:
            data, caller = self._datagrams.recvfrom(64)
            if data == b"close":
                return
            self._note(caller)

    def _note(self, caller: Any) -> None:
        with self._arrived:
            self._callers.append(caller)
            self._arrived.notify_all()


@contextlib.contextmanager
def _called(where: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(where)), PATIENCE_S) as call:
        yield call


def _os_open(where: str) -> None:
    os.close(os.open(f"{where}/new", os.O_WRONLY | os.O_CREAT))


def _append(where: str) -> None:
    with open(f"{where}/old.txt", "a") as file:
        file.write("more")


def _in_place(where: str) -> None:
    with open(f"{where}/old.txt", "r+b") as file:
        file.write(b"new")


def _below_a_folder(where: str) -> None:
    folder = os.open(where, os.O_RDONLY)
    try:
        os.unlink("old.txt", dir_fd=folder)
    finally:
        os.close(folder)


def _open_for_reading(where: str) -> None:
    """Changed through a descriptor that was opened to read."""
    with open(f"{where}/old.txt") as file:
        os.fchmod(file.fileno(), 0o600)


def _database(where: str) -> None:
    with contextlib.closing(sqlite3.connect(f"{where}/new.db")) as database:
        database.execute("CREATE TABLE t (x)")


def _database_by_uri(where: str) -> None:
    with contextlib.closing(sqlite3.connect(f"file:{where}/new.db?mode=rwc", uri=True)) as database:
        database.execute("CREATE TABLE t (x)")


def _posix_spawn(where: str) -> None:
    os.waitpid(os.posix_spawnp("touch", ["touch", f"{where}/new"], os.environ), 0)


def _fork(where: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are other threads; this child needs none of them
        child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            Path(where, "new").touch()
        os._exit(0)
    os.waitpid(child, 0)


def _pseudo_terminal(where: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child, terminal = pty.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            Path(where, "new").touch()
        os._exit(0)
    os.waitpid(child, 0)
    os.close(terminal)


#: name -> what to do in a folder.
IN_A_FOLDER: dict[str, Callable[[str], Any]] = {
    "append": _append,
    "write in place": _in_place,
    "Path.write_text": lambda where: Path(where, "new").write_text("new"),
    "Path.touch": lambda where: Path(where, "new").touch(),
    "touch what is there": lambda where: Path(where, "old.txt").touch(),
    "os.open": _os_open,
    "os.mkdir": lambda where: os.mkdir(f"{where}/new"),
    "os.makedirs": lambda where: os.makedirs(f"{where}/new/deep"),
    "os.remove": lambda where: os.remove(f"{where}/old.txt"),
    "Path.unlink": lambda where: Path(where, "old.txt").unlink(),
    "unlink below a folder": _below_a_folder,
    "os.rmdir": lambda where: os.rmdir(f"{where}/empty"),
    "shutil.rmtree": lambda where: shutil.rmtree(f"{where}/full"),
    "os.rename": lambda where: os.rename(f"{where}/old.txt", f"{where}/new.txt"),
    "os.replace": lambda where: os.replace(f"{where}/full/inner.txt", f"{where}/old.txt"),
    "shutil.move": lambda where: shutil.move(f"{where}/old.txt", f"{where}/empty"),
    "shutil.copy": lambda where: shutil.copy(f"{where}/old.txt", f"{where}/new.txt"),
    "shutil.copytree": lambda where: shutil.copytree(f"{where}/full", f"{where}/new"),
    "os.truncate": lambda where: os.truncate(f"{where}/old.txt", 1),
    "os.link": lambda where: os.link(f"{where}/old.txt", f"{where}/new.txt"),
    "os.symlink": lambda where: os.symlink("old.txt", f"{where}/new.txt"),
    "os.chmod": lambda where: os.chmod(f"{where}/old.txt", 0o600),
    "os.fchmod": _open_for_reading,
    "os.utime": lambda where: os.utime(f"{where}/old.txt", (1, 1)),
    "dbm": lambda where: dbm.dumb.open(f"{where}/new", "c").close(),
    "sqlite3.connect": _database,
    "sqlite3.connect by URI": _database_by_uri,
    "subprocess.run": lambda where: subprocess.run(["touch", f"{where}/new"], check=True),
    "subprocess through a shell": lambda where: subprocess.run(f"touch '{where}/new'", shell=True, check=True),
    "os.system": lambda where: os.system(f"touch '{where}/new'"),
    "os.popen": lambda where: os.popen(f"touch '{where}/new'").close(),
    "os.posix_spawn": _posix_spawn,
    "os.spawn": lambda where: os.spawnlp(os.P_WAIT, "touch", "touch", f"{where}/new"),
    "os.fork": _fork,
    "pty.fork": _pseudo_terminal,
    "webbrowser": lambda where: webbrowser.GenericBrowser(["touch", "%s"]).open(f"{where}/new"),
}


def _ask(where: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(where), timeout=PATIENCE_S)
    try:
        connection.request("POST", "/", b"x")
    finally:
        connection.close()


def _datagram(where: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("127.0.0.1", int(where)))


def _message(where: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendmsg([b"x"], [], 0, ("127.0.0.1", int(where)))


def _connect_ex(where: str) -> None:
    with socket.socket() as caller:
        caller.connect_ex(("127.0.0.1", int(where)))


def _plain(where: str) -> None:
    with _called(where):
        pass


#: name -> how to call the listener on this port. All are hung up on, and swallow what they can of that.
OVER_THE_NETWORK: dict[str, Callable[[str], Any]] = {
    "socket.create_connection": _plain,
    "socket.connect_ex": _connect_ex,
    "socket.sendto": _datagram,
    "socket.sendmsg": _message,
    "http.client": _ask,
    "urllib": lambda where: urllib.request.urlopen(f"http://127.0.0.1:{where}/", timeout=PATIENCE_S),
    "smtplib": lambda where: smtplib.SMTP("127.0.0.1", int(where), timeout=PATIENCE_S),
    "imaplib": lambda where: imaplib.IMAP4("127.0.0.1", int(where), timeout=PATIENCE_S),
    "poplib": lambda where: poplib.POP3("127.0.0.1", int(where), timeout=PATIENCE_S),
    "ftplib": lambda where: ftplib.FTP().connect("127.0.0.1", int(where), timeout=PATIENCE_S),
}


async def _open_connection(where: str) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(where))
    writer.close()


async def _datagram_endpoint(where: str) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", int(where)))
    transport.sendto(b"x")
    transport.close()


async def _subprocess(where: str) -> None:
    process = await asyncio.create_subprocess_exec("touch", f"{where}/new")
    await process.wait()


async def _to_thread(where: str) -> None:
    await asyncio.to_thread(Path(where, "new").touch)


async def _executor(where: str) -> None:
    await asyncio.get_running_loop().run_in_executor(None, Path(where, "new").touch)


#: What only a running event loop can do.
AWAITED: dict[str, Callable[[str], Any]] = {
    "asyncio.create_subprocess_exec": _subprocess,
    "asyncio.to_thread": _to_thread,
    "loop.run_in_executor": _executor,
    "asyncio.open_connection": _open_connection,
    "loop.create_datagram_endpoint": _datagram_endpoint,
}
ALL = {**IN_A_FOLDER, **OVER_THE_NETWORK, **AWAITED}


def _plainly(what: str, where: str) -> None:
    with contextlib.suppress(Exception):
        ALL[what](where)


def _in_a_thread(what: str, where: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_plainly, what, where).result()


def _in_a_task(what: str, where: str) -> None:
    async def do() -> None:
        if what in AWAITED:
            await ALL[what](where)
        else:
            _plainly(what, where)

    async def main() -> None:
        await asyncio.create_task(do())

    asyncio.run(main())


HOW = {"plainly": _plainly, "in a thread": _in_a_thread, "in a task": _in_a_task}


@step
def choose(where: str) -> str:
    return where


@step
def careless(what: str, how: str, where: str) -> str:
    HOW[how](what, where)
    return "done"


@workflow
def pipeline(what: str, how: str, where: str) -> str:
    return careless(what, how, choose(where))
