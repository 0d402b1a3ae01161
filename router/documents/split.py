"""A text in chunks of so many tokens, cut where its structure allows. Nothing is lost: ``source[start:end] == text``
for every chunk, and together the chunks cover the source. Pure, but for the tokenizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from router.documents.structure import Structure
from router.documents.tokens import count

#: Below it a chunk could be shorter than a character: one can have four tokens, and more in a tokenizer of one's own.
SMALLEST = 16


#: A piece of less than this part of a chunk is not left alone where a neighbour has room for it.
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Chunk:
    """``source[start:end]``, the ``number``-th piece (from 0); ``path`` are the headings above its start, the highest
    first."""

    number: int
    text: str
    start: int
    end: int
    path: tuple[str, ...]
    tokens: int

    @property
    def marker(self) -> str:
        """What an answer cites it by."""
        return f"[{self.number}]"


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    tokens: int


def split(text: str, *, max_tokens: int, overlap: int = 0, model: str | None = None) -> tuple[Chunk, ...]:
    """The chunks of a text, each of at most ``max_tokens``, as ``model`` counts them.

    It is cut at the strongest places there are: headings, then clauses, paragraphs, lines, sentences, words; and within
    a word only where the word alone is too long. What lies between two such places stays together. Each chunk but the
    first begins with up to ``overlap`` tokens of the one before it. An empty text has no chunks. Raises ValueError for
    a ``max_tokens`` below 16 or an ``overlap`` of half of it or more.
    """
    if max_tokens < SMALLEST:
        raise ValueError(f"max_tokens is {max_tokens}: a chunk needs at least {SMALLEST}")
    if not 0 <= overlap * 2 < max_tokens:
        raise ValueError(f"overlap is {overlap}: it must be less than half of max_tokens, {max_tokens}")
    if not text:
        return ()
    splitter = _Splitter(text, max_tokens, overlap, model)
    spans = splitter.spans(0, len(text), max_tokens - overlap)
    return splitter.chunks(spans)


class _Splitter:
    def __init__(self, text: str, max_tokens: int, overlap: int, model: str | None) -> None:
        self._text = text
        self._most = max_tokens
        self._overlap = overlap
        self._model = model
        self._structure = Structure(text)

    def spans(self, start: int, end: int, most: int) -> list[_Span]:
        """The text between two places, in spans that fit. What was cut further stays apart from its neighbours."""
        whole = self._span(start, end)
        if whole.tokens <= most or end - start == 1:
            return [whole]
        inside = self._structure.cuts(start, end) or ((start + end) // 2,)
        edges = [start, *inside, end]
        done: list[_Span] = []
        together: list[_Span] = []
        for left, right in pairwise(edges):
            unit = self._span(left, right)
            if unit.tokens <= most:
                together.append(unit)
                continue
            done += self._led(self._packed(together, most), left, right, most)
            together = []
        return self._settled(done + self._packed(together, most), most)

    def _led(self, before: list[_Span], start: int, end: int, most: int) -> list[_Span]:
        """What lies before, and then the spans of what is too long for one. A short piece before it, a heading mostly,
        is kept with its first span."""
        if not before or before[-1].tokens > most // _SHORT:
            return [*before, *self.spans(start, end, most)]
        first, *rest = self.spans(start, end, most - before[-1].tokens)
        together = self._span(before[-1].start, first.end)
        return [*before[:-1], *([together] if together.tokens <= most else [before[-1], first]), *rest]

    def _settled(self, spans: list[_Span], most: int) -> list[_Span]:
        """Without pieces too short to stand alone, where a neighbour has room: whichever comes first."""
        settled: list[_Span] = []
        for span in spans:
            before = settled[-1] if settled else None
            if before is not None and min(before.tokens, span.tokens) <= most // _SHORT:
                together = self._span(before.start, span.end)
                if together.tokens <= most:
                    settled[-1] = together
                    continue
            settled.append(span)
        return settled

    def _packed(self, units: list[_Span], most: int) -> list[_Span]:
        """Neighbours put together as long as they fit. The tokens of two texts don't add up exactly: what is put
        together is counted again."""
        packed: list[_Span] = []
        first = 0
        while first < len(units):
            last, total = first, units[first].tokens
            while last + 1 < len(units) and total + units[last + 1].tokens <= most:
                last += 1
                total += units[last].tokens
            span = units[first] if last == first else self._span(units[first].start, units[last].end)
            while span.tokens > most and last > first:
                last -= 1
                span = self._span(units[first].start, units[last].end)
            packed.append(span)
            first = last + 1
        return packed

    def chunks(self, spans: list[_Span]) -> tuple[Chunk, ...]:
        made: list[Chunk] = []
        for number, span in enumerate(spans):
            full = self._with_overlap(spans[number - 1], span) if number and self._overlap else span
            text = self._text[full.start : full.end]
            path = self._structure.path(span.start)
            made.append(Chunk(number, text, full.start, full.end, path, full.tokens))
        return tuple(made)

    def _with_overlap(self, before: _Span, span: _Span) -> _Span:
        """From the strongest place in what lies before it that is near enough; as it is where there is none."""
        start, end = before.start, before.end
        while cuts := self._structure.cuts(start, end):
            near = next((cut for cut in cuts if count(self._text[cut:end], self._model) <= self._overlap), None)
            if near is not None:
                full = self._span(near, span.end)
                return full if full.tokens <= self._most else span
            start = cuts[-1]
        return span

    def _span(self, start: int, end: int) -> _Span:
        return _Span(start, end, count(self._text[start:end], self._model))
