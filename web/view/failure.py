"""An exception as a reader wants it: what, in whose line, why; the library's frames out of the way. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from tracer.format import type_name
from tracer.model import Failure, Frame
from web.view.text import clip

_CAUSES = 8
_NOTES = 8
#: Characters of one message, and of the text for the clipboard.
_MESSAGE_LIMIT = 3_000
_TEXT_LIMIT = 20_000


@dataclass(frozen=True, slots=True)
class FrameView:
    """Where a frame stood. ``source`` holds (line number, text, whether it is the line that failed)."""

    place: str
    file: str
    function: str
    source: tuple[tuple[int, str, bool], ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """A run of frames nobody wants first: of installed libraries, or earlier frames of one's own."""

    label: str
    frames: tuple[FrameView, ...]


@dataclass(frozen=True, slots=True)
class Related:
    """Another exception behind this one, and how they are tied."""

    tie: str
    title: str
    message: str
    frame: FrameView | None


@dataclass(frozen=True, slots=True)
class ErrorBlock:
    """``frame`` is the last frame of the user's own code; the folded runs hold all the others, outermost first."""

    title: str
    module: str
    message: str
    notes: tuple[str, ...]
    frame: FrameView | None
    folded: tuple[Folded, ...]
    related: tuple[Related, ...]
    #: The whole story as plain text, for the clipboard.
    text: str


def error_block(failure: Failure) -> ErrorBlock:
    """Read a failure for display."""
    at = _own_index(failure)
    frames = failure.frames
    before, after = (frames[:at], frames[at + 1 :]) if at is not None else (frames, ())
    folded = [_fold(before, "before it", omitted=failure.frames_omitted), _fold(after, "after it")]
    return ErrorBlock(
        title=type_name(failure.type),
        module=failure.module,
        message=_bounded(failure.message),
        notes=tuple(_bounded(note) for note in failure.notes[:_NOTES]),
        frame=_frame(frames[at]) if at is not None else None,
        folded=tuple(run for run in folded if run is not None),
        related=tuple(_related(failure)),
        text=_bounded(as_text(failure), _TEXT_LIMIT),
    )


def _bounded(text: str, limit: int = _MESSAGE_LIMIT) -> str:
    head, missing = clip(text, limit)
    return f"{head} … {missing:,} more characters" if missing else head


def as_text(failure: Failure) -> str:
    """A traceback in Python's own form, outermost frame first."""
    parts = []
    for tie, one in [*reversed([(tie, cause) for tie, cause in _chain(failure)]), ("", failure)]:
        frames = "".join(
            f'  File "{frame.file}", line {frame.line}, in {frame.function}\n' + _line_of(frame) for frame in one.frames
        )
        parts.append(
            f"Traceback (most recent call last):\n{frames}{one.type}: {_bounded(one.message)}\n"
            + (f"\n{tie}\n" if tie else "")
        )
    return "\n".join(parts)


def _line_of(frame: Frame) -> str:
    source = next((text for number, text in frame.source if number == frame.line), "").strip()
    return f"    {source}\n" if source else ""


def _own_index(failure: Failure) -> int | None:
    own = [index for index, frame in enumerate(failure.frames) if frame.own]
    return own[-1] if own else None


def _fold(frames: tuple[Frame, ...], where: str, *, omitted: int = 0) -> Folded | None:
    if not frames and not omitted:
        return None
    number = len(frames) + omitted
    library = not any(frame.own for frame in frames)
    noun = ("library frame" if library else "frame") + ("" if number == 1 else "s")
    more = f" ({omitted} not kept)" if omitted else ""
    return Folded(f"{number} {noun} {where}{more}", tuple(_frame(frame) for frame in frames))


def _frame(frame: Frame) -> FrameView:
    source = tuple((number, text, number == frame.line) for number, text in frame.source)
    short = "/".join(frame.file.replace("\\", "/").split("/")[-2:])
    return FrameView(f"{short}:{frame.line}", f"{frame.file}:{frame.line}", frame.function, source)


def _chain(failure: Failure) -> Iterator[tuple[str, Failure]]:
    """The causes, nearest first, each with the words that Python would print after it."""
    at, seen = failure, 0
    while at.cause is not None and seen < _CAUSES:
        tie = (
            "The above exception was the direct cause of the following exception:"
            if at.cause_is_explicit
            else "During handling of the above exception, another exception occurred:"
        )
        yield tie, at.cause
        at, seen = at.cause, seen + 1


def _related(failure: Failure) -> Iterator[Related]:
    for number, member in enumerate(failure.group[:_CAUSES], 1):
        yield _relation(f"{number} of {len(failure.group)} in the group", member)
    explicit = failure.cause_is_explicit
    for _, cause in _chain(failure):
        yield _relation("caused by" if explicit else "while handling", cause)
        explicit = cause.cause_is_explicit


def _relation(tie: str, failure: Failure) -> Related:
    at = _own_index(failure)
    return Related(
        tie, type_name(failure.type), failure.message, _frame(failure.frames[at]) if at is not None else None
    )
