"""Prices out of a file of one's own, for pricing a period again: a contract's, a rumour's, next month's.

TOML, or JSON of the same shape. Prices are US dollars for a million tokens, and for a thousand searches; a price
applies to calls from its day on (UTC), until another of the same model does:

    [models."gpt-4o-mini"]
    input = 0.15
    output = 0.60
    cache_read = 0.075

    [[models."anthropic/claude-sonnet-4-5"]]
    from = 2026-01-01
    input = 3
    ...

A model is named as it answered or as it was asked, with its provider before it where that matters. What has no price
of its own is priced as what it is a part of: cached input as input, reasoning as output.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Mapping

from tracer.digest import blake2b
from tracer.errors import ConfigError
from tracer.model import Cost
from tracer.parts import PARTS, Priced, cost_of
from tracer.pricing import models_of

#: A dollar for each token; more is a slip of the unit.
_MOST_USD = 10**6


@dataclass(frozen=True, slots=True)
class Rates:
    """What a model costs from a day on; ``usd`` by part: for a million tokens, or a thousand searches."""

    since: date | None
    usd: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class PriceFile:
    """The prices of one file. ``version`` is of its bytes: a figure tells by which state of it it came about."""

    name: str
    version: str
    models: Mapping[str, tuple[Rates, ...]]

    def names(self, call: Mapping[str, Any]) -> bool:
        return self._named(call) is not None

    def price(self, call: Mapping[str, Any], usage: Mapping[str, int], *, at_ns: int) -> Priced:
        model = self._named(call)
        assert model is not None
        day = datetime.fromtimestamp(at_ns // 10**9, tz=UTC).date()
        in_force = [rates for rates in self.models[model] if rates.since is None or rates.since <= day]
        if not in_force:
            return None, f"{self.name} has no price for {model} on {day}"
        rates = in_force[-1]
        nusd, unpriced = cost_of(rates.usd, usage)
        if nusd is None:
            return None, f"{unpriced} ({self.name}, {model})"
        since = "" if rates.since is None else f" from {rates.since}"
        return Cost(nusd, f"{self.name}@{self.version} {model}{since}"), None

    def _named(self, call: Mapping[str, Any]) -> str | None:
        provider = call.get("provider")
        for model in map(str.lower, models_of(call)):
            for name in (f"{provider}/{model}", model):
                if name in self.models:
                    return name
        return None


def read_price_file(path: Path) -> PriceFile:
    """The prices in a file; raises ConfigError, which names the file, the place in it and the way out."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the price file {path} can't be read: {(error.strerror or 'no such file').lower()}"
        ) from None
    try:
        read = json.loads if path.suffix.lower() == ".json" else tomllib.loads
        told = read(data.decode(), parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        form = "JSON" if path.suffix.lower() == ".json" else "TOML (or name it .json)"
        raise ConfigError(f"the price file {path} is no {form}: {error}") from None
    models = told.get("models") if isinstance(told, dict) else None
    if not isinstance(models, dict) or not models or len(told) > 1:
        raise ConfigError(f'{path}: write [models."NAME"] for each model, and nothing beside models')
    version = blake2b(data, digest_size=4).hexdigest()
    return PriceFile(path.name, version, {name.lower(): _rates(path, name, entry) for name, entry in models.items()})


def _rates(path: Path, model: str, entry: Any) -> tuple[Rates, ...]:
    entries = entry if isinstance(entry, list) else [entry]
    if not entries or not all(isinstance(each, dict) for each in entries):
        raise ConfigError(f"{path}: models.{model} must hold prices, like input = 0.15, not {entry!r}")
    found = [_rate(f"{path}: models.{model}", each) for each in entries]
    found.sort(key=lambda rates: rates.since or date.min)
    for before, after in pairwise(found):
        if before.since == after.since:
            day = "have no from" if after.since is None else f"are from {after.since}"
            raise ConfigError(f"{path}: models.{model}: two prices {day}; give each a day of its own")
    return tuple(found)


def _rate(where: str, entry: Mapping[str, Any]) -> Rates:
    usd: dict[str, Decimal] = {}
    for name, value in entry.items():
        if name == "from":
            continue
        if name not in PARTS:
            raise ConfigError(f"{where}.{name} is no price: there are {', '.join(PARTS)}, and from")
        is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
        if not is_number or not Decimal(value).is_finite() or not 0 <= value <= _MOST_USD:
            per = "a thousand searches" if name == "web_searches" else "a million tokens"
            raise ConfigError(f"{where}.{name} must be dollars for {per}, like 0.15, not {value!s}")
        usd[name] = Decimal(value)
    if not usd:
        raise ConfigError(f"{where} has no price: write at least input or output")
    return Rates(_day(where, entry["from"]) if "from" in entry else None, usd)


def _day(where: str, value: Any) -> date:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ConfigError(f"{where}.from must be a day, like 2026-01-01, not {value!s}")
