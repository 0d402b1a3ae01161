"""How long traces stay, as its owner says it: in ``retention.toml``, or as a number of days.

days = 30                     # ordinary traces; what is worth more stays four times as long
failed_days = 180             # likewise scored_days, escalated_days, replayed_days
max_traces = 100000           # in the whole store
max_size = "5 GB"

[[workflow]]
name = "support*"             # the first entry whose name fits holds, in place of the days above
days = 90
max_traces = 20000            # in each workflow that it fits
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Collection, Mapping, Self

from tracer.errors import ConfigError
from tracer.subjects import REASONS, Reason

#: How much longer a trace stays that is worth more than an ordinary one, where no rule says how long.
LONGER = 4
DAY_NS = 24 * 3600 * 10**9
_UNITS = {"": 1, "b": 1, "kb": 1_000, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?b|)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that stays: so many traces, and so many bytes as they lie. None: as many as there are."""

    max_traces: int | None = None
    max_size: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """How long the traces of the workflows stay that ``name`` fits (``*`` and ``?`` stand for others), and how many of
    each of these workflows. ``days`` is for ordinary traces, None: for good. ``longer`` is for those of a reason; where
    it does not name one, those stay four times as long. Raises ConfigError for what can't be."""

    name: str = "*"
    days: float | None = None
    longer: tuple[tuple[Reason, float], ...] = ()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        for reason, days in self.longer:
            if self.days is not None and days < self.days:
                raise ConfigError(f"{reason}_days is {days:g}, less than the {self.days:g} of an ordinary trace")

    def days_for(self, reasons: Collection[Reason]) -> float | None:
        """How long a trace stays that is kept for these reasons: as long as the one for which it stays longest."""
        if not reasons:
            return self.days
        named = dict(self.longer)
        each = [named.get(reason, None if self.days is None else self.days * LONGER) for reason in reasons]
        return None if None in each else max(days for days in each if days is not None)


@dataclass(frozen=True, slots=True)
class Retention:
    """Rules, of which the first that fits a workflow holds, and limits for the whole store."""

    rules: tuple[Rule, ...] = ()
    limits: Limits = Limits()

    @property
    def is_empty(self) -> bool:
        """Whether nothing goes by it, whatever there is."""
        no_rule = all(rule.limits == Limits() and rule.days is None and not rule.longer for rule in self.rules)
        return no_rule and self.limits == Limits()

    @property
    def needs_sizes(self) -> bool:
        return any(limits.max_size is not None for limits in self._all_limits())

    @property
    def needs_all(self) -> bool:
        """Whether it depends on how many traces there are, and not on their ages alone."""
        return any(limits != Limits() for limits in self._all_limits())

    @property
    def least_days(self) -> float | None:
        """The age below which no rule takes a trace; None where it takes none by age."""
        found = [days for rule in self.rules for days in (rule.days, *dict(rule.longer).values()) if days is not None]
        return min(found, default=None)

    def rule_for(self, workflow: str) -> Rule:
        return next((rule for rule in self.rules if fnmatchcase(workflow, rule.name)), Rule())

    def _all_limits(self) -> list[Limits]:
        return [self.limits, *(rule.limits for rule in self.rules)]

    @classmethod
    def of_days(cls, days: float) -> Self:
        return cls((Rule(days=days),))

    @classmethod
    def of_age(cls, days: float) -> Self:
        """Everything goes at this age, whatever it is worth."""
        return cls((Rule(days=days, longer=tuple((reason, days) for reason in REASONS)),))

    @classmethod
    def parse(cls, told: Mapping[str, Any], *, place: str) -> Self:
        """From the tables of a TOML file; ``place`` is named in the ConfigError for what can't be."""
        entries = told.get("workflow", [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ConfigError(f"{place}: write each workflow as a [[workflow]] of its own")
        overall = _rule({key: value for key, value in told.items() if key != "workflow"}, place)
        rules = []
        for entry in entries:
            if not isinstance(entry.get("name"), str) or not entry["name"]:
                raise ConfigError(f'{place}: a [[workflow]] needs its name, like name = "support*"')
            rules.append(_rule(entry, f"{place}: workflow {entry['name']}"))
        return cls((*rules, replace(overall, limits=Limits())), overall.limits)


def read_rules(path: Path) -> Retention:
    """The rules in a file. Raises ConfigError, which names the file and what is wrong in it."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {(error.strerror or str(error)).lower()}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    return Retention.parse(told, place=str(path))


def size_of(given: Any) -> int:
    """Bytes, from a number or a text like ``5 GB``. Raises ValueError."""
    if isinstance(given, str):
        found = _SIZE.fullmatch(given)
        if found is None:
            raise ValueError(given)
        return int(float(found[1]) * _UNITS[found[2].lower()])
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise ValueError(given)
    return given


_LONGER_NAMES = {f"{reason}_days": reason for reason in REASONS}
_KNOWN = ("days", *_LONGER_NAMES, *(field.name for field in fields(Limits)))


def _rule(told: Mapping[str, Any], place: str) -> Rule:
    unknown = sorted(set(told) - {"name", *_KNOWN})
    if unknown:
        raise ConfigError(f"{place}: {unknown[0]} is none of {', '.join(_KNOWN)}")
    longer = tuple(
        (reason, _days(told[name], f"{place}: {name}")) for name, reason in _LONGER_NAMES.items() if name in told
    )
    days = _days(told["days"], f"{place}: days") if "days" in told else None
    try:
        return Rule(told.get("name", "*"), days, longer, _limits(told, place))
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


def _limits(told: Mapping[str, Any], place: str) -> Limits:
    count, size = told.get("max_traces"), told.get("max_size")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
        raise ConfigError(f"{place}: max_traces is {count!r}; it takes a whole number of traces")
    try:
        return Limits(count, None if size is None else size_of(size))
    except ValueError:
        raise ConfigError(f'{place}: max_size is {size!r}; it takes bytes, or a text like "5 GB"') from None


def _days(given: Any, name: str) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < 10**6:
        raise ConfigError(f"{name} is {given!r}; it takes a number of days, 0 or more")
    return float(given)
