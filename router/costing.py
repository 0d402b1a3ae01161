"""What the calls inside a budget cost: told by tracer as each model call of a workflow ends, or read from a result."""

from __future__ import annotations

import time
from typing import Any, Mapping

from router.limits import Limits, count, in_force, pay
from tracer.catalogue import Target
from tracer.context import METERS, ActiveStep
from tracer.guard import guard

#: OpenAI's and Anthropic's words for what tracer calls input_tokens and output_tokens.
_WORDS = {"input_tokens": ("input_tokens", "prompt_tokens"), "output_tokens": ("output_tokens", "completion_tokens")}


def meter(step: ActiveStep, call: Mapping[str, Any]) -> None:
    """A model call of a workflow has ended. Served from the record it counts as it did when it was made: a budget is
    part of the program, and the program runs again."""
    limits = in_force()
    tags, _ = step.described()
    if limits.tab is not None and tags and "retry_of" in tags:
        limits.tab.sdk_retries += 1
    if limits.tab is not None or limits.purses:
        count(limits)
    if _counts_money(limits):
        source = step.decision.source if call.get("served") else None
        if source is not None and source.call is not None and source.call.cost is not None:
            pay(limits, source.call.cost.nusd, "")
        else:
            _pay_for(limits, {**call, "served": False})


METERS.append(meter)


#: What an attempt gave that gave nothing, not even None.
NOTHING: Any = object()


def settle(limits: Limits, target: Any, value: Any) -> None:
    """An attempt has ended with this result. What tracer did not see of it is read from the result: ``value.model`` and
    ``value.usage``, as SDKs give them."""
    tab = limits.tab
    if tab is None or tab.calls or not limits.purses or not isinstance(target, Target):
        return
    tab.calls += 1
    if value is NOTHING or not _counts_money(limits):
        return
    model = getattr(value, "model", None) or target.asked_as
    with guard("tell what a call cost"):
        _pay_for(limits, {"model": model, "usage": _usage(getattr(value, "usage", None)), "status_code": 200})


def _counts_money(limits: Limits) -> bool:
    return any(purse.nusd is not None for purse in limits.purses)


def _pay_for(limits: Limits, call: Mapping[str, Any]) -> None:
    # Imported here: what has no budget needs no prices.
    from tracer.pricing import price_call  # noqa: PLC0415

    price = None if limits.tab is None or "price" in call else limits.tab.price
    if price is not None:
        call = {**call, "price": {"input_nusd": price.input_nusd, "output_nusd": price.output_nusd}}
    cost, why = price_call(call, at_ns=time.time_ns())
    if cost is not None:
        pay(limits, cost.nusd, "")
    elif call.get("status_code"):  # a call that got no answer reports no usage, and closes no budget
        pay(limits, None, f"{call.get('model') or call.get('model_asked') or 'a model'}: {why}")


def _usage(usage: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, words in _WORDS.items():
        for word in words:
            value = usage.get(word) if isinstance(usage, Mapping) else getattr(usage, word, None)
            if isinstance(value, int) and not isinstance(value, bool):
                counts[name] = value
                break
    return counts
