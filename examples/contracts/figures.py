"""What the reviews came to, held against what lawyers marked. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Iterable, Sequence

from contracts.cuad import CATEGORIES, Contract, agree
from contracts.pipeline import Clause, Review
from tracer.stats.intervals import Share, share


@dataclass(frozen=True, slots=True)
class Score:
    """``precision``: of the clauses that were found those that lawyers marked so; ``recall``: of the clauses that
    lawyers marked those of which something was found."""

    precision: Share
    recall: Share


def score(read: Sequence[tuple[Contract, Sequence[Clause]]], categories: Iterable[str] = CATEGORIES) -> Score:
    """Over all contracts, for these categories together."""
    right = found = seen = marked = 0
    for contract, clauses in read:
        for category in categories:
            spans = contract.spans[category]
            places = [(each.start, each.end) for each in clauses if each.category == category]
            found, marked = found + len(places), marked + len(spans)
            right += sum(any(agree(place, span) for span in spans) for place in places)
            seen += sum(any(agree(place, span) for place in places) for span in spans)
    return Score(share(right, found), share(seen, marked))


def laws(read: Sequence[tuple[Contract, Review]]) -> dict[str, Share]:
    """For each who named laws: how often it was the lawyers' answer."""
    told = [(each.law_by, same_law(each.law, contract.law)) for contract, each in read if each.law_by is not None]
    names = dict.fromkeys(name for name, _ in told)
    return {
        name: share(sum(right for by, right in told if by == name), sum(by == name for by, _ in told))
        for name in names
        if name is not None
    }


def same_law(said: str | None, gold: str) -> bool:
    """Whether both name the same place: lawyers write "New York", contracts "the State of New York"."""
    if not said or not gold:
        return not said and not gold
    short, long = sorted((said.casefold(), gold.casefold()), key=len)
    return short in long


def writers(reviews: Iterable[Review]) -> Counter[str]:
    """How many summaries each wrote."""
    return Counter(
        clause.said_by for read in reviews for clause in (*read.clauses, *read.dropped) if clause.said_by is not None
    )
