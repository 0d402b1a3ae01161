"""The command line in a process of its own, for what loads the user's code: a replay, and the list of its models.

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

#: A replay may wait for live models; one that takes longer than this is better run from a shell.
TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Answered:
    """``told`` is what the command printed as JSON; where it refused, None, and ``problem`` says why in one line."""

    told: Any
    problem: str = ""


def playhead(words: Sequence[str], config: Config) -> Answered:
    """Run ``playhead`` with these words and ``--json``, on this configuration's store."""
    environment = {
        **os.environ,
        "PLAYHEAD_DATABASE_URL": config.database_url,
        "PLAYHEAD_HOME": str(config.home),
        "PLAYHEAD_ENABLED": "1",
    }
    options, dashes, told = list(words), [], []  # what stands behind "--" is no option, whatever it begins with
    if "--" in options:
        at = options.index("--")
        options, dashes, told = options[:at], ["--"], options[at + 1 :]
    command = [sys.executable, "-m", "tracer.cli", *options, "--json", *dashes, *told]
    try:
        done = subprocess.run(  # noqa: S603 - our own program, its words in a list
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answered(None, f"it did not end within {TIMEOUT_S // 60} minutes: run it from a shell")
    try:
        return Answered(json.loads(_last_document(done.stdout)))
    except ValueError:
        return Answered(None, _problem(done.stderr, done.returncode))


def _last_document(text: str) -> str:
    """The JSON at the end of what was printed; the user's own code may have printed before it."""
    lines = text.splitlines()
    begins = [number for number, line in enumerate(lines) if line in {"{", "["} or line.startswith(("[]", "{}"))]
    return "\n".join(lines[begins[-1] :]) if begins else ""


def _problem(errors: str, code: int) -> str:
    lines = [line for line in errors.splitlines() if line.strip()]
    ours = next((line for line in lines if line.startswith("playhead: ")), None)
    if ours is not None:
        return ours.removeprefix("playhead: ")
    return f"it ended with code {code}: {lines[-1].strip() if lines else 'and said nothing'}"
