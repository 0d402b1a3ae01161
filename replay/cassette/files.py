"""Cassette files: one document as laid-out JSON, or JSON Lines with a line for the head of each trace and one for each
of its steps.

JSON, because everyone's tools show, merge and check it, because the standard library reads it without running anything,
and because it says each value in one way only; YAML would spare a few quotes and take "no" for False.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping

from replay.cassette.document import FORMAT
from replay.cassette.layout import dumps
from replay.errors import ReplayError


class CassetteError(ReplayError):
    """A file that is no cassette, a damaged one, or one of a newer playhead. Names the file, the line, the way out."""


@dataclass(frozen=True, slots=True)
class Source:
    """A document, and where it was read from. ``lines`` has the line of each step where that is known."""

    file: str
    document: Mapping[str, Any]
    lines: tuple[int, ...] = ()

    def wrong(self, what: str, *, step: int | None = None, way_out: str = "") -> CassetteError:
        """The error that says what is wrong with it, and where."""
        line = f", line {self.lines[step]}" if step is not None and step < len(self.lines) else ""
        out = way_out or "take the file back from version control, or record it again (pytest --replay-mode all)"
        return CassetteError(f"{self.file}{line}: {what}; {out}")


def cassette_text(document: Mapping[str, Any]) -> str:
    return dumps(document)


def jsonl_text(document: Mapping[str, Any]) -> str:
    head = {name: value for name, value in document.items() if name != "steps"}
    return "".join(json.dumps(part) + "\n" for part in (head, *document["steps"]))


def write(path: Path, text: str) -> bool:
    """Write a file whole or not at all. False where it holds just that already."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.read_text(encoding="utf-8") == text:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return True


def read(path: Path) -> list[Source]:
    """The documents in a file, in order; a cassette holds one. Raises CassetteError."""
    shown = _shown(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CassetteError(f"{shown}: this is no text: a cassette is what playhead export writes") from None
    except OSError as error:
        raise CassetteError(f"{shown}: {error.strerror or error}; playhead export TRACE -o FILE makes one") from None
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        is_lines = isinstance(error, json.JSONDecodeError) and error.msg == "Extra data"
        if not is_lines:
            raise _torn(shown, error) from None
        return [_checked(each) for each in _from_lines(shown, text)]
    # The head of a trace without steps is a whole document of JSON Lines.
    return [_checked(Source(shown, {"steps": [], **found} if isinstance(found, dict) else {}, _lines_of(text, found)))]


def _shown(path: Path) -> str:
    """As short as it can be said from here."""
    with contextlib.suppress(ValueError, OSError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


def _torn(shown: str, error: Exception) -> CassetteError:
    where = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else "nested too deep"
    return CassetteError(
        f"{shown}, {where}: this is no JSON; if a merge left its marks, settle it, or record the cassette again "
        "(pytest --replay-mode all)"
    )


def _from_lines(shown: str, text: str) -> Iterator[Source]:
    head: dict[str, Any] | None = None
    steps: list[Any] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            raise CassetteError(f"{shown}, line {number}: this is no JSON; export the trace again") from None
        if isinstance(said, dict) and "playhead" in said:
            if head is not None:
                yield Source(shown, {**head, "steps": steps}, tuple(lines))
            head, steps, lines = said, [], []
        elif head is None:
            raise CassetteError(f"{shown}, line {number}: no head of a trace stands before this step; {_NOT_OURS}")
        else:
            steps.append(said)
            lines.append(number)
    if head is not None:
        yield Source(shown, {**head, "steps": steps}, tuple(lines))


_NOT_OURS = "a cassette is what playhead export writes"


def _checked(source: Source) -> Source:
    said = source.document
    if said.get("playhead") != "cassette" or type(said.get("format")) is not int:
        raise CassetteError(f"{source.file}: this is no cassette; {_NOT_OURS}")
    if said["format"] > FORMAT:
        raise CassetteError(
            f"{source.file}: a newer playhead ({said.get('written_by', 'unknown')}) wrote this, in format "
            f"{said['format']}; this one reads up to {FORMAT}: pip install --upgrade playhead"
        )
    if not isinstance(said.get("steps"), list):
        raise source.wrong("steps is no list")
    return source


def _lines_of(text: str, found: Any) -> tuple[int, ...]:
    """The line of each step, found again by its path; as far as the file is laid out as we do."""
    steps = found.get("steps") if isinstance(found, dict) else None
    lines: list[int] = []
    at = 0
    for step in steps if isinstance(steps, list) else ():
        path = step.get("path") if isinstance(step, dict) else None
        at = text.find(f'"path": {dumps(path)[:-1]}', at) if isinstance(path, str) else -1
        if at < 0:
            break
        lines.append(text.count("\n", 0, at) + 1)
        at += 1
    return tuple(lines)
