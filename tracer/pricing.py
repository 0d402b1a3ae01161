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

from dataclasses import fields
from decimal import Decimal
from typing import Any, Mapping, Protocol

from tracer import price_import
from tracer.importing import IMPORTING
from tracer.model import Cost, Usage
from tracer.parts import Priced, missing, nusd_of

price_import.leave_out_the_updater()

#: No model takes or gives this many tokens in one call; a server that says so is wrong.
_MOST_TOKENS = 10**9
#: Likewise for what one call costs.
_MOST_USD = 10**6
#: What of a usage has a price; the rest is the provider's own object.
_COUNTED = frozenset(field.name for field in fields(Usage)) - {"raw"}
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
    usage = {name: count for name, count in (call.get("usage") or {}).items() if name in _COUNTED and count is not None}
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
    models = models_of(call)
    if not models:
        return None, "the model is not known"
    if "input_tokens" not in usage and "output_tokens" not in usage:
        return None, "the provider reported no usage"
    # Imported here: it takes a sixth of a second and some megabytes, which only a process that prices should pay.
    with IMPORTING:
        from tracer.price_table import price  # noqa: PLC0415

    raw = (call.get("usage") or {}).get("raw")
    return price(usage, models, call.get("provider"), raw if isinstance(raw, Mapping) else {}, at_ns=at_ns)


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


def models_of(call: Mapping[str, Any]) -> list[str]:
    """What the model of a call is called: by the answer, then by the request."""
    return [model for model in dict.fromkeys((call.get("model"), call.get("model_asked"))) if model]
