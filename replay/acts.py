"""What an audit event says is about to happen, as a value: the events by which Python code changes the world. Pure but
for a look at what lies on the disk.

What only reads is no act, and neither is what would fail anyway: removing what is not there, making a folder that is.
Python raises these events before it does the thing; what an extension module does by itself has none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Literal, Mapping
from urllib.parse import parse_qs

Sort = Literal["file", "process", "network", "database"]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: Where a datagram to the system's log goes: what is logged is no effect.
_SYSTEM_LOGS = frozenset({"/dev/log", "/var/run/syslog", "/run/systemd/journal/socket"})
_MOST = 160


@dataclass(frozen=True, slots=True)
class Act:
    """What code is about to do. ``words`` complete "it was about to"; ``paths`` are what it changes, absolute."""

    sort: Sort
    words: str
    paths: tuple[str, ...] = ()
    #: It takes something away, or makes that possible.
    clears: bool = False


def act_of(event: str, args: tuple[Any, ...]) -> Act | None:
    """What this audit event announces; None where that is nothing to the world."""
    return READERS[event](*args)


# -- files -----------------------------------------------------------------------------------------------------------


def _open(path: Any, mode: Any, flags: Any) -> Act | None:
    writes = (isinstance(flags, int) and flags & _WRITING) or (isinstance(mode, str) and set(mode) & set("wax+"))
    # A number is a file that is open already: that was asked about when it was opened.
    if not writes or isinstance(path, int):
        return None
    place = _place(path)
    # A folder can't be opened for writing; what looks so is a file without a name, or one whose opener is asked itself.
    return None if Path(place).is_dir() else Act("file", f"open {_shown(place)} for writing", (place,))


def _mkdir(path: Any, _mode: Any, dir_fd: Any) -> Act | None:
    place = _place(path, dir_fd)
    return None if os.path.lexists(place) else Act("file", f"make the folder {_shown(place)}", (place,))


def _remove(path: Any, dir_fd: Any) -> Act | None:
    place = _place(path, dir_fd)
    return Act("file", f"delete {_shown(place)}", (place,), clears=True) if os.path.lexists(place) else None


def _rename(source: Any, target: Any, source_fd: Any, target_fd: Any) -> Act | None:
    before, after = _place(source, source_fd), _place(target, target_fd)
    if not os.path.lexists(before):
        return None
    return Act("file", f"move {_shown(before)} to {_shown(after)}", (before, after))


def _link(source: Any, target: Any, _source_fd: Any, target_fd: Any) -> Act:
    return _symlink(source, target, target_fd)


def _symlink(source: Any, target: Any, dir_fd: Any) -> Act:
    place = _place(target, dir_fd)
    return Act("file", f"link {_shown(place)} to {_shown(source)}", (place,))


def _truncate(path: Any, _length: Any) -> Act | None:
    return None if isinstance(path, int) else _changed("cut", path)


def _chmod(path: Any, _mode: Any, dir_fd: Any) -> Act | None:
    return _changed("change the permissions of", path, dir_fd, clears=True)


def _chown(path: Any, _user: Any, _group: Any, dir_fd: Any) -> Act | None:
    return _changed("change the owner of", path, dir_fd)


def _utime(path: Any, _times: Any, _ns: Any, dir_fd: Any) -> Act | None:
    return _changed("change the times of", path, dir_fd)


def _attribute(path: Any, name: Any, *_: Any) -> Act | None:
    return _changed(f"change {_shown(name)} of", path)


def _changed(how: str, path: Any, dir_fd: Any = -1, *, clears: bool = False) -> Act | None:
    place = _place(path, dir_fd)
    return Act("file", f"{how} {_shown(place)}", (place,), clears=clears) if os.path.lexists(place) else None


def _place(path: Any, dir_fd: Any = -1) -> str:
    """The absolute path of what an event names: by its path, by its path below an open folder, or as an open file."""
    if isinstance(path, int):
        return _behind(path)
    base = _behind(dir_fd) if isinstance(dir_fd, int) and dir_fd >= 0 else ""
    return os.path.abspath(Path(base, os.fsdecode(path)))  # noqa: PTH100 - a link is itself what is meant, not its end


def _behind(fd: int) -> str:
    """The path of an open file."""
    table = Path("/proc/self/fd")
    if table.is_dir():
        return str((table / str(fd)).readlink())
    import fcntl  # noqa: PLC0415 - where there is no /proc, only some systems can tell

    return os.fsdecode(fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))  # type: ignore[attr-defined]


# -- processes -------------------------------------------------------------------------------------------------------


def _popen(executable: Any, args: Any, *_: Any) -> Act:
    return Act("process", f"start the process {_shown(args or executable)}")


def _execute(path: Any, args: Any, _env: Any) -> Act:
    return _popen(path, args)


def _system(command: Any) -> Act:
    return Act("process", f"run the command {_shown(command)}")


def _fork() -> Act:
    return Act("process", "fork this process")


def _kill(pid: Any, signal: Any) -> Act | None:
    # The signal 0 only asks whether somebody is there.
    return None if signal == 0 else Act("process", f"send signal {int(signal)} to process {pid}")


def _browse(url: Any) -> Act:
    return Act("process", f"open {_shown(url)} in a browser")


# -- the network -----------------------------------------------------------------------------------------------------


def _connect(_socket: Any, address: Any) -> Act | None:
    if address in _SYSTEM_LOGS:
        return None
    return Act("network", f"connect to {_address(address)}")


def _send_to(_socket: Any, address: Any) -> Act | None:
    # Without an address it goes where the socket was connected to, which was asked about.
    if address is None or address in _SYSTEM_LOGS:
        return None
    return Act("network", f"send to {_address(address)}")


def _speaker(what: str) -> Callable[..., Act]:
    """For what is said on a connection that may have been made before the replay."""

    def read(connection: Any, *_: Any) -> Act:
        host = getattr(connection, "host", None) or getattr(connection, "_host", None)
        return Act("network", f"send {what}{f' to {host}' if host else ''}")

    return read


def _request(method: Any, url: Any) -> Act:
    """Our own event: a request that nobody was asked about, for it is switched off in the recording."""
    return Act("network", f"send the request {method} {url}")


def _address(address: Any) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return _shown(address)


# -- databases -------------------------------------------------------------------------------------------------------


def _database(name: Any) -> Act | None:
    text = os.fsdecode(name)
    if text.startswith("file:"):
        text, _, query = text.removeprefix("file:").partition("?")
        said = parse_qs(query)
        if said.get("mode", [""])[-1] in {"ro", "memory"} or said.get("immutable", ["0"])[-1] == "1":
            return None
    if text in {"", ":memory:"}:
        return None
    place = _place(text)
    return Act("database", f"open the database {_shown(place)}", (place,))


def _driver(what: Any) -> Act:
    """Our own event (replay.drivers)."""
    return Act("database", f"connect to {what}")


def _shown(value: Any) -> str:
    text = repr(os.fsdecode(value) if isinstance(value, bytes) else value)
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."


READERS: Mapping[str, Callable[..., Act | None]] = {
    "open": _open,
    "os.mkdir": _mkdir,
    "os.remove": _remove,
    "os.rmdir": _remove,
    "os.rename": _rename,
    "os.link": _link,
    "os.symlink": _symlink,
    "os.truncate": _truncate,
    "os.chmod": _chmod,
    "os.chown": _chown,
    "os.utime": _utime,
    "os.setxattr": _attribute,
    "os.removexattr": _attribute,
    "subprocess.Popen": _popen,
    "os.posix_spawn": _execute,
    "os.exec": _execute,
    "os.system": _system,
    "os.fork": _fork,
    "os.forkpty": _fork,
    "os.kill": _kill,
    "os.killpg": _kill,
    "webbrowser.open": _browse,
    "socket.connect": _connect,
    "socket.sendto": _send_to,
    "socket.sendmsg": _send_to,
    "http.client.send": _speaker("a request"),
    "smtplib.send": _speaker("mail"),
    "ftplib.sendcmd": _speaker("an FTP command"),
    "imaplib.send": _speaker("an IMAP command"),
    "poplib.putline": _speaker("a POP3 command"),
    "playhead.request": _request,
    "sqlite3.connect": _database,
    "playhead.connect": _driver,
}
