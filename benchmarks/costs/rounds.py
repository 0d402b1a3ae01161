"""Rounds of child processes: every contestant in a fresh one, in turns, so that noise hits all alike."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

REPOSITORY = Path(__file__).resolve().parents[2]
BENCHMARKS = REPOSITORY / "benchmarks"


#: What would steer a contestant, or keep compiled files from being written.
_LEFT_OUT = ("PLAYHEAD_", "OTEL_", "PYTHON")


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what would steer a child; this checkout is what is imported, from anywhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    path = os.pathsep.join((str(REPOSITORY), str(BENCHMARKS)))
    ours = {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return {**kept, **ours, **more}


def child(module: str, *arguments: str, **variables: str) -> dict[str, Any]:
    """The JSON that ``python -m module arguments`` prints."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=environment(**variables), stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def cpu_ms(code: str, *, options: Sequence[str] = ()) -> float:
    """CPU time of a whole interpreter that runs ``code``, from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *options, "-c", code], env=environment(), check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


class Spread:
    """The figures of all rounds: their median, and how far they lie apart."""

    def __init__(self, values: Iterable[float]) -> None:
        self.values = list(values)
        self.median = statistics.median(self.values)

    def text(self, decimals: int) -> str:
        """``median (best to worst)``."""
        low, high = min(self.values), max(self.values)
        return f"{self.median:,.{decimals}f} ({low:,.{decimals}f} to {high:,.{decimals}f})"


def over(rounds: Iterable[Mapping[str, Any]], base: Iterable[Mapping[str, Any]], name: str) -> Spread:
    """The figure ``name`` of each round, less what the base took in the same round."""
    return Spread(one[name] - other[name] for one, other in zip(rounds, base, strict=True))


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in Markdown, the first column set left and the others right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    print(f"\n{title}\n")
    for number, line in enumerate(lines):
        cells = [
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("|", " | ".join(cells), "|")
        if number == 0:
            print(
                "|",
                " | ".join("-" * (width - 1) + ":" if at else "-" * width for at, width in enumerate(widths)),
                "|",
                flush=True,
            )
