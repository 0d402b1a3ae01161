"""What recording costs, beside OpenTelemetry's SDK in the same run, and beside the targets that we set ourselves.

    python benchmarks/recording.py [--steps 20000] [--rounds 5] [--importtime]

Four parts, a table each: W1 (costs/w1.py says what it is) with texts that repeat and with every text another one, the
import, calls that record nothing, and the naming of arguments. Every contestant runs in a fresh child process, in
turns; what the undecorated program takes is measured in every round and taken off. Times are CPU time, figures are
median (best to worst).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Callable

from costs import sink, texts
from costs.rounds import Spread, child, cpu_ms, environment, over, table
from costs.w1 import STEPS_A_WORKFLOW

Rounds = dict[str, list[dict[str, Any]]]

#: Whom we measure ourselves against, in the words of the tables.
PEERS = {
    "otel": "OpenTelemetry, batch processor",
    "otel-long-queue": "the same, queue of 200,000",
}
#: An import is short, and so its figure is the noisiest.
IMPORT_ROUNDS = 9


def w1(rounds: int, steps: int, *, unique: bool, peers: bool) -> None:
    """Measure W1 and print its table, its ratios and the floor."""
    figures: Rounds = defaultdict(list)
    contestants = ["bare", *(PEERS if peers else ()), "playhead", "floor"]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        file = Path(folder, "texts")
        texts.write(file, steps + STEPS_A_WORKFLOW if unique else STEPS_A_WORKFLOW)
        address = stack.enter_context(sink.running(environment())) if peers else ""
        arguments = ["--texts", str(file), "--steps", str(steps), "--sink", address, *(["--unique"] if unique else [])]
        for _ in range(rounds):
            for contestant in contestants:
                figures[contestant].append(child("costs.w1", contestant, *arguments))
    kind = "every text another one" if unique else f"{STEPS_A_WORKFLOW} prompts and answers that repeat"
    title = f"W1, {kind}: {steps:,} steps, {rounds} rounds"
    head = (
        "",
        "caller µs/step",
        "process µs/step",
        "spans lost",
        "bytes/step",
        "peak RSS over bare, MB",
        "start, CPU ms",
    )
    names = {**(PEERS if peers else {}), "playhead": "playhead, SQLite"}
    rows = [_contestant(label, figures[name], figures["bare"]) for name, label in names.items()]
    table(title, head, [*rows, _floor(figures)])
    table("W1 against its targets", ("", "measured", "target", ""), _w1_targets(figures, peers=peers))


def _contestant(label: str, figures: list[dict[str, Any]], bare: list[dict[str, Any]]) -> list[str]:
    lost = Spread(100 * (1 - one["recorded"] / one["expected"]) for one in figures)
    # of those that arrived: what is lost takes no room
    kept = Spread(one["total_bytes"] / one["steps"] * one["expected"] / one["recorded"] for one in figures)
    return [
        label,
        over(figures, bare, "caller_us").text(1),
        over(figures, bare, "process_us").text(1),
        f"{lost.text(1)} %" if any(lost.values) else "none",
        f"{kept.median:,.0f}",
        over(figures, bare, "peak_mb").text(0),
        f"{Spread(one['start_ms'] for one in figures).median:,.0f}",
    ]


def _floor(figures: Rounds) -> list[str]:
    """Its rows are made beforehand and its memory is theirs, so that only two of its figures say anything."""
    stored = Spread(one["total_bytes"] / one["steps"] for one in figures["floor"])
    cost = over(figures["floor"], figures["bare"], "process_us").text(1)
    return ["floor: sqlite3 executemany, uncompressed", "", cost, "", f"{stored.median:,.0f}", "", ""]


def _w1_targets(figures: Rounds, *, peers: bool) -> list[list[str]]:
    ours, bare = figures["playhead"], figures["bare"]
    caller, process = over(ours, bare, "caller_us"), over(ours, bare, "process_us")
    rows = [
        _target("caller, µs/step", caller, 1, 10.0, "10"),
        _target("process, µs/step", process, 1, 40.0, "40"),
        _target("peak RSS over bare, MB", over(ours, bare, "peak_mb"), 0, 40.0, "40"),
    ]
    for name, label in PEERS.items() if peers else ():
        their_caller = over(figures[name], bare, "caller_us")
        their_process = over(figures[name], bare, "process_us")
        rows.append(_target(f"caller, share of: {label}", _share(caller, their_caller), 2, 1 / 6, "1/6"))
        rows.append(_target(f"process, share of: {label}", _share(process, their_process), 2, 1 / 3, "1/3"))
    floor = _share(process, over(figures["floor"], bare, "process_us"))
    return [*rows, ["process, times the floor", floor.text(1), "", ""]]


def _share(ours: Spread, theirs: Spread) -> Spread:
    return Spread(one / other for one, other in zip(ours.values, theirs.values, strict=True))


def _target(label: str, figure: Spread, decimals: int, limit: float, words: str) -> list[str]:
    return [label, figure.text(decimals), f"at most {words}", "met" if figure.median <= limit else "MISSED"]


def imported(rounds: int) -> None:
    """`import tracer` in a fresh interpreter, less a fresh interpreter that imports nothing."""
    cpu_ms("import tracer")  # so that the compiled files are there, and in memory
    pairs = [(cpu_ms("import tracer"), cpu_ms("pass")) for _ in range(rounds)]
    rows = [
        _target("import tracer, ms", Spread(ours - empty for ours, empty in pairs), 1, 60.0, "60"),
        ["an empty interpreter, ms", Spread(empty for _, empty in pairs).text(1), "", ""],
    ]
    table(f"Import: {rounds} rounds", ("", "measured", "target", ""), rows)


def slowest_imports(count: int) -> None:
    """The modules whose own code takes longest at `import tracer`, once, as `-X importtime` counts (wall time)."""
    command = [sys.executable, "-X", "importtime", "-c", "import tracer"]
    said = subprocess.run(command, env=environment(), stderr=subprocess.PIPE, text=True, check=True).stderr
    parts = [line.removeprefix("import time:").split("|") for line in said.splitlines()[1:] if line.count("|") == 2]
    slowest = sorted(parts, key=lambda part: -int(part[0]))[:count]
    rows = [(name.strip(), own.strip(), total.strip()) for own, total, name in slowest]
    table("The slowest modules of one import, µs", ("", "itself", "with what it imports"), rows)


def off(rounds: int) -> None:
    """Decorated calls that record nothing, for each of the three reasons there are."""
    figures: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, us in child("costs.calls", "outside").items():
            figures[f"{name}, outside a workflow"].append(us)
        for name, us in child("costs.calls", "environment", PLAYHEAD_ENABLED="0").items():
            figures[f"{name}, PLAYHEAD_ENABLED=0"].append(us)
        for name, us in child("costs.calls", "disabled").items():
            figures[f"{name}, configure(enabled=False)"].append(us)
    rows = [_target(name, Spread(values), 2, 1.0, "1") for name, values in figures.items()]
    table(f"Off: µs per decorated call, {rounds} rounds", ("", "measured", "target", ""), rows)


def binding(rounds: int) -> None:
    """Naming the arguments of a call, and what inspect.Signature.bind would take for the same."""
    measured = [child("costs.calls", "binding") for _ in range(rounds)]
    rows = [(name, Spread(one[name] for one in measured).text(2)) for name in measured[0]]
    table(f"Naming the arguments: µs per call, {rounds} rounds", ("", "measured"), rows)


def surroundings(*, peers: bool) -> str:
    """What the figures depend on, in one line."""
    sdk = f", OpenTelemetry SDK {importlib.metadata.version('opentelemetry-sdk')}" if peers else ""
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores{load}, SQLite {sqlite3.sqlite_version}{sdk}"
    )


def at_least(lowest: int) -> Callable[[str], int]:
    """A number on the command line; fewer rounds have no median, fewer steps no full workflow."""

    def number(text: str) -> int:
        if int(text) < lowest:
            raise argparse.ArgumentTypeError(f"must be at least {lowest}")
        return int(text)

    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=at_least(1_000), default=20_000, help="of W1; fewer for a quick look")
    parser.add_argument("--rounds", type=at_least(1), default=5)
    parser.add_argument("--importtime", action="store_true", help="also list the ten slowest modules of the import")
    given = parser.parse_args()
    peers = importlib.util.find_spec("opentelemetry.sdk") is not None
    print(surroundings(peers=peers))
    if not peers:
        print("OpenTelemetry's SDK is not installed, so nothing is measured against it; make bench installs it.")
    w1(given.rounds, given.steps, unique=False, peers=peers)
    w1(given.rounds, given.steps, unique=True, peers=peers)
    imported(max(given.rounds, IMPORT_ROUNDS))
    if given.importtime:
        slowest_imports(10)
    off(given.rounds)
    binding(given.rounds)


if __name__ == "__main__":
    main()
