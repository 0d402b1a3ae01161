"""What a text must hold to before it leaves the house: rules as plain values, and a verdict. Pure.

A rule of your own is any object with a ``name`` and an ``offence(text)``; a frozen dataclass is best, because what a
rule was set to is then recorded with the verdict.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Mapping, Protocol


class Rule(Protocol):
    """``offence`` gives the part of the text that breaks the rule, or what is missing from it; None where it holds."""

    @property
    def name(self) -> str: ...
    def offence(self, text: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Parses:
    """The text is one JSON object, and it has all of these keys; of a mapping, with values of these types."""

    keys: tuple[str, ...] | Mapping[str, type] = ()
    name: str = "parses"

    def offence(self, text: str) -> str | None:
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            return f"no JSON: {error}"
        if not isinstance(value, dict):
            return f"a JSON {type(value).__name__}, not an object"
        missing = [key for key in self.keys if key not in value]
        if missing:
            return f"no key {', '.join(missing)}"
        wanted = self.keys if isinstance(self.keys, Mapping) else {}
        wrong = next((key for key, kind in wanted.items() if not isinstance(value[key], kind)), None)
        return None if wrong is None else f"{wrong} is a {type(value[wrong]).__name__}, not a {wanted[wrong].__name__}"


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
class Bans:
    """None of these words or phrases occurs, as whole words and in any case."""

    phrases: tuple[str, ...]
    name: str = "banned topic"

    def offence(self, text: str) -> str | None:
        if not self.phrases:
            return None
        words = "|".join(re.escape(phrase) for phrase in self.phrases)
        return _found(rf"(?<!\w)(?:{words})(?!\w)", text)


_SUM = r"(?:[$€£]\s?\d[\d.,]*|\d+(?:\.\d+)? ?(?:dollars|euros|pounds|usd|eur|gbp)\b)"
_GIVES = r"(?:refund|reimburse|compensate|credit|pay|waive|return your money)"
_GIVEN = r"(?:refunded|reimbursed|compensated|credited|paid|waived)"
_SOME_MONEY = r"(?:refund|reimbursement|compensation|cashback|credit|money)"
#: What a promise of money looks like in a reply. It errs on the side of stopping one.
PROMISES = (
    rf"\b(?:we|i)(?:'ll| will| can| shall| are going to| am going to)(?: \w+)? {_GIVES}\b",
    rf"\b(?:we|i)(?:'ve| have)(?: \w+)? {_GIVEN}\b",
    rf"\byou(?:'ll| will| shall| are going to)(?: \w+)? be {_GIVEN}\b",
    rf"\byou(?:'ll| will| shall| are going to)(?: \w+)? (?:receive|get|be given)(?: \w+){{0,3}} {_SOME_MONEY}\b",
    rf"\b(?:receive|get|give|send|pay|refund|credit)(?:ed|s)?(?: \w+){{0,3}} {_SUM}",
    rf"\b{_SOME_MONEY}(?: \w+){{0,2}} (?:is|was|will be|has been) (?:guaranteed|approved|issued|processed|credited)\b",
)


@dataclass(frozen=True, slots=True)
class NoPromiseOfMoney:
    """The text promises nobody money: no refund, credit, waiver or sum. ``patterns`` are searched for in any case."""

    patterns: tuple[str, ...] = PROMISES
    name: str = "no promise of money"

    def offence(self, text: str) -> str | None:
        plain = " ".join(text.replace("\u2019", "'").split())
        return next((found for pattern in self.patterns if (found := _found(pattern, plain)) is not None), None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``rule`` and ``offence`` name the first rule that was broken; both are None when all ``checked`` rules hold."""

    passed: bool
    checked: tuple[str, ...]
    rule: str | None = None
    offence: str | None = None


@dataclass(frozen=True, slots=True)
class Guardrails:
    """Rules in the order in which they are asked; the first that is broken decides."""

    rules: tuple[Rule, ...] = field(default=())

    def judge(self, text: str) -> Verdict:
        checked: list[str] = []
        for rule in self.rules:
            checked.append(rule.name)
            offence = rule.offence(text)
            if offence is not None:
                return Verdict(False, tuple(checked), rule.name, offence)
        return Verdict(True, tuple(checked))


def _found(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text, re.IGNORECASE)
    return match.group() if match else None
