"""What was said about a step: scores and notes, those of the run itself and those that readers added. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from tracer import format as fmt
from tracer.model import Note, Step
from web.view.text import clip, one_line

_SHOWN = 60
_TEXT_LIMIT = 4_000
#: What a reader may write of himself, and of a score's name.
NAME_LIMIT = 60
_VERDICTS = {"yes": True, "true": True, "pass": True, "no": False, "false": False, "fail": False}


@dataclass(frozen=True, slots=True)
class Said:
    """One score or note. ``key`` names it for taking it back; empty for what the run itself said."""

    kind: str
    name: str
    text: str
    at: str
    key: str = ""


def said_of(step: Step) -> tuple[Said, ...]:
    """The scores and notes of a step, oldest first."""
    return tuple(_said(step))


def _said(step: Step) -> Iterator[Said]:
    told = [note for note in step.notes if note.kind != "value"]
    for note in sorted(told, key=lambda note: note.at_ns)[-_SHOWN:]:
        value = note.value
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        yield Said(
            kind=note.kind,
            name=one_line(note.name, NAME_LIMIT),
            text=clip(text, _TEXT_LIMIT)[0],
            at=fmt.exact_time(note.at_ns),
            key=f"{note.kind}:{note.occurrence}:{note.name}" if note.is_added else "",
        )


def note_from(kind: str, name: str, text: str, *, at_ns: int) -> Note:
    """What a form asks to add. Raises ValueError in words for who filled it in."""
    name, text = " ".join(name.split()), text.strip()
    if len(name) > NAME_LIMIT:
        raise ValueError(f"A name has at most {NAME_LIMIT} characters.")
    if not text:
        raise ValueError("There is nothing to add: write a value or a note.")
    if kind == "note":
        return Note("note", name or "reader", at_ns, at_ns, text[:_TEXT_LIMIT])
    if kind != "score":
        raise ValueError("One adds a score or a note.")
    if not name:
        raise ValueError("A score needs a name, such as 'correct'.")
    return Note("score", name, at_ns, at_ns, _scored(text))


def _scored(text: str) -> float | bool | str:
    """A score as its writer means it: a verdict, a number, or a word."""
    if text.lower() in _VERDICTS:
        return _VERDICTS[text.lower()]
    try:
        value = float(text)
    except ValueError:
        return text[:NAME_LIMIT]
    if value - value != 0:
        raise ValueError("A score is a number that one can compare: not infinite, and not NaN.")
    return value


def key_of(text: str) -> tuple[str, int, str]:
    """Kind, occurrence and name out of a Said's key. Raises ValueError for what is none."""
    kind, occurrence, name = text.split(":", 2)
    return kind, int(occurrence), name
