"""Recorded text made safe to look at: it can neither act as markup nor play tricks with the reader's eye.

Escaping is the template engine's part. Here characters that are invisible, that reorder their neighbours or that a
terminal would obey are replaced by a visible mark, so that what a page shows is what was recorded.
"""

from __future__ import annotations

import re

#: What a page shows of one string; the payload page and the raw download hold the rest.
STRING_LIMIT = 4_000

# Controls except tab and newline, bidirectional controls, invisible operators, tag characters, lone surrogates.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


_NAMES = {0x00: "NUL", 0x07: "BEL", 0x08: "BS", 0x0D: "CR", 0x1B: "ESC", 0x7F: "DEL", 0xFEFF: "BOM"}


def _mark(match: re.Match[str]) -> str:
    point = ord(match.group())
    return f"\u27e8{_NAMES.get(point, f'U+{point:04X}')}\u27e9"


def visible(text: str) -> str:
    """The same text with every hidden, reordering or controlling character replaced by a mark one can see."""
    return _HIDDEN.sub(_mark, text.replace("\r\n", "\n"))


def one_line(text: str, limit: int = 200) -> str:
    """The first ``limit`` characters on one line, whitespace folded, with an ellipsis where more was there."""
    head = " ".join(text[: limit * 4].split())
    if len(head) > limit:
        return head[: limit - 1].rstrip() + "…"
    return head + "…" if len(text) > limit * 4 else head


def sentence(text: str) -> str:
    """An error's text as the beginning of a sentence; a name that it begins with stays as it is."""
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first.isalpha() else text


def clip(text: str, limit: int = STRING_LIMIT) -> tuple[str, int]:
    """The head of a text and how many characters were left out."""
    return (text, 0) if len(text) <= limit else (text[:limit], len(text) - limit)
