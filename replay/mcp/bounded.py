"""Answers of bounded size. What is left out is said, with the way to see it. Pure.

Who reads them obeys text. So recorded text is shown with nothing hidden in it: a character that can't be seen (a
control, a mark of direction or of no width, a tag) stands as its escape.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Sequence

from tracer.plain import plain

#: Characters of one answer.
MOST = 12_000
#: Characters of a text within a line.
LINE = 200


def visible(text: str) -> str:
    """The text with every character that can't be seen as its escape; newlines and tabs stay."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(one if _is_seen(one) else _escaped(one) for one in text)


def _is_seen(character: str) -> bool:
    # The plane of tags and selectors is printable by name only: nothing in it has a shape.
    return (character.isprintable() and not "\U000e0000" <= character <= "\U000effff") or character in "\n\t"


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def line(text: str, most: int = LINE) -> str:
    """Recorded text on one line, cut to about ``most`` characters."""
    told = visible(" ".join(text[: 4 * most].split()))
    return told if len(told) <= most and len(text) <= 4 * most else f"{told[: most - 1]}…"


def as_json(value: Any) -> str:
    """Any recorded value as JSON."""
    return visible(json.dumps(plain(value), ensure_ascii=False, indent=1))


def fitted(lines: Sequence[str], rest: Callable[[int], str], most: int = MOST) -> str:
    """As many of the lines as there is room for. Where some are left out, ``rest`` says so, given how many stand."""
    room = most
    for number, each in enumerate(lines):
        room -= len(each) + 1
        if room < 0 and number:
            return "\n".join([*lines[:number], rest(number)])
    return cut("\n".join(lines), most)


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} characters left out)"


def piece(text: str, offset: int, most: int, more: Callable[[int], str]) -> str:
    """The text from ``offset`` on; where it goes on behind, ``more`` says how to read on, given the next offset."""
    end = offset + most
    shown = text[offset:end]
    if offset == 0 and end >= len(text):
        return shown
    where = f"(characters {offset:,} to {min(end, len(text)):,} of {len(text):,}"
    return f"{shown}\n{where}{'; ' + more(end) if end < len(text) else ''})"
