"""Where a replay and its record part, as a value; and the end of a replay at such a place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from replay.compare import Change
from tracer.player import ReplayStopped

#: Characters of a value that a message shows.
_MOST = 120


@dataclass(frozen=True, slots=True)
class Divergence:
    """A call that the record does not explain, or a recorded one that never came. ``then`` says what was done.

    ``kind`` is input-changed, code-changed, moved, new or never-reached; or, where plan and record leave no other way,
    interrupted, not-replayable, budget, unmarked-effect (the guard's) or undecided.
    """

    kind: str
    path: str
    then: str
    step_id: str | None = None
    #: The recorded step it was held against: the very one, or the nearest where the input changed.
    recorded_step_id: str | None = None
    changes: tuple[Change, ...] = ()
    #: The path of that recorded step: of a changed call, the nearest candidate.
    recorded_path: str | None = None
    #: Both inputs as a reader sees them, the recorded one first, where they differ.
    inputs: tuple[Any, Any] | None = None
    #: What to add to the plan so that it accepts this, each by itself, as the command line writes it.
    accept: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = f"{self.path}: {self.kind}, {self.then}"
        if self.recorded_path not in {None, self.path}:
            words += f" (recorded as {self.recorded_path})"
        if self.changes:
            first = self.changes[0]
            before, after = parting(one_line(repr(first.before)), one_line(repr(first.after)))
            words += f"; first at {first.path}: {before} -> {after}"
        return words


class Stopped(ReplayStopped):
    """The replay ends at this divergence. Its text is one line that ends with what to do."""

    def __init__(self, divergence: Divergence, advice: str) -> None:
        self.divergence = divergence
        self.advice = one_line(advice)
        super().__init__(f"{divergence}. {self.advice}")


def one_line(text: str) -> str:
    return " ".join(text.split())


def short(value: Any) -> str:
    """A value in one line of bounded length."""
    return _cut(one_line(repr(value)), 0)


def parting(before: str, after: str) -> tuple[str, str]:
    """Both texts, cut so that the place where they part is in sight."""
    start = 0
    if max(len(before), len(after)) > _MOST:
        same = len(os.path.commonprefix([before, after]))  # noqa: RUF071 - characters are what is meant
        start = max(0, same - _MOST // 3)
    return _cut(before, start), _cut(after, start)


def _cut(text: str, start: int) -> str:
    return f"{'...' if start else ''}{text[start : start + _MOST]}{'...' if len(text) > start + _MOST else ''}"
