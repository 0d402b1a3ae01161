"""What a model call cost: its usage at a declared price, or at the price table's for the day; or why that is unknown.

Unknown is never zero. The first rule that applies decides:

1. An answer that a replay served from the record cost nothing now: 0, "served from the record".
2. An answer with a status of 400 or above, without usage, was not billed: 0, "not billed: HTTP 429".
3. What the provider says that it charged, unless a price is given or declared. (OpenRouter does, for each call.)
4. A usage that contradicts itself (more tokens read from a cache than came in at all) has no price.
5. The price that is given for the model, which is how a period is priced again (see ``tracer.price_file``).
6. The price that the catalogue declares. Declared as free, a call costs 0 even where no usage was reported.
7. The price of genai-prices on that day, for the model that answered, then for the one that was asked; the batch, flex,
   priority or fast one where the provider's usage names it. A search that has no price there makes the whole unknown.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Mapping, Protocol

from tracer.model import Cost

_NUSD = 10**9
#: No model takes or gives this many tokens in one call; a server that says so is wrong.
_MOST_TOKENS = 10**9
#: Likewise for what one call costs.
_MOST_USD = 10**6
#: The parts of a usage that the price table may price differently, by its names for them.
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
#: Totals that include their parts; each line's parts are disjoint.
_INCLUDED = (
    ("input_tokens", "cache_read_tokens", "cache_write_tokens"),
    ("input_tokens", "input_audio_tokens"),
    ("cache_write_tokens", "cache_write_1h_tokens"),
    ("cache_read_tokens", "cache_audio_tokens"),
    ("input_audio_tokens", "cache_audio_tokens"),
    ("output_tokens", "reasoning_tokens"),
    ("output_tokens", "output_audio_tokens"),
)
#: The identities of prices that stand in no table.
SERVED, DECLARED = "served from the record", "declared"
#: What an answer was given as, by the words of Anthropic's and Google's usage, and what the table calls it.
_TIERS = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"speed": "fast"},
    "ON_DEMAND_FLEX": {"service_tier": "flex"},
    "ON_DEMAND_PRIORITY": {"service_tier": "priority"},
}

#: A cost, or None and the reason in words.
Priced = tuple[Cost | None, str | None]


class Given(Protocol):
    """Prices that come before what is declared, and before every table."""

    def names(self, call: Mapping[str, Any]) -> bool:
        """Whether a price is given for the model of this call."""

    def price(self, call: Mapping[str, Any], usage: Mapping[str, int], *, at_ns: int) -> Priced:
        """The cost of a call that it names and whose usage adds up."""


def price_call(call: Mapping[str, Any], *, at_ns: int, given: Given | None = None) -> Priced:
    """The cost of a model call as it stands in an event, or None and the reason in words.

    ``call`` has the fields of model.ModelCall, ``usage`` as a mapping, and optionally ``price``, the declared one.
    """
    if call.get("served"):
        return Cost(0, SERVED), None
    usage = {name: count for name, count in (call.get("usage") or {}).items() if name in _BUCKETS and count is not None}
    status = call.get("status_code")
    if not usage and isinstance(status, int) and status >= 400:
        return Cost(0, f"not billed: HTTP {status}"), None
    declared = call.get("price")
    is_given = given is not None and given.names(call)
    charged = None if declared is not None or is_given else _charged(call)
    if charged is not None:
        return charged, None
    contradiction = _contradiction(usage)
    if contradiction is not None:
        return None, f"the usage does not add up: {contradiction}"
    if given is not None and is_given:
        return given.price(call, usage, at_ns=at_ns)
    if declared is not None:
        return _declared(usage, input_nusd=declared["input_nusd"], output_nusd=declared["output_nusd"])
    return _from_table(usage, call, at_ns=at_ns)


def _contradiction(usage: Mapping[str, Any]) -> str | None:
    for name, count in usage.items():
        if not isinstance(count, int) or not 0 <= count <= _MOST_TOKENS:
            return f"{name.replace('_', ' ')} is {count!r}"
    for total, *parts in _INCLUDED:
        counted = sum(usage.get(part, 0) for part in parts)
        if total in usage and counted > usage[total]:
            named = " and ".join(part.removesuffix("_tokens").replace("_", " ") for part in parts if part in usage)
            return f"{counted} {named} tokens within {usage[total]} {total.replace('_', ' ')}"
    return None


def _charged(call: Mapping[str, Any]) -> Cost | None:
    """What OpenRouter says it charged, searches and all. With a key of one's own at the provider it charges a fee
    only, which is not what the call cost."""
    raw = (call.get("usage") or {}).get("raw") if call.get("provider") == "openrouter" else None
    if not isinstance(raw, Mapping) or raw.get("is_byok") is True:
        return None
    cost = raw.get("cost")
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost <= _MOST_USD:
        return None
    return Cost(nusd_of(Decimal(str(cost))), "charged by openrouter")


def _declared(usage: Mapping[str, int], *, input_nusd: int, output_nusd: int) -> Priced:
    cost = 0
    for name, per_token in (("input_tokens", input_nusd), ("output_tokens", output_nusd)):
        if per_token == 0:
            continue
        if name not in usage:
            return None, missing(usage, name)
        cost += usage[name] * per_token
    return Cost(cost, DECLARED), None


def _from_table(usage: Mapping[str, int], call: Mapping[str, Any], *, at_ns: int) -> Priced:
    models = models_of(call)
    if not models:
        return None, "the model is not known"
    if "input_tokens" not in usage and "output_tokens" not in usage:
        return None, "the provider reported no usage"
    # Imported here: it takes a sixth of a second and some megabytes, which only a process that prices should pay.
    import genai_prices  # noqa: PLC0415

    at = datetime.fromtimestamp(at_ns // 10**9, tz=UTC)
    counted = genai_prices.Usage(**{_BUCKETS[name]: count for name, count in usage.items()})
    tier = _tier(call)
    for model in models:
        try:
            found = genai_prices.calc_price(
                counted,
                model,
                provider_id=call.get("provider"),
                genai_request_timestamp=at,
                price_context=_TIERS[tier] if tier else None,
            )
        except LookupError:
            continue
        except ValueError as error:
            return None, f"the usage can't be priced: {error}"
        unpriced = _unpriced(found.model_price, usage, model)
        if unpriced is not None:
            return None, unpriced
        return Cost(nusd_of(found.total_price), _identity(found, at, tier)), None
    return None, f"no price known for {models[0]}"


def models_of(call: Mapping[str, Any]) -> list[str]:
    """What the model of a call is called: by the answer, then by the request."""
    return [model for model in dict.fromkeys((call.get("model"), call.get("model_asked"))) if model]


def _tier(call: Mapping[str, Any]) -> str | None:
    """What a call was answered as, where that has a price of its own."""
    raw = (call.get("usage") or {}).get("raw")
    said = [raw.get(name) for name in ("service_tier", "speed", "trafficType")] if isinstance(raw, Mapping) else []
    return next((word for word in said if isinstance(word, str) and word in _TIERS), None)


def _unpriced(price: Any, usage: Mapping[str, int], model: str) -> str | None:
    """Why a table's price is not enough, in words."""
    for name, per_token in (("input_tokens", price.input_mtok), ("output_tokens", price.output_mtok)):
        if per_token is not None and name not in usage:
            return missing(usage, name)
    if usage.get("web_searches") and price.web_searches_kcount is None:
        return f"no price known for a web search by {model}"
    return None


def table_name() -> str:
    """The installed price table and its version."""
    from genai_prices import __version__  # noqa: PLC0415 - see above

    return f"genai-prices {__version__}"


def _identity(found: Any, at: datetime, tier: str | None) -> str:
    """Which price it was: the table and its version, the model there, what it was answered as, and since when."""
    words = [f"{table_name()} {found.provider.id}/{found.model.id}"]
    if tier is not None and found.model_price != found.model.get_prices(at):
        words += _TIERS[tier].values()
    dated = found.model.prices if isinstance(found.model.prices, list) else []
    for each in reversed(dated):
        if each.constraint is None or each.constraint.active(at):
            since = getattr(each.constraint, "start_date", None)
            words += [f"from {since}"] if since is not None else []
            break
    return " ".join(words)


def missing(usage: Mapping[str, int], name: str) -> str:
    return f"the provider reported no {name.replace('_', ' ')}" if usage else "the provider reported no usage"


def nusd_of(usd: Decimal) -> int:
    return int((usd * _NUSD).to_integral_value(rounding=ROUND_HALF_EVEN))
