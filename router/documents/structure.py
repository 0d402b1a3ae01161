"""Where a text may be cut, from strong to weak: headings, clauses, paragraphs, lines, sentences, words. Pure.

A cut is a position: the text behind it begins something. The lower its grade, the stronger it is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Iterator

#: Headings have the grades 1 to 7: their depth.
_DEEPEST = 7
LETTERED, PARAGRAPH, LINE, SENTENCE, WORD = 8, 9, 10, 11, 12

_MARKDOWN = re.compile(r"^(#{1,6})[ \t]+(\S[^\n]*)$", re.MULTILINE)
_NAMED = re.compile(
    r"^[ \t]*((?:ARTICLE|CHAPTER|PART|TITLE|SCHEDULE|EXHIBIT|APPENDIX|ANNEX|SECTION|CLAUSE)[ \t]+"
    r"(?:(\d+(?:\.\d+)*)|[IVXLC]+|[A-Z])\b[^\n]*)$",
    re.MULTILINE | re.IGNORECASE,
)
_NUMBERED = re.compile(r"^[ \t]*((\d{1,3}(?:\.\d{1,3})*)[.)]?[ \t]+[A-Z\"\u201c(][^\n]*)$", re.MULTILINE)
_CAPITALS = re.compile(r"^[ \t]*([A-Z][A-Z0-9 ,&'\u2019()./-]{4,80})[ \t]*$", re.MULTILINE)
_LETTERED = re.compile(r"^[ \t]*(?:\((?:[a-z]{1,4}|[A-Z]|\d{1,2})\)|[-*\u2022\u00b7])[ \t]+", re.MULTILINE)
_WEAK = {
    PARAGRAPH: re.compile(r"\n[ \t\r]*\n\s*"),
    LINE: re.compile(r"\n"),
    SENTENCE: re.compile(r"[.!?;:][\"'\u201d\u2019)\]]*\s+|[\u3002\uff01\uff1f]"),
    WORD: re.compile(r"(?<=\S)(?=\s)"),  # before the space, as tokenizers have it
}
_TITLE = 60
#: "ARTICLE IV.", "Section 4.2", "1.1": what a title is numbered by.
_DESIGNATION = re.compile(r"(?:[A-Za-z]+ )?(?:\d[\d.]*|[IVXLC]+|[A-Z])[.):]?(?= |$)")


@dataclass(frozen=True, slots=True)
class Heading:
    """A line that names what follows it. ``depth`` 1 is the highest."""

    at: int
    depth: int
    title: str


class Structure:
    """The headings of a text, and its cuts."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.headings = tuple(_headings(text))
        self._paths = list(_paths(self.headings))
        self._starts = [heading.at for heading in self.headings]
        lettered = ((match.start(), LETTERED) for match in _LETTERED.finditer(text))
        graded = dict([*lettered, *((heading.at, heading.depth) for heading in self.headings)])
        self._strong = sorted(graded.items())
        self._strong_at = [at for at, _ in self._strong]

    def path(self, at: int) -> tuple[str, ...]:
        """The headings that a position lies under, the highest first."""
        number = bisect_right(self._starts, at)
        return self._paths[number - 1] if number else ()

    def cuts(self, start: int, end: int) -> tuple[int, ...]:
        """The strongest cuts there are inside of ``start`` and ``end``; none within a single word."""
        first, last = bisect_right(self._strong_at, start), bisect_right(self._strong_at, end - 1)
        strong = self._strong[first:last]
        if strong:
            strongest = min(grade for _, grade in strong)
            return tuple(at for at, grade in strong if grade == strongest)
        for pattern in _WEAK.values():
            found = (match.end() for match in pattern.finditer(self._text, start, end))
            if cuts := tuple(at for at in found if start < at < end):
                return cuts
        return ()


def _headings(text: str) -> Iterator[Heading]:
    """In order; a line is one heading at most."""
    found: dict[int, Heading] = {}
    for match in _CAPITALS.finditer(text):
        found[match.start()] = Heading(match.start(), 1, _short(match.group(1)))
    for match in _NUMBERED.finditer(text):
        depth = 2 + match.group(2).count(".")
        found[match.start()] = Heading(match.start(), min(depth, _DEEPEST), _short(match.group(1)))
    for match in _NAMED.finditer(text):
        if len(match.group(1)) > 2 * _TITLE and not match.group(1)[:4].isupper():
            continue  # a sentence that begins with "Section 4"
        depth = 1 if match.group(2) is None else 1 + match.group(2).count(".")
        found[match.start()] = Heading(match.start(), min(depth, _DEEPEST), _short(match.group(1)))
    for match in _MARKDOWN.finditer(text):
        found[match.start()] = Heading(match.start(), len(match.group(1)), _short(match.group(2)))
    for at in sorted(found):
        yield found[at]


def _paths(headings: tuple[Heading, ...]) -> Iterator[tuple[str, ...]]:
    above: list[Heading] = []
    for heading in headings:
        while above and above[-1].depth >= heading.depth:
            above.pop()
        above.append(heading)
        yield tuple(each.title for each in above)


def _short(line: str) -> str:
    """What of a line is its title: up to the end of a sentence, and not much."""
    line = " ".join(line.split())
    designation = _DESIGNATION.match(line)
    at = designation.end() if designation else 0
    title = line[:at] + re.split(r"[.:](?:\s|$)", line[at:], maxsplit=1)[0]
    title = title.rstrip(" .:")
    return title if len(title) <= _TITLE else title[: _TITLE - 1].rstrip() + "…"
