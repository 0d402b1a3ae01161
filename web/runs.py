"""What the viewer has started: child processes that replay, a few at a time; the others wait their turn.

A run is forgotten when the viewer ends, and its process is ended with it: what it recorded until then stays in the
store, where it is found as any other trace is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import IO, Any, Literal, Mapping, Sequence

from tracer.config import Config
from web.child import Answered, command_of, environment_of, read

State = Literal["waiting", "running", "done", "cancelled"]
#: Each may start a model on this machine.
AT_ONCE = 2
#: More than these may neither run nor wait.
MOST = 12
#: Runs that have ended and are still known.
KEPT = 50
#: Seconds that a backtest has to come to an end by itself.
GRACE_S = 120.0
#: Bytes of what a child printed that are read, from the end.
_MOST_BYTES = 32 << 20


@dataclass(slots=True)
class Run:
    """One child. ``kind`` is replay, faults or backtest, ``about`` what it is of: the trace or the backtest.
    ``filled`` is the form that it was started with, ``before`` the traces that were there before it."""

    run_id: str
    kind: str
    about: str
    words: tuple[str, ...]
    filled: Mapping[str, str] = field(default_factory=dict)
    #: How many steps, cells or traces there are to do; 0 where that is not known.
    of: int = 0
    started_ns: int = field(default_factory=time.time_ns)
    ended_ns: int | None = None
    state: State = "waiting"
    answered: Answered | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def is_over(self) -> bool:
        return self.state in {"done", "cancelled"}


class TooMany(Exception):
    """As many as may be are running and waiting."""


class Runs:
    """The runs of one viewer. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._places = threading.Semaphore(AT_ONCE)
        # Guards the table and the states of its runs.
        self._lock = threading.Lock()

    def start(  # noqa: PLR0913 - what a run is begun with
        self, kind: str, about: str, words: Sequence[str], config: Config, *, filled: Mapping[str, str], of: int = 0
    ) -> Run:
        """Begin a run, or let it wait for its turn. Raises TooMany."""
        run = Run(secrets.token_hex(6), kind, about, tuple(words), dict(filled), of)
        with self._lock:
            if sum(not each.is_over for each in self._runs.values()) >= MOST:
                raise TooMany(f"{MOST} runs are under way already: let one end, or cancel one")
            self._forget()
            self._runs[run.run_id] = run
        threading.Thread(target=self._carry_out, args=(run, config), name=f"run {run.run_id}", daemon=True).start()
        return run

    def get(self, run_id: str) -> Run | None:
        with self._lock:
            return self._runs.get(run_id)

    def of(self, kind: str, about: str) -> list[Run]:
        """The runs of this sort, newest first."""
        with self._lock:
            return [run for run in reversed(self._runs.values()) if run.kind == kind and run.about == about]

    def cancel(self, run: Run) -> None:
        """End its process."""
        with self._lock:
            if run.is_over:
                return
            run.state, run.ended_ns = "cancelled", time.time_ns()
            if run.process is not None:
                _end(run)

    def close(self) -> None:
        """End all that runs: the viewer is about to end."""
        with self._lock:
            running = [run for run in self._runs.values() if not run.is_over]
        for run in running:
            self.cancel(run)

    def _forget(self) -> None:
        over = [run_id for run_id, run in self._runs.items() if run.is_over]
        for run_id in over[: max(0, len(over) - KEPT)]:
            del self._runs[run_id]

    def _carry_out(self, run: Run, config: Config) -> None:
        with self._places, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            with self._lock:
                if run.is_over:
                    return
                try:
                    run.process = subprocess.Popen(  # noqa: S603 - our own program, its words in a list
                        command_of(run.words),
                        env=environment_of(config),
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=errors,
                        start_new_session=True,  # so that it ends with the processes that it has begun
                    )
                except (OSError, ValueError) as error:  # a word with a NUL
                    run.state, run.ended_ns = "done", time.time_ns()
                    run.answered = Answered(None, f"its process could not be begun: {error}")
                    return
                run.state = "running"
            code = run.process.wait()
            answered = read(_text(out), _text(errors), code)
            with self._lock:
                if not run.is_over:
                    run.state, run.ended_ns = "done", time.time_ns()
                    run.answered = answered


def _end(run: Run) -> None:
    """A backtest is asked, so that it waits for the replays that it has begun; where it does not hear, or is no
    backtest, it is ended with all the processes that it began."""
    assert run.process is not None
    process = run.process

    def end_all() -> None:
        with contextlib.suppress(OSError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)

    if run.kind != "backtest":
        return end_all()
    with contextlib.suppress(OSError):
        process.send_signal(signal.SIGINT)
    later = threading.Timer(GRACE_S, end_all)
    later.daemon = True
    return later.start()


def _text(file: IO[bytes]) -> str:
    size = file.seek(0, 2)
    file.seek(max(0, size - _MOST_BYTES))
    return file.read().decode("utf-8", "replace")


def told(run: Run) -> Mapping[str, Any]:
    """What a child that did its work printed; empty before, and where it refused."""
    found = None if run.answered is None else run.answered.told
    return found if isinstance(found, Mapping) else {}
