"""How recording fares, in words: one line for every page when something is wrong, and a table for About."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from tracer import format as fmt
from tracer.doctor import Recording
from tracer.guard import REFUSED
from tracer.health import Status


@dataclass(frozen=True, slots=True)
class Row:
    """One recording process, or all that are gone, as the columns of the table."""

    name: str
    title: str
    waiting: str
    since: str
    written: str
    refused: str
    failed: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    rows: tuple[Row, ...]
    problems: tuple[str, ...]


def alert_of(seen: Recording) -> str:
    """What is wrong, in a few words; empty where nothing is."""
    return " · ".join(_alerts(seen))


def _alerts(seen: Recording) -> Iterator[str]:
    late = [(status, waited_s) for _, status, waited_s in seen.late()]
    if late:
        events = sum(status.queued_events for status, _ in late)
        size = fmt.size(sum(status.queued_bytes for status, _ in late))
        yield f"{events:,} events ({size}) have waited {_waited(max(waited_s for _, waited_s in late))} for the store"
    if seen.refused and seen.recently:
        yield f"{_times(seen.refused, 'trace')} refused: the journal was full"
    if seen.missing and seen.recently:
        yield f"{_times(seen.missing, 'failure')} to record"


def health_of(seen: Recording) -> Health:
    return Health(tuple(_rows(seen)), tuple(seen.problems()))


def _rows(seen: Recording) -> Iterator[Row]:
    waited = {owner: _waited(waited_s) for owner, _, waited_s in seen.late()}
    for owner, status in seen.living.items():
        yield _row(f"process {status.pid}" if status.pid else owner, owner, status, waited.get(owner, ""))
    if seen.kept.degraded:
        gone = Status(degraded=seen.kept.degraded)
        yield _row("processes that are gone", "playhead doctor --forget sets these counts to zero", gone, "")


def _row(name: str, title: str, status: Status, since: str) -> Row:
    failed = {what: times for what, times in status.degraded.items() if what != REFUSED}
    return Row(
        name,
        title,
        waiting=f"{status.queued_events:,} events, {fmt.size(status.queued_bytes)}" if status.queued_events else "",
        since=since,
        written=f"{status.written_events:,}" if status.pid else "",
        refused=f"{status.degraded.get(REFUSED, 0):,}",
        failed=", ".join(f"{what}: {times:,}" for what, times in failed.items()) or "0",
        problem=status.problem,
    )


def _times(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _waited(seconds: float) -> str:
    return fmt.duration(int(seconds) * 10**9)
