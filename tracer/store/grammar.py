"""The language of the search box: ``status:failed``, ``cost>0.01``, ``tag:team=cards``, and free words. Pure.

Text in double quotes is one word, or one value (``workflow:"my flow"``); inside it ``\\"`` is a quote and ``\\\\`` a
backslash. What looks like a term but is none (``https://x.y``, ``note:504``) is a word; one that is nearly a term
(``modle:x``) is answered with the one that was meant.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Iterator

from tracer.errors import ConfigError

#: Every term by name, with an example for who got it wrong. Those with ``>`` take amounts.
EXAMPLES = {
    "status": "status:failed",
    "workflow": "workflow:support",
    "model": "model:gpt-4o",
    "step": "step:draft",
    "error": "error:RateLimitError",
    "tag": "tag:team=cards",
    "since": "since:7d",
    "since_ns": "since_ns:1767225600000000000",
    "until_ns": "until_ns:1767225600000000000",
    "cost": "cost>0.01",
    "duration": "duration>2s",
    "replays": "replays:no",
}
#: What other tools call these things.
_MEANT = {
    "pipeline": "workflow",
    "flow": "workflow",
    "name": "step",
    "latency": "duration",
    "time": "duration",
    "took": "duration",
    "price": "cost",
    "exception": "error",
    "age": "since",
    "replay": "replays",
    "tags": "tag",
    "state": "status",
}
_TOKEN = re.compile(
    r"(?P<bare>[^\W\d]\w*)(?P<bare_sign>[:<>])(?=\s|$)"
    r'|(?:(?P<key>[^\W\d]\w*)(?P<sign>[:<>]))?(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s"]+))',
    re.DOTALL,
)
_ESCAPED = re.compile(r'\\(["\\])')
_SIZES = {"us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3_600 * 10**9}
_TOOK = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*(us|µs|ms|s|m|h)?")


@dataclass(frozen=True, slots=True)
class Term:
    """A term as it was typed. ``name`` is empty for a free word."""

    name: str
    sign: str
    value: str
    source: str


def terms(text: str) -> Iterator[Term]:
    """What a search box says, in order. What is no term of ours comes as a word, whether or not it was meant as one."""
    for token in _TOKEN.finditer(text):
        quoted = token["quoted"]
        value = _ESCAPED.sub(r"\1", quoted) if quoted is not None else token["plain"] or ""
        name, sign = token["key"] or token["bare"] or "", token["sign"] or token["bare_sign"] or ""
        known = name.lower() in EXAMPLES
        if known or (name and _mistyped(name, sign, value)):
            yield Term(name.lower(), sign, value, token.group())
        elif name and quoted is not None:
            yield Term("", "", f"{name}{sign}", token.group())
            yield Term("", "", value, token.group())
        else:
            yield Term("", "", f"{name}{sign}{value}", token.group())


def check(term: Term) -> None:
    """Raise ConfigError, with a line for the reader, for a term that is none of ours or says nothing."""
    example = EXAMPLES.get(term.name)
    if example is None:
        meant = _MEANT.get(term.name) or _near(term.name)
        raise ConfigError(f"there is no term {term.source!r}: did you mean {EXAMPLES[meant]}?")
    if not term.value or term.sign != example[len(term.name)]:
        raise ConfigError(f"{term.source!r} can't be read: write it like {example}")


def written(name: str, value: str) -> str:
    """A term as one would type it."""
    sign = EXAMPLES[name][len(name)]
    plain = f"{name}{sign}{value}"
    return plain if [*terms(plain)] == [Term(name, sign, value, plain)] else f"{name}{sign}{_quoted(value)}"


def word(text: str) -> str:
    """A free word as one would type it: in quotes where it would else be read as something more."""
    return text if [*terms(text)] == [Term("", "", text, text)] else _quoted(text)


def parse_took(amount: str) -> int:
    """A length of time like ``500ms``, ``2s``, ``1.5m`` in nanoseconds; without a unit it is seconds."""
    matched = _TOOK.fullmatch(amount.strip().lower())
    if matched is None:
        raise ConfigError(f"duration {amount!r} is no length of time: write a number and us, ms, s, m or h, like 500ms")
    return min(int(Decimal(matched[1]) * _SIZES[matched[2] or "s"]), 2**62)


def took(ns: int) -> str:
    """Nanoseconds as ``parse_took`` reads them, in the largest unit that needs no fraction."""
    unit = next((name for name in ("h", "m", "s", "ms", "us") if ns and ns % _SIZES[name] == 0), "s")
    return f"{Decimal(ns) / _SIZES[unit]:f}{unit}"


def parse_usd(amount: str) -> int:
    """Dollars like ``0.01`` or ``$2`` in nano-dollars."""
    try:
        return max(0, min(int(Decimal(amount.strip().lstrip("$")) * 10**9), 2**62))
    except (InvalidOperation, ValueError, OverflowError):
        raise ConfigError(f"cost {amount!r} is no amount: write dollars, like cost>0.01") from None


def usd(nusd: int) -> str:
    return f"{Decimal(nusd) / 10**9:f}"


def _mistyped(name: str, sign: str, value: str) -> bool:
    """Whether a reader seems to have meant a term: its name is nearly one, or what another tool calls it."""
    if value.startswith("//") or not value or sign == "<":
        return False
    return bool(_near(name)) or name.lower() in _MEANT


def _near(name: str) -> str:
    return next(iter(difflib.get_close_matches(name.lower(), EXAMPLES, 1, 0.75)), "")


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
