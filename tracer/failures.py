"""An exception as data: what failed, where, and what caused it. Never raises, whatever the exception does."""

from __future__ import annotations

import linecache
import sysconfig
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from tracer.model import Failure, Frame, Outcome
from tracer.player import ReplayStopped
from tracer.waiting import waiting_in

#: By name, because trio is not ours to import.
_CANCELLED = frozenset({"CancelledError", "Cancelled", "GeneratorExit", "KeyboardInterrupt"})
_MOST_FRAMES = 60
_MOST_CAUSES = 8
_MOST_IN_GROUP = 20
_MOST_ERRORS = 100
_MOST_TEXT = 8_000
_LINES_AROUND = 3
_HOUSE = Path(__file__).resolve().parent.parent
#: Code that is not the user's: the standard library, installed packages, and the floors of this package.
_FOREIGN = (
    *(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *(f"{_HOUSE / floor}/" for floor in ("tracer", "router", "replay", "web")),
)


def failure_of(error: BaseException) -> Failure:
    """The failure with its causes (8 deep at most), its group, its notes, and its frames (60 at most, innermost last).

    The last frame of the user's own code carries 3 lines of source on either side.
    """
    return _failure(error, set(), 0)


def outcome_of(error: BaseException) -> Outcome:
    """How a step ended that ended with ``error``."""
    if _is_stop(error):
        return "stopped"
    if waiting_in(error) is not None:
        return "waiting"
    return "failed" if _CANCELLED.isdisjoint(cls.__name__ for cls in type(error).__mro__) else "cancelled"


def _is_stop(error: BaseException) -> bool:
    """A group of tasks wraps what ended it."""
    return isinstance(error, ReplayStopped) or (
        isinstance(error, BaseExceptionGroup) and any(_is_stop(part) for part in error.exceptions)
    )


def wordless(failure: Failure) -> Failure:
    """A failure without what was said in it: where content is not captured, a message is content too."""
    return replace(
        failure,
        message="(not captured)",
        notes=(),
        cause=None if failure.cause is None else wordless(failure.cause),
        group=tuple(wordless(part) for part in failure.group),
    )


def _failure(error: BaseException, seen: set[int], depth: int) -> Failure:
    """``seen`` are the exceptions told so far: each is told once, however many ways lead to it."""
    seen.add(id(error))
    frames, omitted = _frames(error.__traceback__)
    cause, is_explicit = _cause(error)
    if depth >= _MOST_CAUSES or (cause is not None and id(cause) in seen):
        cause = None
    return Failure(
        type=type(error).__qualname__,
        message=_message(error),
        module=str(type(error).__module__),
        frames=frames,
        notes=_notes(error),
        cause=None if cause is None else _failure(cause, seen, depth + 1),
        cause_is_explicit=cause is not None and is_explicit,
        group=_group(error, seen, depth) if isinstance(error, BaseExceptionGroup) else (),
        frames_omitted=omitted,
    )


def _group(error: BaseExceptionGroup[BaseException], seen: set[int], depth: int) -> tuple[Failure, ...]:
    parts = error.exceptions[:_MOST_IN_GROUP] if depth < _MOST_CAUSES else ()
    return tuple(_failure(part, seen, depth + 1) for part in parts if id(part) not in seen and len(seen) < _MOST_ERRORS)


def _cause(error: BaseException) -> tuple[BaseException | None, bool]:
    if error.__cause__ is not None:
        return error.__cause__, True
    return (None if error.__suppress_context__ else error.__context__), False


def _message(error: BaseException) -> str:
    try:
        # A group's own str counts its parts; the parts are kept beside it.
        return _bounded(error.message if isinstance(error, BaseExceptionGroup) else str(error))
    except Exception as raised:  # noqa: BLE001  # a user's __str__ may do anything
        return f"<{type(error).__qualname__} whose str raised {type(raised).__name__}>"


def _notes(error: BaseException) -> tuple[str, ...]:
    notes = getattr(error, "__notes__", ())
    return tuple(_bounded(note) for note in notes if isinstance(note, str)) if isinstance(notes, (list, tuple)) else ()


def _bounded(text: str) -> str:
    clean = text.encode("utf-8", "backslashreplace").decode()
    return clean if len(clean) <= _MOST_TEXT else f"{clean[:_MOST_TEXT]}..."


def _frames(traceback: TracebackType | None) -> tuple[tuple[Frame, ...], int]:
    """The frames, and how many were cut out of the middle."""
    places = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append((code.co_filename, traceback.tb_lineno or code.co_firstlineno, code.co_qualname))
        traceback = traceback.tb_next
    omitted = max(0, len(places) - _MOST_FRAMES)
    if omitted:
        places = places[: _MOST_FRAMES // 2] + places[-_MOST_FRAMES // 2 :]
    owned = [_is_own(file) for file, _, _ in places]
    last_own = max((at for at, own in enumerate(owned) if own), default=-1)
    frames = tuple(
        Frame(file, line, function, own, _source(file, line) if at == last_own else ())
        for at, ((file, line, function), own) in enumerate(zip(places, owned, strict=True))
    )
    return frames, omitted


def _is_own(file: str) -> bool:
    if "/site-packages/" in file or "/dist-packages/" in file or file.startswith("<frozen"):
        return False
    return not file.startswith(_FOREIGN)


def _source(file: str, line: int) -> tuple[tuple[int, str], ...]:
    lines = linecache.getlines(file)
    first = max(1, line - _LINES_AROUND)
    return tuple(
        (number, lines[number - 1].rstrip("\n")) for number in range(first, min(len(lines), line + _LINES_AROUND) + 1)
    )
