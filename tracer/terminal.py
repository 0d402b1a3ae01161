"""Recorded text may hold anything, and a terminal obeys some of it: colours, titles, cursor moves, reversed reading."""

from __future__ import annotations

import re

_NEWLINE, _TAB = 10, 9
#: The C0 and C1 controls, the marks and overrides of reading direction, and half characters that no encoding has.
_OBEYED = (
    *range(32),
    *range(127, 160),
    0x061C,
    0x200E,
    0x200F,
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)
_REMOVED = {code: None for code in (*_OBEYED, *range(0xD800, 0xE000)) if code not in (_NEWLINE, _TAB)}
_IN_JSON = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def inert(text: str) -> str:
    """The text without anything that a terminal would obey; newlines and tabs stay."""
    return text.translate(_REMOVED)


def inert_json(text: str) -> str:
    """JSON text that says the same and holds nothing that a terminal would obey."""
    return _IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
