"""Processes of their own for what loads the user's code: replays, and what is asked before them.

The viewer may run for days while that code is edited. A new process has it as it is now, and whatever the code does
when it is loaded stays out of the viewer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Sequence

from tracer.config import Config

#: What one waits for with the page open; what may take longer is a run (web.runs).
TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Answered:
    """``told`` is what the command printed as JSON; where it refused, None, and ``problem`` says why in one line."""

    told: Any
    problem: str = ""


def playhead(words: Sequence[str], config: Config) -> Answered:
    """Run ``playhead`` with these words and ``--json``, on this configuration's store."""
    return _answer(command_of(words), config, None)


def prepare(asked: Any, config: Config) -> Answered:
    """What ``web.preparing`` answers."""
    answered = _answer([sys.executable, "-m", "web.preparing"], config, json.dumps(asked))
    refused = answered.told.get("refused") if isinstance(answered.told, dict) else None
    return answered if refused is None else Answered(None, refused)


def command_of(words: Sequence[str]) -> list[str]:
    """The command of a child, which prints JSON."""
    options, dashes, told = list(words), [], []  # what stands behind "--" is no option, whatever it begins with
    if "--" in options:
        at = options.index("--")
        options, dashes, told = options[:at], ["--"], options[at + 1 :]
    return [sys.executable, "-m", "tracer.cli", *options, "--json", *dashes, *told]


def environment_of(config: Config) -> dict[str, str]:
    return {
        **os.environ,
        "PLAYHEAD_DATABASE_URL": config.database_url,
        "PLAYHEAD_HOME": str(config.home),
        "PLAYHEAD_ENABLED": "1",
    }


def _answer(command: Sequence[str], config: Config, said: str | None) -> Answered:
    if any("\0" in word for word in command):
        return Answered(None, "a text with a NUL can't be given to a process")
    try:
        done = subprocess.run(  # noqa: S603 - our own program, its words in a list
            command,
            env=environment_of(config),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            **({"stdin": subprocess.DEVNULL} if said is None else {"input": said}),
        )
    except subprocess.TimeoutExpired:
        return Answered(None, f"it did not end within {TIMEOUT_S // 60} minutes: run it from a shell")
    return read(done.stdout, done.stderr, done.returncode)


def read(printed: str, errors: str, code: int) -> Answered:
    """What a child that has ended answered."""
    try:
        return Answered(json.loads(_last_document(printed)))
    except ValueError:
        return Answered(None, _problem(errors, code))


def _last_document(text: str) -> str:
    """The JSON at the end of what was printed; the user's own code may have printed before it."""
    lines = text.splitlines()
    begins = [number for number, line in enumerate(lines) if line in {"{", "["} or line.startswith(("[]", "{}", '{"'))]
    return "\n".join(lines[begins[-1] :]) if begins else ""


def _problem(errors: str, code: int) -> str:
    lines = [line for line in errors.splitlines() if line.strip()]
    ours = next((line for line in lines if line.startswith("playhead: ")), None)
    if ours is not None:
        return ours.removeprefix("playhead: ")
    if code < 0:
        return f"its process was ended by signal {-code}{f'; it said last: {lines[-1].strip()}' if lines else ''}"
    return f"it ended with code {code}: {lines[-1].strip() if lines else 'and said nothing'}"
