"""What a test from a cassette says when it can't go on: what was called, where from, what is recorded instead, and the
way out."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from types import TracebackType

from replay.cassette.deck import Card, Deck
from replay.divergence import Divergence, Stopped, one_line, parting

_KINDS = {
    "new": "this call is not in the cassette",
    "input-changed": "its input is not the recorded one",
    "interrupted": "the recorded run was cut off in this call",
    "not-replayable": "its recorded result can't be given again",
    "code-changed": "its code has changed since it was recorded",
}
#: Places of a difference that are shown.
_MOST = 5
_OURS = Path(__file__).resolve().parents[2]
_NOT_THE_USERS = (
    *(f"{_OURS / name}" for name in ("tracer/", "replay/", "pytest_playhead.py")),
    *(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib")),
)


def story_of(stopped: Stopped, deck: Deck, at: str | None) -> list[str]:
    """Where a test stopped and why, in lines. ``at`` is the place in the user's code."""
    divergence = stopped.divergence
    lines = [f"{divergence.path}: {_KINDS.get(divergence.kind, divergence.kind)}"]
    if at is not None:
        lines.append(f"  called at {at}")
    nearest = _nearest(divergence, deck)
    if nearest is not None:
        lines.append(f"  nearest in the record: {nearest}")
    lines += _changes(divergence)
    if divergence.kind not in {"new", "input-changed"}:
        lines.append(f"  {stopped.advice}")
    return lines


def _changes(divergence: Divergence) -> list[str]:
    lines: list[str] = []
    for change in divergence.changes[:_MOST]:
        before, after = parting(one_line(repr(change.before)), one_line(repr(change.after)))
        lines += [f"    {change.path}", f"      recorded  {before}", f"      now       {after}"]
    if len(divergence.changes) > _MOST:
        lines.append(f"    and {len(divergence.changes) - _MOST} more places")
    return lines


def _nearest(divergence: Divergence, deck: Deck) -> str | None:
    for card in deck.cards:
        step = None if divergence.recorded_step_id is None else card.trace.step(divergence.recorded_step_id)
        if step is not None:
            return f"{step.path}{_at_line(card, step.seq)}"
    return None


def _at_line(card: Card, number: int) -> str:
    """The file and the line of a step; it has the number in its trace that it has in the file."""
    if card.source is None:
        return ""
    lines = card.source.lines
    return f" ({card.source.file}:{lines[number]})" if number < len(lines) else f" ({card.source.file})"


def called_at(traceback: TracebackType | None) -> str | None:
    """Where in the user's own code a stop came from: the innermost frame that is neither a library's nor ours."""
    found = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        file = str(Path(code.co_filename).resolve())
        if not file.startswith(_NOT_THE_USERS):
            found = f"{_short(file)}:{traceback.tb_lineno}, in {code.co_name}"
        traceback = traceback.tb_next
    return found


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
