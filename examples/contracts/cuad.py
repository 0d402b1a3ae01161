"""Contracts with the clauses that lawyers marked (data/SOURCE.md), cut into sentences. Pure, but for the file."""

from __future__ import annotations

import functools
import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Mapping

DATA = Path(__file__).resolve().parent / "data" / "contracts.jsonl.gz"
#: The kinds of clause that are looked for.
CATEGORIES = (
    "Governing Law",
    "Anti-Assignment",
    "Cap On Liability",
    "Expiration Date",
    "Renewal Term",
    "License Grant",
    "Termination For Convenience",
    "Exclusivity",
)
#: Each contract is read by models that were trained on the other two thirds of the contracts.
FOLDS = 3
#: A sentence ends at a line, at the three spaces that the texts have where a paragraph ended, and at a full stop.
_ENDS = re.compile(r"\s*\n\s*|\s{3,}|(?<=[.;])\s+(?=[A-Z(\"\u201c\d])")
#: What is shorter (a heading, "1.2") is read together with what follows it.
_SHORTEST = 25

#: Where something stands in a text.
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Contract:
    """``spans`` are what lawyers marked, by category; ``law`` is their answer to which law governs, or empty."""

    id: str
    title: str
    text: str
    law: str
    spans: Mapping[str, tuple[Span, ...]]


@functools.cache
def contracts() -> tuple[Contract, ...]:
    """All of them, in the order of the file."""
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        return tuple(_contract(json.loads(line)) for line in lines)


def _contract(row: Mapping[str, Any]) -> Contract:
    spans = {category: tuple((start, end) for start, end in row["spans"][category]) for category in CATEGORIES}
    return Contract(row["id"], row["title"], row["text"], row["law"], spans)


def fold_of(contract: str) -> int | None:
    """Which third of the contracts it belongs to, by its id; None for a contract that is not one of them."""
    place = next((number for number, each in enumerate(contracts()) if each.id == contract), None)
    return None if place is None else place % FOLDS


def others(fold: int | None) -> tuple[Contract, ...]:
    """The contracts that a model for this fold may be trained on: those of the others, and all for a new contract."""
    return tuple(each for number, each in enumerate(contracts()) if fold is None or number % FOLDS != fold)


def sentences(text: str) -> list[Span]:
    """Where each sentence stands, in order."""
    spans: list[Span] = []
    start = 0
    for end in _ENDS.finditer(text):
        if end.start() == start:
            start = end.end()
        elif end.start() - start >= _SHORTEST:
            spans.append((start, end.start()))
            start = end.end()
    return [*spans, (start, len(text))] if start < len(text) else spans


def agree(one: Span, other: Span) -> bool:
    """Whether two passages are the same for our purpose: they share at least half of the shorter one."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared > 0 and 2 * shared >= min(one[1] - one[0], other[1] - other[0])


def marked(contract: Contract, span: Span) -> frozenset[str]:
    """The categories that lawyers marked a passage with."""
    return frozenset(name for name, spans in contract.spans.items() if any(agree(span, each) for each in spans))


def texts(given: Iterable[Contract]) -> list[tuple[str, frozenset[str]]]:
    """Every sentence of these contracts with its categories."""
    return [(each.text[slice(*span)], marked(each, span)) for each in given for span in sentences(each.text)]
