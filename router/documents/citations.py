"""Whether what is cited stands in the source: quotations word by word, markers by number. Pure.

White space and the kinds of quotation marks, apostrophes and dashes don't count, nor does case; every word does.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Iterator

#: Between quotation marks of one kind, on one line or over a few; the apostrophe is none. A mark counts as one where a
#: quotation can begin and end: not within a word, as in 5'10".
_QUOTED = re.compile(r'(?<![\w"])"([^"]+)"(?![\w"])|\u201c([^\u201c\u201d]+)\u201d|\u00ab([^\u00ab\u00bb]+)\u00bb')
_MARKER = re.compile(r"\[(\d+(?:\s*[,;]\s*\d+)*)\]")
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")
#: What an ellipsis stands for: a quotation may leave something out.
_LEFT_OUT = re.compile(r"\[?(?:\.{3,}|\u2026)\]?")
_ALIKE = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"})
#: Signs at the ends of a quotation belong to the sentence that quotes.
_AT_ENDS = frozenset(".,;:!?")


@dataclass(frozen=True, slots=True)
class Located:
    """Where a quotation stands in its source. ``exact``: word by word; else ``source[start:end]`` is the passage that
    is nearest to it, and ``likeness`` the share of the quotation's words that stand there, in whatever order."""

    quote: str
    start: int
    end: int
    exact: bool
    likeness: float


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int


class Source:
    """A text that is cited from, read once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._words = list(_words(text))
        self._said = [word.text for word in self._words]
        self._places: dict[str, list[int]] = {}
        for place, said in enumerate(self._said):
            self._places.setdefault(said, []).append(place)

    def locate(self, quote: str) -> Located:
        """Where a quotation stands, or what is nearest to it. With an ellipsis each part is to stand behind the one
        before it. A quotation without a word stands everywhere, and is located at the start."""
        spans: list[tuple[int, int]] = []
        behind = 0
        for part in _LEFT_OUT.split(quote):
            said = _stripped([word.text for word in _words(part)])
            if not said:
                continue
            place = self._exactly(said, behind)
            if place is None:
                return self._nearest(quote, said)
            spans.append((self._words[place].start, self._words[place + len(said) - 1].end))
            behind = place + len(said)
        return Located(quote, spans[0][0] if spans else 0, spans[-1][1] if spans else 0, True, 1.0)

    def _exactly(self, said: list[str], behind: int) -> int | None:
        rarest = min(range(len(said)), key=lambda number: len(self._places.get(said[number], ())))
        for at in self._places.get(said[rarest], ()):
            place = at - rarest
            if place >= behind and self._said[place : place + len(said)] == said:
                return place
        return None

    def _nearest(self, quote: str, said: list[str]) -> Located:
        """Of all passages as long as the quotation the one that shares most words with it: found in one pass."""
        length = min(len(said), len(self._said))
        if not length:
            return Located(quote, 0, 0, False, 0.0)
        wanted = Counter(said)
        within: Counter[str] = Counter()
        shared, best, place = 0, -1, 0
        for at, word in enumerate(self._said):
            shared += within[word] < wanted[word]
            within[word] += 1
            if at >= length:
                gone = self._said[at - length]
                within[gone] -= 1
                shared -= within[gone] < wanted[gone]
            if at >= length - 1 and shared > best:
                best, place = shared, at - length + 1
        last = place + length - 1
        return Located(quote, self._words[place].start, self._words[last].end, False, best / len(said))


def quotations(text: str) -> tuple[str, ...]:
    """The passages in quotation marks, in order: plain, curly and angled ones."""
    return tuple("".join(match.groups(default="")).strip() for match in _QUOTED.finditer(text))


def markers(text: str) -> tuple[int, ...]:
    """The numbers of the markers ``[3]`` and ``[1, 4]``, in order, each once."""
    numbers = (int(number) for match in _MARKER.finditer(text) for number in re.split(r"[,;]", match.group(1)))
    return tuple(dict.fromkeys(numbers))


def _words(text: str) -> Iterator[_Word]:
    for match in _WORD.finditer(text):
        yield _Word(match.group().translate(_ALIKE).casefold(), match.start(), match.end())


def _stripped(said: list[str]) -> list[str]:
    """Without the signs at its ends."""
    start, end = 0, len(said)
    while start < end and said[start] in _AT_ENDS:
        start += 1
    while end > start and said[end - 1] in _AT_ENDS:
        end -= 1
    return said[start:end]
