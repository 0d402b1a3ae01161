"""What is to be done with the chunks of a document, as a generator that calls nothing: it yields batches whose members
may run at once, and is sent what came of each. Pure, but for the tokenizer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generator, Literal, Sequence

from router.documents.split import Chunk
from router.documents.tokens import count
from router.errors import ChunkFailed, TooLongToReduce

#: What becomes of a document when one of its chunks can't be worked on.
OnFailure = Literal["raise", "skip"]


@dataclass(frozen=True, slots=True)
class Cite:
    """Where something comes from: a chunk's number, its place in the source, and the headings above it."""

    number: int
    start: int
    end: int
    path: tuple[str, ...] = ()

    @classmethod
    def of(cls, chunk: Chunk) -> Cite:
        return cls(chunk.number, chunk.start, chunk.end, chunk.path)


@dataclass(frozen=True, slots=True)
class Part:
    """What map or reduce gave, and the chunks it comes from, in order."""

    value: Any
    cites: tuple[Cite, ...]

    @property
    def text(self) -> str:
        """The value as a prompt would show it: a text as it is, all else as JSON, dataclasses and pydantic's models by
        their fields."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False, default=_plain)

    @property
    def marker(self) -> str:
        """What an answer cites it by: ``[3]``, or ``[3, 4]`` for what comes from several chunks."""
        return f"[{', '.join(str(cite.number) for cite in self.cites)}]"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A chunk that could not be worked on, and why."""

    cite: Cite
    error: str


@dataclass(frozen=True, slots=True)
class Reduced:
    """What a document came to. ``parts`` is what map gave for each chunk, ``skipped`` are the chunks that are not in
    it, and ``levels`` says how often was reduced until all fitted."""

    value: Any
    parts: tuple[Part, ...]
    skipped: tuple[Skipped, ...] = ()
    levels: int = 1

    @property
    def cites(self) -> tuple[Cite, ...]:
        """The chunks that the value comes from."""
        return tuple(cite for part in self.parts for cite in part.cites)

    def cited(self, numbers: Sequence[int]) -> tuple[Cite, ...]:
        """The chunks of these numbers (``router.markers`` reads them out of a text); numbers of none are left out."""
        return tuple(cite for cite in self.cites if cite.number in set(numbers))


@dataclass(frozen=True, slots=True)
class Batch:
    """Call map with each of these chunks, or reduce with each of these groups of parts. Where one fails, the rest of
    the batch is of use only if ``goes_on``."""

    what: Literal["map", "reduce"]
    items: tuple[Any, ...]
    goes_on: bool = False


class NeverRan(Exception):
    """Another member of the batch failed before this one began, or before it had ended."""


#: What came of one member of a batch: a value, or the error it raised.
Outcome = tuple[Any, Exception | None]


def reducing(
    chunks: Sequence[Chunk], *, window: int, model: str | None, on_failure: OnFailure
) -> Generator[Batch, list[Outcome], Reduced]:
    """Sent one outcome for each member of a batch, in order. Raises ChunkFailed, TooLongToReduce, and what reduce
    raised."""
    outcomes = yield Batch("map", tuple(chunks), goes_on=on_failure == "skip")
    parts, skipped = _mapped(chunks, outcomes, on_failure)
    mapped, level = parts, 0
    while True:
        level += 1
        groups = _grouped(parts, window, model)
        last = len(groups) == 1
        outcomes = yield Batch("reduce", tuple(group for group in groups if last or len(group) > 1))
        _raise_first(outcomes)
        values = (value for value, _ in outcomes)
        parts = tuple(_joined(group, next(values)) if last or len(group) > 1 else group[0] for group in groups)
        if len(parts) == 1:
            return Reduced(parts[0].value, mapped, skipped, level)


def _mapped(
    chunks: Sequence[Chunk], outcomes: list[Outcome], on_failure: OnFailure
) -> tuple[tuple[Part, ...], tuple[Skipped, ...]]:
    parts: list[Part] = []
    failed: list[tuple[Chunk, Exception]] = []
    for chunk, (value, error) in zip(chunks, outcomes, strict=True):
        if error is None:
            parts.append(Part(value, (Cite.of(chunk),)))
        else:
            failed.append((chunk, error))
    if failed and (on_failure == "raise" or not parts):
        chunk, error = next(each for each in failed if not isinstance(each[1], NeverRan))
        raise ChunkFailed(chunk.number, chunk.start, chunk.end, error) from error
    told = (Skipped(Cite.of(chunk), f"{type(error).__name__}: {error}") for chunk, error in failed)
    return tuple(parts), tuple(told)


def _grouped(parts: tuple[Part, ...], window: int, model: str | None) -> list[tuple[Part, ...]]:
    """Neighbours that fit into the window together. Raises TooLongToReduce where that brings it no further."""
    tokens = [count(part.text, model) for part in parts]
    groups: list[list[Part]] = []
    room = 0
    for part, size in zip(parts, tokens, strict=True):
        if groups and size <= room:
            groups[-1].append(part)
        else:
            groups.append([part])
            room = window
        room -= size
    alone = len(groups) == len(parts)
    if alone and (len(parts) > 1 or tokens[0] > window):
        raise TooLongToReduce(tokens, window)
    return [tuple(group) for group in groups]


def _raise_first(outcomes: list[Outcome]) -> None:
    for _, error in outcomes:
        if error is not None and not isinstance(error, NeverRan):
            raise error


def _plain(value: Any) -> Any:
    """What JSON has no form for, by its fields where it has some."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if callable(dump) else str(value)


def _joined(group: tuple[Part, ...], value: Any) -> Part:
    return Part(value, tuple(cite for part in group for cite in part.cites))
