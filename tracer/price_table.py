"""The price table that is installed: genai-prices, by day, by tier, with its version in every figure.

The library's own arithmetic takes a third of a millisecond for a call and looks for an unknown model anew each time.
So models are looked up once, and the usual usage is put into parts here; a test holds the sums to the library's. What
is unusual (audio, a fee for each request, parts that don't fit) the library prices itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Mapping, NamedTuple, Sequence

import genai_prices
from genai_prices import data_snapshot

from tracer.model import Cost
from tracer.parts import Priced, cost_of, missing, nusd_of

#: The parts of a usage that the table may price differently, by its names for them.
_BUCKETS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "cache_audio_tokens": "cache_audio_read_tokens",
    "web_searches": "web_searches",
}
#: The table's names for the prices of parts.
_RATES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "web_searches_kcount": "web_searches",
}
_AUDIO = ("input_audio_tokens", "output_audio_tokens", "cache_audio_tokens")
#: What an answer was given as, by the words of Anthropic's and Google's usage, and what the table calls it.
_TIERS = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"speed": "fast"},
    "ON_DEMAND_FLEX": {"service_tier": "flex"},
    "ON_DEMAND_PRIORITY": {"service_tier": "priority"},
}
NAME = f"genai-prices {genai_prices.__version__}"


class _Listed(NamedTuple):
    provider: Any
    model: Any


def price(
    usage: Mapping[str, int], models: Sequence[str], provider: str | None, raw: Mapping[str, Any], *, at_ns: int
) -> Priced:
    """The cost of a usage that adds up, for the first of the ``models`` that the table knows. ``raw`` is the provider's
    own usage, which may say what the answer was given as."""
    at = datetime.fromtimestamp(at_ns // 10**9, tz=UTC)
    snapshot = data_snapshot.get_snapshot()
    for name in models:
        listed = _listed(id(snapshot), provider, name)
        if listed is not None:
            return _price(usage, name, listed, _tier(raw), at)
    return None, f"no price known for {models[0]}"


@lru_cache(maxsize=4_096)
def _listed(_snapshot: int, provider: str | None, name: str) -> _Listed | None:
    try:
        found = genai_prices.calc_price(genai_prices.Usage(), name, provider_id=provider)
    except LookupError:
        return None
    return _Listed(found.provider, found.model)


def _tier(raw: Mapping[str, Any]) -> str | None:
    """What a call was answered as, where that may have a price of its own."""
    said = (raw.get(name) for name in ("service_tier", "speed", "trafficType"))
    return next((word for word in said if isinstance(word, str) and word in _TIERS), None)


def _price(usage: Mapping[str, int], name: str, listed: _Listed, tier: str | None, at: datetime) -> Priced:
    standard = found = listed.model.get_prices(at)
    # The library prices a tier where the provider's own list has it, not where another's list stands in.
    if tier is not None and any(listed.model is each for each in listed.provider.models):
        found = listed.model.get_prices(at, _TIERS[tier])
    rates = found.__dict__
    for total, rate in (("input_tokens", "input_mtok"), ("output_tokens", "output_mtok")):
        if rates.get(rate) is not None and total not in usage:
            return None, missing(usage, total)
    if usage.get("web_searches") and rates.get("web_searches_kcount") is None:
        return None, f"no price known for a web search by {name}"
    nusd = None
    if rates.get("requests_kcount") is None and not any(usage.get(part) for part in _AUDIO):
        nusd, _ = cost_of(_in_force(rates, usage.get("input_tokens", 0)), usage)
    if nusd is None:
        counted = genai_prices.Usage(**{_BUCKETS[part]: count for part, count in usage.items()})
        try:
            nusd = nusd_of(found.calc_price(counted)["total_price"])
        except ValueError as error:
            return None, f"the usage can't be priced: {error}"
    words = [f"{NAME} {listed.provider.id}/{listed.model.id}", *_since(listed.model.prices, at)]
    if tier is not None and found != standard:
        words[1:1] = _TIERS[tier].values()
    return Cost(nusd, " ".join(words)), None


def _in_force(rates: Mapping[str, Any], total_input: int) -> dict[str, Decimal]:
    """Dollars by part. Above so many input tokens some prices are others, for all of the tokens. What has no price on
    the list costs nothing there: the output of an embedding."""
    usd = {"input": Decimal(0), "output": Decimal(0)}
    for key, part in _RATES.items():
        rate = rates.get(key)
        if rate is not None:
            reached = (step.price for step in reversed(getattr(rate, "tiers", ())) if total_input > step.start)
            usd[part] = next(reached, getattr(rate, "base", rate))
    return usd


def _since(prices: Any, at: datetime) -> list[str]:
    """Since when this is the price, where the table says so."""
    for each in reversed(prices) if isinstance(prices, list) else ():
        if each.constraint is None or each.constraint.active(at):
            start = getattr(each.constraint, "start_date", None)
            return [] if start is None else [f"from {start}"]
    return []
