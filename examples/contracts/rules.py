"""What an answer about a contract must hold to, beside the rules that the router brings. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from router import Verbatim

#: Numbers as figures, and names: words that begin with a capital, but not at the beginning of a sentence.
_FACTS = re.compile(r"\d[\d,.]*\d|\d|(?<=[\w,;] )[A-Z][a-z]{2,}")
#: Words that carry meaning, by their first letters: "terminates" and "termination" count as one.
_WORDS = re.compile(r"[a-z]{5,}")
_STEM = 5
#: Every summary may say what it is about.
_ALWAYS = frozenset({"claus", "contr", "agree", "party", "parti", "means", "state"})


@dataclass(frozen=True, slots=True)
class NothingAdded:
    """Every number and every name of a summary stands in what it is of."""

    source: str
    name: str = "nothing added"

    def offence(self, text: str) -> str | None:
        known = self.source.casefold()
        added = [fact for fact in _FACTS.findall(text) if fact.casefold() not in known]
        return f"{', '.join(dict.fromkeys(added))}: not in the clause" if added else None


@dataclass(frozen=True, slots=True)
class OwnWords:
    """At least ``at_least`` of the words of a summary that carry meaning stand in what it is of, in some form. One that
    says nothing but "this clause of a contract" has none."""

    source: str
    at_least: float = 0.5
    name: str = "own words"

    def offence(self, text: str) -> str | None:
        known = _stems(self.source)
        said = _stems(text) - _ALWAYS
        if not said:
            return "it says nothing of its own"
        share = len(said & known) / len(said)
        return None if share >= self.at_least else f"only {share:.0%} of its words are the clause's"


@dataclass(frozen=True, slots=True)
class LawIsCited:
    """The law that a JSON answer names stands in the clause, word by word. None is always right to say."""

    clause: str
    name: str = "law is cited"

    def offence(self, text: str) -> str | None:
        law = json.loads(text)["governing_law"]
        return None if law is None else Verbatim(self.clause).offence(law)


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in _WORDS.findall(text.casefold())}
