"""What a reader is looking for: one frozen value, which is a query string and an English sentence as well as SQL.

The search box takes the terms of ``grammar``, all of which must apply; the plain parameters of a form
(``status=failed&since=1d``) say the same.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from typing import Any, Iterator, Mapping, Self, get_args
from urllib.parse import parse_qsl, urlencode

from tracer.errors import ConfigError
from tracer.model import Status
from tracer.store import grammar

_UNITS = {"s": ("second", 1), "m": ("minute", 60), "h": ("hour", 3_600), "d": ("day", 86_400), "w": ("week", 604_800)}
_STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Problem:
    """What can't be in a filter: why, in a line for the reader, and what was typed, if it was typed into the box."""

    why: str
    typed: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which traces to show; every field narrows, and the empty filter shows all.

    ``text`` holds free words: each must occur in the trace. ``since`` is an age like ``7d``, counted back from the
    moment of asking; ``since_ns`` a fixed time, and ``until_ns`` the one that ends the period. ``above_nusd``
    keeps traces that cost more, ``longer_ns`` ended ones that took longer. ``error`` is the class of the error, with
    or without its module. ``tags`` are names with the value each must have, or with None where any will do; case
    aside. ``replays`` is True for replays only, False for none, None for both.
    """

    statuses: tuple[Status, ...] = ()
    workflow: str | None = None
    model: str | None = None
    step: str | None = None
    text: str = ""
    since: str | None = None
    since_ns: int | None = None
    above_nusd: int | None = None
    replays: bool | None = None
    until_ns: int | None = None
    longer_ns: int | None = None
    error: str | None = None
    tags: tuple[tuple[str, str | None], ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it shows nothing but failed traces."""
        return self.statuses == ("failed",)

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(term.value for term in grammar.terms(self.text) if term.value)

    def since_when_ns(self, now_ns: int | None = None) -> int | None:
        """The time before which nothing is shown, or None."""
        if self.since is None:
            return self.since_ns
        return max(0, (time.time_ns() if now_ns is None else now_ns) - parse_since(self.since))

    @classmethod
    def parse(cls, query: str | Mapping[str, str]) -> Self:
        """The filter in a query string or in its parameters. Parameters that are none of ours are passed over; a value
        or a term that can't be (``since=soon``) raises ConfigError with a line for the reader."""
        found, problems = cls.read(query)
        if problems:
            raise ConfigError(problems[0].why)
        return found

    @classmethod
    def read(cls, query: str | Mapping[str, str]) -> tuple[Self, tuple[Problem, ...]]:
        """As ``parse``, but for who reads on: the filter without what can't be, and a problem for each such thing."""
        found, problems = cls(), list[Problem]()
        for name, value, term in _said(query):
            try:
                if term is not None and term.name:
                    grammar.check(term)
                found = _READERS[name](found, value)
            except ConfigError as error:
                problems.append(Problem(str(error), "" if term is None else term.source))
        return found, tuple(problems)

    @property
    def query(self) -> str:
        """The query string of this filter, without the question mark; empty for the empty filter."""
        pairs = [("status", ",".join(self.statuses)), *((name, value) for name, value, _ in self._single())]
        pairs += [*(("tag", _tag(*tag)) for tag in self.tags), ("q", self.text)]
        return urlencode([(name, value) for name, value in pairs if value], errors="replace")

    @property
    def terms(self) -> tuple[tuple[str, Self], ...]:
        """Each term as one would type it, free words included, with the filter that is left without it."""
        found = []
        if self.statuses:
            found.append((grammar.written("status", ",".join(self.statuses)), replace(self, statuses=())))
        for name, value, field in self._single():
            nothing: dict[str, Any] = {field: None}
            found.append((grammar.written(name, value), replace(self, **nothing)))
        for tag in self.tags:
            others = tuple(other for other in self.tags if other != tag)
            found.append((grammar.written("tag", _tag(*tag)), replace(self, tags=others)))
        words = self.words
        for at, word in enumerate(words):
            left = " ".join(map(grammar.word, (*words[:at], *words[at + 1 :])))
            found.append((grammar.word(word), replace(self, text=left)))
        return tuple(found)

    @property
    def typed(self) -> str:
        """The whole filter as one would type it into the search box."""
        return " ".join(term for term, _ in self.terms)

    def _clauses(self) -> Iterator[str]:
        named = {"of": self.workflow, "with model": self.model, "with step": self.step, "with error": self.error}
        yield from (f"{words} {name}" for words, name in named.items() if name)
        yield from (f"tagged {name}" + ("" if value is None else f" {value}") for name, value in self.tags)
        if self.words:
            yield "with " + " and ".join(f"“{word}”" for word in self.words)
        if self.above_nusd is not None:
            yield f"above ${grammar.usd(self.above_nusd)}"
        if self.longer_ns is not None:
            yield f"longer than {grammar.took(self.longer_ns)}"
        if self.replays is False:
            yield "without replays"

    def _single(self) -> Iterator[tuple[str, str, str]]:
        """The parameters that have one value: name, value, and field."""
        told: list[tuple[str, str | None, str]] = [
            *((name, getattr(self, name), name) for name in ("workflow", "model", "step", "error", "since")),
            *((name, _number(getattr(self, name)), name) for name in ("since_ns", "until_ns")),
            ("cost", None if self.above_nusd is None else grammar.usd(self.above_nusd), "above_nusd"),
            ("duration", None if self.longer_ns is None else grammar.took(self.longer_ns), "longer_ns"),
            ("replays", None if self.replays is None else "only" if self.replays else "no", "replays"),
        ]
        return ((name, value, field) for name, value, field in told if value)

    @property
    def sentence(self) -> str:
        """The filter in English, without a number: ``failed traces of support, last 7 days``."""
        kind = "replays" if self.replays else "traces"
        sentence = " ".join([f"{' or '.join(self.statuses)} {kind}".strip(), *self._clauses()])
        if self.since is not None:
            sentence = f"{sentence}, last {_age(self.since)}"
        elif self.since_ns is not None:
            sentence = f"{sentence}, since {_moment(self.since_ns)}"
        return sentence if self.until_ns is None else f"{sentence}, until {_moment(self.until_ns)}"


def parse_since(age: str) -> int:
    """An age like ``90s``, ``30m``, ``12h``, ``7d`` or ``2w`` in nanoseconds; raises ConfigError for anything else."""
    matched = re.fullmatch(r"(\d{1,9})([smhdw])", age.strip().lower())
    if matched is None:
        raise ConfigError(f"since {age!r} is no age: write a number and s, m, h, d or w, like 30m, 12h or 7d")
    return int(matched[1]) * _UNITS[matched[2]][1] * 10**9


def _age(since: str) -> str:
    count, (unit, _) = int(since.strip()[:-1]), _UNITS[since.strip().lower()[-1]]
    return unit if count == 1 else f"{count} {unit}s"


def _moment(at_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_ns // 10**9))


def _said(query: str | Mapping[str, str]) -> Iterator[tuple[str, str, grammar.Term | None]]:
    """What a query says, with the search box taken apart: the name of a reader, a value, and the term if it is one."""
    for name, value in parse_qsl(query) if isinstance(query, str) else list(query.items()):
        if name == "q":
            for term in grammar.terms(value):
                yield term.name if term.name in _READERS else "", term.value, term
        elif name and name in _READERS and value:
            yield name, value, None


def _with_word(found: Filter, value: str) -> Filter:
    return replace(found, text=f"{found.text} {grammar.word(value)}".strip()) if value else found


def _with_statuses(found: Filter, value: str) -> Filter:
    names = [name for name in value.lower().split(",") if name]
    for name in names:
        if name not in _STATUSES:
            raise ConfigError(f"status {name!r} is none: it is one of {', '.join(_STATUSES)}")
    wanted = {*found.statuses, *names}
    return replace(found, statuses=tuple(status for status in _STATUSES if status in wanted))


def _with_since(found: Filter, value: str) -> Filter:
    parse_since(value)
    return replace(found, since=value.strip().lower())


def _ns(name: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,19}", value) or int(value) >= 2**63:
        raise ConfigError(f"{name} {value!r} is no time: write nanoseconds since 1970")
    return int(value)


def _with_tag(found: Filter, value: str) -> Filter:
    name, given, wanted = value.partition("=")
    if not name.strip():
        raise ConfigError(f"tag {value!r} has no name: write it like {grammar.EXAMPLES['tag']}")
    tag = (name, wanted if given else None)
    return found if tag in found.tags else replace(found, tags=(*found.tags, tag))


def _with_replays(found: Filter, value: str) -> Filter:
    try:
        return replace(found, replays={"only": True, "yes": None, "no": False}[value.lower()])
    except KeyError:
        raise ConfigError(f"replays {value!r} is none of: only, yes, no") from None


def _tag(name: str, value: str | None) -> str:
    return name if value is None else f"{name}={value}"


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


_READERS: Mapping[str, Any] = {
    "": _with_word,
    "status": _with_statuses,
    "workflow": lambda found, value: replace(found, workflow=value),
    "model": lambda found, value: replace(found, model=value),
    "step": lambda found, value: replace(found, step=value),
    "error": lambda found, value: replace(found, error=value),
    "tag": _with_tag,
    "since": _with_since,
    "since_ns": lambda found, value: replace(found, since_ns=_ns("since_ns", value)),
    "until_ns": lambda found, value: replace(found, until_ns=_ns("until_ns", value)),
    "cost": lambda found, value: replace(found, above_nusd=grammar.parse_usd(value)),
    "duration": lambda found, value: replace(found, longer_ns=grammar.parse_took(value)),
    "replays": _with_replays,
}
