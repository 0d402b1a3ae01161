"""What is certain about an answer that was to be JSON, put right; what is not is reported and left alone. Pure.

Certain: a byte order mark, a code fence, words around the one JSON value there is, commas before a closing bracket,
Python's literals, single and curly quotes, control characters in strings. Not certain, and never touched: an answer
that was cut off, two values, a quote inside a string that is not escaped.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from router.guardrails.lenient import NotRead, Reader

#: A text with more brackets that begin nothing is no answer in JSON, and reading on would take too long.
_MOST_STRAY = 100
_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Repaired:
    """``text`` is JSON, made so by what ``done`` lists; or the text as it was, and ``left`` says why it stays so."""

    text: str
    done: tuple[str, ...] = ()
    left: str | None = None


def repaired(text: str) -> Repaired:
    """The JSON in a text. What parses is never changed."""
    if _parses(text):
        return Repaired(text)
    done: list[str] = []
    rest = text
    if rest.startswith("\ufeff"):
        rest = rest.removeprefix("\ufeff")
        done.append("a byte order mark")
    fenced = _FENCE.findall(rest)
    if len(fenced) == 1 and "{" not in _FENCE.sub("", rest):
        rest = fenced[0]
        done.append("a code fence")
    try:
        found, around = _only_value(rest)
    except NotRead as problem:
        return Repaired(text, left=_why(problem))
    if around:
        done.append("words around it")
    reader = Reader(found)
    written, _ = reader.value(0)
    done.extend(reader.done)
    return Repaired(written, tuple(done)) if _parses(written) else Repaired(text, left="no JSON that can be written")


def _only_value(text: str) -> tuple[str, bool]:
    """The one object or list in a text, and whether words stand around it. Raises NotRead where there is none, more
    than one, or one that can't be read."""
    stripped = text.strip()
    found: list[str] = []
    at, stray = 0, 0
    while (start := _next_bracket(stripped, at)) is not None:
        try:
            _, at = Reader(stripped).value(start)
        except NotRead as problem:
            stray += 1
            if problem.begun or start == 0 or stray > _MOST_STRAY:
                raise
            at = start + 1  # a bracket of a sentence
            continue
        whole = start == 0 and at == len(stripped)
        if whole or "{" in stripped[start:at]:  # "[1]" in a sentence is no answer
            found.append(stripped[start:at])
    if len(found) != 1:
        raise NotRead(f"{len(found) or 'no'} JSON values, not one,", 0)
    return found[0], found[0] != stripped


def _next_bracket(text: str, at: int) -> int | None:
    places = [place for sign in "{[" if (place := text.find(sign, at)) >= 0]
    return min(places, default=None)


def _why(problem: NotRead) -> str:
    if problem.open_brackets:
        return f"it ends before it is closed ({problem.open_brackets} brackets are open): what is missing is not known"
    return str(problem)


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
