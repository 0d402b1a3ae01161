"""The guard of a replay: it stops unmarked code before that writes, deletes, starts a process or connects.

People forget to mark what has an effect. So while a step of a replay runs, an audit hook of the interpreter is told
what the code is about to do (replay.acts), and ends the replay before it happens. What the plan lets act is let
(replay.leave), and so is what the tables below name, which is nobody's effect.

The hook stays for the life of the process, as all audit hooks do; outside a replay it looks up the event's name, and
for those of replay.acts one context variable.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
import threading
from pathlib import Path, PurePath
from types import FrameType
from typing import Any

from replay import drivers
from replay.acts import READERS, Act, act_of
from replay.divergence import Divergence, Stopped
from replay.player import ReplayPlayer
from tracer.context import CURRENT, SENDING, ActiveStep

#: Where anybody may write: nothing, and the terminal.
_NOWHERE = frozenset({os.devnull, "/dev/tty", "/dev/stdout", "/dev/stderr", "/dev/full", "/dev/ptmx"})
_TERMINALS = ("/dev/pts/", "/dev/fd/", "/proc/self/fd/")
#: Caches of byte code, whoever writes them.
_CACHES = "__pycache__"

#: Who may do what, by the module that asks for it: what they do is about this machine or this process.
_EXCUSED = {
    # caches of byte code that were told to lie elsewhere
    "_frozen_importlib_external": "file",
    "importlib._bootstrap_external": "file",
    # a log is no effect; what the handlers send over the network is one
    "logging": "file",
    "logging.handlers": "file",
    # ask what machine and system this is; SDKs put that into the headers of a request
    "platform": "process",
    "distro.distro": "process",
    "ctypes.util": "process",
    "uuid": "process",
}
#: Modules that only carry out what the module above them wants.
_CARRIERS = frozenset({"os", "shutil", "pathlib", "subprocess", "io", "_pyio", "codecs", "contextlib", "weakref"})
#: Our own rooms that write and connect: the journal, the store, and what stands beside them.
_OURS = ("adoption", "batches", "health", "journal", "key", "owners", "recorder", "segments", "store", "writer")
_OUR_ROOMS = frozenset(f"tracer.{room}" for room in _OURS)
_PACKAGES = frozenset({"tracer", "replay", "router", "web"})

_LIBRARY = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_MADE = frozenset({"tempfile.mkstemp", "tempfile.mkdtemp"})
_TABLE = frozenset(READERS) | _MADE

# Guards the name below.
_lock = threading.Lock()
_installed = False


def install() -> None:
    """See to it that every replay of this process is guarded."""
    global _installed  # noqa: PLW0603 - the state of this process
    with _lock:
        if not _installed:
            tempfile.gettempdir()  # the first time, it tries where it can write
            drivers.install()
            sys.addaudithook(_told)
            _installed = True


# At the end of the process the names of a module are taken away before the last events come: so they are bound here.
def _told(event: str, args: tuple[Any, ...], table: frozenset[str] = _TABLE, current: Any = CURRENT) -> None:
    if event not in table:
        return
    step = current.get()
    if step is not None and step.trace.player is not None:
        _ask(event, args, step)


def _ask(event: str, args: tuple[Any, ...], step: ActiveStep) -> None:
    """Let it happen, or raise what ends the replay."""
    player = step.trace.player
    if not isinstance(player, ReplayPlayer) or not player.leave.is_guarded or SENDING.get():
        return
    leave = player.leave
    try:
        if event in _MADE:
            leave.temporary |= _temporary(os.fsdecode(args[0]))
            return
        act = act_of(event, args)
        if act is None or _is_nowhere(act, leave.temporary) or _is_excused(act) or leave.covers(step):
            return
        words = act.words
    except Exception as error:  # noqa: BLE001 - what can't be told is not let happen
        words = f"do what can't be told ({event}: {type(error).__name__}: {error})"
    raise player.refuse(_stop(step, words, _place()))


def _stop(step: ActiveStep, words: str, place: str) -> Stopped:
    source, way = step.decision.source, f"--allow {step.name}"
    recorded_id, recorded_path = (None, None) if source is None else (source.step_id, source.path)
    return Stopped(
        Divergence(
            *("unmarked-effect", step.path, "stopped", step.step_id, recorded_id),
            recorded_path=recorded_path,
            accept=(way,),
        ),
        f"It was about to {words}, at {place}. Mark the function that does it with @effect, or let it happen with "
        f"{way}",
    )


def _temporary(made: str) -> set[str]:
    """What tempfile is about to make, by the names it will be known by. What it makes elsewhere than where temporary
    files go (beside what it is to replace, say) is a file like any other."""
    path = Path(made).absolute()
    return {str(path), str(path.resolve())} if path.is_relative_to(tempfile.gettempdir()) else set()


def _is_nowhere(act: Act, temporary: set[str]) -> bool:
    """Whether all that it changes is nobody's: the terminal, caches of byte code, what this replay made by tempfile."""
    for name in act.paths:
        path = PurePath(name)
        is_temporary = bool(temporary) and not temporary.isdisjoint(map(str, (path, *path.parents)))
        if not (name in _NOWHERE or name.startswith(_TERMINALS) or _CACHES in path.parts or is_temporary):
            return False
    return bool(act.paths)


def _is_excused(act: Act) -> bool:
    """Whether it is asked for by one who may, or is our own work: the innermost code that isn't a mere carrier decides,
    or the innermost of ours."""
    frame: FrameType | None = sys._getframe(3)  # past _ask and the hook  # noqa: SLF001
    is_innermost = True
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        top = name.partition(".")[0]
        if is_innermost and top not in _CARRIERS:
            if _EXCUSED.get(name) == act.sort or (name == "tempfile" and act.clears):
                return True
            is_innermost = False
        if top in _PACKAGES:
            return ".".join(name.split(".")[:2]) in _OUR_ROOMS
        frame = frame.f_back
    return False


def _place() -> str:
    """The line of the user's code that asks for it: the innermost one that is in no library."""
    frame: FrameType | None = sys._getframe(3)  # noqa: SLF001 - likewise
    innermost = frame
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_globals.get("__name__") or ""
        if not file.startswith(("<frozen", *_LIBRARY)) and name.partition(".")[0] not in _PACKAGES:
            break
        frame = frame.f_back
    found = frame or innermost
    return "an unknown place" if found is None else f"{found.f_code.co_filename}:{found.f_lineno}"
