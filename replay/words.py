"""Two texts compared word by word. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
#: Above this many words two texts are not compared word by word, and below this likeness they are simply two texts.
_MOST_WORDS = 1_500
_ALIKE = 0.35


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text; ``changed`` where the other text has something else there."""

    text: str
    changed: bool


def spans(before: str, after: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """Both texts in pieces, the words that differ marked. The pieces joined are the texts."""
    one, other = _WORDS.findall(before), _WORDS.findall(after)
    if len(one) + len(other) <= _MOST_WORDS:
        matcher = SequenceMatcher(None, one, other, autojunk=False)
        if matcher.ratio() >= _ALIKE:
            codes = matcher.get_opcodes()
            return _pieces(one, [(i, j, tag != "equal") for tag, i, j, _, _ in codes]), _pieces(
                other, [(i, j, tag != "equal") for tag, _, _, i, j in codes]
            )
    return _pieces([before], [(0, 1, True)]), _pieces([after], [(0, 1, True)])


def around(pieces: tuple[Span, ...], most: int) -> tuple[Span, ...]:
    """The pieces in one line, cut so that what changed first is in sight: at most about ``most`` characters."""
    flat = [Span(re.sub(r"\s", " ", piece.text), piece.changed) for piece in pieces]
    start = next((at for at, piece in enumerate(flat) if piece.changed), 0)
    kept: list[Span] = []
    if start and (lead := flat[start - 1].text):
        room = max(1, most // 3)
        kept.append(Span(f"…{lead[-room:]}" if start > 1 or len(lead) > room else lead, changed=False))
    used = sum(len(piece.text) for piece in kept)
    for piece in flat[start:]:
        if used >= most:
            kept.append(Span("…", changed=False))
            break
        text = piece.text[: most - used]
        kept.append(Span(text + ("…" if len(text) < len(piece.text) else ""), piece.changed))
        used += len(piece.text)
    return tuple(piece for piece in kept if piece.text)


def _pieces(words: list[str], ranges: list[tuple[int, int, bool]]) -> tuple[Span, ...]:
    made = (Span("".join(words[start:end]), changed) for start, end, changed in ranges)
    return tuple(piece for piece in made if piece.text)
