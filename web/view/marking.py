"""The words that were searched for, marked in a text, and the part of a long text in which they stand. Pure."""

from __future__ import annotations

import re
from typing import Sequence

from web.view.contexts_of_lists import Piece
from web.view.text import one_line

_BEFORE = 16


def marked(text: str, words: Sequence[str]) -> tuple[Piece, ...]:
    """The text in pieces, of which those are marked that are one of the words, whatever their case."""
    wanted = _any_of(words)
    if wanted is None or not text:
        return (Piece(text),) if text else ()
    pieces, at = [], 0
    for match in wanted.finditer(text):
        pieces += [Piece(text[at : match.start()]), Piece(match.group(), marked=True)]
        at = match.end()
    return tuple(piece for piece in (*pieces, Piece(text[at:])) if piece.text)


def says(text: str, words: Sequence[str]) -> bool:
    """Whether one of the words stands in the text."""
    wanted = _any_of(words)
    return wanted is not None and wanted.search(text) is not None


def around(text: str, words: Sequence[str], *, length: int = 110) -> tuple[Piece, ...]:
    """One line of at most ``length`` characters around the first of the words, marked."""
    wanted = _any_of(words)
    match = wanted.search(text) if wanted is not None else None
    start = max(0, match.start() - _BEFORE) if match else 0
    if start:
        space = text.find(" ", start)
        start = space + 1 if match is not None and 0 <= space < match.start() else start
    return marked(("…" if start else "") + one_line(text[start:], length), words)


def _any_of(words: Sequence[str]) -> re.Pattern[str] | None:
    # the longest first, so that of two words that begin alike the whole one is marked
    some = sorted({word for word in words if word}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, some)), re.IGNORECASE) if some else None
