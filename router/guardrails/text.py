"""Rules about any text: its length, and what must or must not be in it. Pure.

Patterns are Python's regular expressions, searched for in any case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from router.documents.tokens import counted


@dataclass(frozen=True, slots=True)
class Length:
    """The text has at least ``at_least`` and at most ``at_most`` characters, white space at its ends left out."""

    at_least: int = 0
    at_most: int | None = None
    name: str = "length"

    def offence(self, text: str) -> str | None:
        length = len(text.strip())
        if length < self.at_least:
            return f"{length} characters, fewer than {self.at_least}"
        if self.at_most is not None and length > self.at_most:
            return f"{length} characters, more than {self.at_most}"
        return None


@dataclass(frozen=True, slots=True)
class TokenLimit:
    """The text has at most ``at_most`` tokens, as ``model`` counts them (``router.tokens`` says how exactly)."""

    at_most: int
    model: str | None = None
    name: str = "token limit"

    def offence(self, text: str) -> str | None:
        if len(text.encode(errors="surrogatepass")) <= self.at_most:  # a token is at least a byte: nothing to count
            return None
        found = counted(text, self.model)
        return f"{found} tokens, more than {self.at_most}" if found.tokens > self.at_most else None


@dataclass(frozen=True, slots=True)
class Bans:
    """None of these words or phrases occurs, as whole words and in any case."""

    phrases: tuple[str, ...]
    name: str = "banned topic"

    def offence(self, text: str) -> str | None:
        if not self.phrases:
            return None
        words = "|".join(re.escape(phrase) for phrase in self.phrases)
        return found(rf"(?<!\w)(?:{words})(?!\w)", text)


@dataclass(frozen=True, slots=True)
class Forbids:
    """None of these patterns is found. The offence is what was found, as it stands."""

    patterns: tuple[str, ...]
    name: str = "forbidden pattern"

    def __post_init__(self) -> None:
        compiles(self.name, *self.patterns)

    def offence(self, text: str) -> str | None:
        return next((hit for pattern in self.patterns if (hit := found(pattern, text)) is not None), None)


@dataclass(frozen=True, slots=True)
class Matches:
    """The whole text, white space at its ends left out, is of this pattern. ``said`` is the pattern in words, which
    both a reader and a model that is asked again understand."""

    pattern: str
    said: str = ""
    name: str = "format"

    def __post_init__(self) -> None:
        compiles(self.name, self.pattern)

    def offence(self, text: str) -> str | None:
        if re.fullmatch(self.pattern, text.strip(), re.IGNORECASE):
            return None
        return f"not {self.said}" if self.said else f"not of the form {self.pattern}"


def found(pattern: str, text: str) -> str | None:
    """What a pattern finds first, or None."""
    match = re.search(pattern, text, re.IGNORECASE)
    return match.group() if match else None


def compiles(rule: str, *patterns: str) -> None:
    """Refuse what is no pattern when the rule is made; raises ValueError, which names it."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"the rule {rule!r} has a pattern that is none: {pattern!r} ({error})") from None
