"""A usage in disjoint parts, and what they cost at the rates of any list of prices."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Collection, Mapping

from tracer.model import Cost

#: A cost, or None and the reason in words.
Priced = tuple[Cost | None, str | None]

_NUSD = 10**9
_MTOK = 10**6
#: What a price may be declared for, and what its tokens are priced as where it is not: the first that has a price.
PARTS = {
    "input": (),
    "output": (),
    "cache_read": ("input",),
    "cache_write": ("input",),
    "cache_write_1h": ("cache_write", "input"),
    "input_audio": ("input",),
    "cache_audio": ("cache_read", "input_audio", "input"),
    "reasoning": ("output",),
    "output_audio": ("output",),
    "web_searches": (),
}
_HEARD = {"input_audio", "cache_audio"}
_OF_OUTPUT = {"output", "reasoning", "output_audio"}


def cost_of(usd: Mapping[str, Decimal], usage: Mapping[str, int]) -> tuple[int | None, str]:
    """What a usage costs in nano-dollars, or None and why it can't be said. ``usd`` is by part: dollars for a million
    tokens, or for a thousand searches."""
    if usage.get("web_searches") and "web_searches" not in usd:
        return None, "a web search has no price"
    for total, parts in (
        ("input_tokens", PARTS.keys() - _OF_OUTPUT - {"web_searches"}),
        ("output_tokens", _OF_OUTPUT),
    ):
        if total not in usage and any(usd.get(part) for part in parts):
            return None, missing(usage, total)
    unsaid = usage.get("input_audio_tokens") and "cache_audio_tokens" not in usage
    if unsaid and usage.get("cache_read_tokens") and not _HEARD.isdisjoint(usd):
        return None, "the provider did not say how much of the audio was cached"
    cost = Decimal(usage.get("web_searches", 0)) * usd.get("web_searches", 0) / 1_000
    for part, count in parts_of(usage, apart=usd).items():
        if count < 0:
            return None, f"the usage does not add up: its parts are {-count} {part} tokens more than the whole"
        rate = next((usd[name] for name in (part, *PARTS[part]) if name in usd), None)
        if rate is None and count:
            return None, f"{part} has no price"
        cost += count * (rate or Decimal(0)) / _MTOK
    return nusd_of(cost), ""


def parts_of(usage: Mapping[str, int], *, apart: Collection[str] = PARTS) -> dict[str, int]:
    """A usage in disjoint parts, by the names of their prices: those of the input add up to it, those of the output
    too. Audio that has no price ``apart`` is left in the whole. A negative part is one too many elsewhere."""
    parts: dict[str, int] = {}
    if "input_tokens" in usage:
        is_heard = not _HEARD.isdisjoint(apart)
        both = usage.get("cache_audio_tokens", 0) if is_heard else 0
        heard = usage.get("input_audio_tokens", both) if is_heard else 0
        read, hour = usage.get("cache_read_tokens", both), usage.get("cache_write_1h_tokens", 0)
        written = usage.get("cache_write_tokens", hour)
        parts |= {"cache_audio": both, "cache_read": read - both, "input_audio": heard - both}
        parts |= {"cache_write_1h": hour, "cache_write": written - hour}
        parts["input"] = usage["input_tokens"] - sum(parts.values())
    if "output_tokens" in usage:
        spoken = usage.get("output_audio_tokens", 0) if "output_audio" in apart else 0
        aside = {"reasoning": usage.get("reasoning_tokens", 0), "output_audio": spoken}
        parts |= {**aside, "output": usage["output_tokens"] - sum(aside.values())}
    return parts


def missing(usage: Mapping[str, int], name: str) -> str:
    return f"the provider reported no {name.replace('_', ' ')}" if usage else "the provider reported no usage"


def nusd_of(usd: Decimal) -> int:
    return int((usd * _NUSD).to_integral_value(rounding=ROUND_HALF_EVEN))
