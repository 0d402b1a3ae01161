"""How much room a text takes where no font can be asked, and texts cut into lines. Pure."""

from __future__ import annotations

import unicodedata
from typing import Callable

from tracer.terminal import inert

_NARROW = frozenset("iljtfrI.,:;'|!()[]{} -\"")
_BROAD = frozenset("mwMW@%&")
#: Combining marks, and what joins others: they take no room.
_NOTHING = frozenset({"Mn", "Me", "Cf"})


def cells(text: str) -> int:
    """The columns that a text takes in a terminal."""
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if character < "\x7f":
        return 1
    if unicodedata.category(character) in _NOTHING:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def pixels(text: str, size: int) -> int:
    """The width of a text in a sans-serif face, rather too much than too little: ``size`` is the font's, in pixels."""
    return round(sum(_ems(character) for character in text) * size) + 1


def _ems(character: str) -> float:
    if character in _NARROW:
        return 0.42
    if character in _BROAD:
        return 0.98
    if _cells(character) != 1:
        return _cells(character) * 0.55
    return 0.76 if character.isupper() else 0.64


def wrapped(text: str, width: int, measure: Callable[[str], int], *, most: int) -> tuple[str, ...]:
    """A text in at most ``most`` lines of ``width``, broken between words where it can; what is too long ends in an
    ellipsis. White space is one blank, and nothing is left that a reader obeys instead of showing."""
    lines: list[str] = []
    line = ""
    for word in " ".join(inert(text).split()).split(" "):
        longer = f"{line} {word}" if line else word
        if line and measure(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    lines.append(line)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return tuple(_cut(each, width, measure) for each in lines)


def _cut(line: str, width: int, measure: Callable[[str], int]) -> str:
    if measure(line) <= width:
        return line
    while line and measure(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…"
