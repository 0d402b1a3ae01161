"""Rules about citations: what an answer quotes or points at must be in the source. Pure."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from router.documents.citations import Located, Source, markers, quotations


@dataclass(frozen=True, slots=True)
class Quotes:
    """Every passage in quotation marks of at least ``words`` words stands in ``source``, word by word; white space, the
    kind of the marks and case don't count. The offence says where the nearest passage is, and what it says.

    With ``required`` there is at least one such passage.
    """

    source: str
    words: int = 3
    required: bool = False
    name: str = "quotations"

    def offence(self, text: str) -> str | None:
        passages = [passage for passage in quotations(text) if len(passage.split()) >= self.words]
        if not passages:
            return f"nothing of at least {self.words} words is quoted" if self.required else None
        source = _source(self.source)
        wrong = [located for passage in passages if not (located := source.locate(passage)).exact]
        return "; ".join(_told(located, self.source) for located in wrong) or None


@dataclass(frozen=True, slots=True)
class Verbatim:
    """The whole text stands in ``source``, word by word, as ``Quotes`` has it for what is in quotation marks: for what
    is itself a citation, such as one field of an answer. A text without a word is none."""

    source: str
    name: str = "verbatim"

    def offence(self, text: str) -> str | None:
        if not any(sign.isalnum() for sign in text):
            return "nothing is cited"
        located = _source(self.source).locate(text)
        return None if located.exact else _told(located, self.source)


@dataclass(frozen=True, slots=True)
class Markers:
    """Every marker, as ``[3]`` or ``[1, 4]``, is one of ``known``: the numbers of the chunks that were shown.

    With ``required`` there is at least one.
    """

    known: tuple[int, ...]
    required: bool = False
    name: str = "markers"

    def offence(self, text: str) -> str | None:
        numbers = markers(text)
        if not numbers:
            return "nothing is cited" if self.required else None
        unknown = [number for number in numbers if number not in self.known]
        return f"no source has the number {', '.join(map(str, unknown))}" if unknown else None


@functools.lru_cache(maxsize=8)
def _source(text: str) -> Source:
    """A source is read once for the answers about it that follow each other."""
    return Source(text)


def _told(located: Located, source: str) -> str:
    told = f'"{_short(located.quote)}" is not in the source'
    if located.likeness == 0.0:
        return told
    passage = _short(" ".join(source[located.start : located.end].split()))
    return f'{told}; nearest, at characters {located.start} to {located.end}: "{passage}"'


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:119] + "…"
