"""A run as the list of what happened in it, moment by moment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Sequence

from tracer import format as fmt
from tracer.format import Shown
from tracer.model import Kind, Step, Trace
from web.view.text import one_line

PAGE = 400


@dataclass(frozen=True, slots=True)
class Happening:
    """``word`` is what happened: began, first token, ended, failed, or the kind of what was noted."""

    at: Shown
    word: str
    tone: str
    step_id: str
    name: str
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Events:
    rows: tuple[Happening, ...]
    total: int
    first: int

    @property
    def last(self) -> int:
        return self.first + len(self.rows)


def events_of(trace: Trace, *, first: int = 0) -> Events:
    """A page of what happened, in the order in which it did."""
    if not trace.steps:
        return Events((), 0, 0)
    told = sorted(_told(trace.steps), key=lambda one: one[0])
    begin = min(step.started_ns for step in trace.steps)
    first = first - first % PAGE if first < len(told) else 0
    rows = tuple(_happening(begin, *one) for one in told[first : first + PAGE])
    return Events(rows, len(told), first)


def _happening(begin: int, at: int, step: Step, word: str, text: str) -> Happening:
    since = fmt.duration(at - begin) if at > begin else "0"
    tone = "bad" if word == "failed" else "dim" if word in ("began", "ended") else ""
    return Happening(Shown(f"+{since}", fmt.exact_time(at)), word, tone, step.step_id, step.name, step.kind, text)


def _told(steps: Sequence[Step]) -> Iterator[tuple[int, Step, str, str]]:
    for step in steps:
        yield step.started_ns, step, "began", ""
        call = step.call
        if call is not None and call.streamed and call.first_token_ns is not None:
            yield step.started_ns + call.first_token_ns, step, "first token", call.model or ""
        for note in step.notes:
            yield note.at_ns, step, note.kind, f"{one_line(note.name, 60)} {one_line(str(note.value), 120)}"
        if step.ended_ns is None:
            continue
        if step.failure is not None:
            failure = f"{fmt.type_name(step.failure.type)}: {one_line(step.failure.message, 160)}"
            yield step.ended_ns, step, "failed", failure
        else:
            yield step.ended_ns, step, "ended", f"after {fmt.duration(step.duration_ns)}"
