"""Money that a replay may spend on live model calls, asked for before each one.

What a call will cost is not known before its end. It is expected to use what the recorded call used, or, where the
record does not hold it, as much as the largest call of the trace; so much is set aside until the call has ended.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any, Mapping
from urllib.parse import urlsplit

from tracer import recorder
from tracer.catalogue import Target
from tracer.model import Step, Trace, Usage
from tracer.pricing import price_call
from tracer.providers import provider_of
from tracer.wire import HttpRequest


class Budget:
    """``limit_nusd`` None: anything may be spent, it is only counted. The caller holds a lock."""

    def __init__(self, limit_nusd: int | None, trace: Trace) -> None:
        self.spent_nusd = 0
        #: Models that answered and whose price nobody knows.
        self.unpriced: list[str] = []
        self._limit_nusd = limit_nusd
        self._set_aside: dict[str, int] = {}
        used = [step.call.usage for step in trace.steps if step.call is not None]
        self._largest = max(used, key=tokens, default=Usage())

    def refusal(self, step_id: str, request: HttpRequest, target: Target | None, recorded: Step | None) -> str | None:
        """Why a live call may not begin, in words; None where it may, and money is set aside for it."""
        if self._limit_nusd is None:
            return None
        if self.unpriced:
            return f"No price is known for {self.unpriced[0]}, so the budget can't be held. {_DECLARE}"
        call = asked(request, target)
        usage = self._largest if recorded is None or recorded.call is None else recorded.call.usage
        counted = asdict(usage) if tokens(usage) else {"input_tokens": 0, "output_tokens": 0}
        cost, reason = price_call({**call, "usage": counted}, at_ns=time.time_ns())
        if cost is None:
            return f"What a call of {call['model'] or 'this model'} costs is not known ({reason}). {_DECLARE}"
        taken_nusd = self.spent_nusd + sum(self._set_aside.values())
        if taken_nusd + cost.nusd > self._limit_nusd:
            running = taken_nusd - self.spent_nusd
            return (
                f"The budget is {_usd(self._limit_nusd)}; {_usd(self.spent_nusd)} is spent, {_usd(running)} set aside "
                f"for calls that still run, and this one may cost {_usd(cost.nusd)}: give more with --budget-usd"
            )
        self._set_aside[step_id] = cost.nusd
        return None

    def settle(self, step_id: str, call: Mapping[str, Any], *, at_ns: int) -> None:
        """A model call has ended: what it really cost takes the place of what was set aside."""
        self._set_aside.pop(step_id, None)
        cost, _ = price_call(call, at_ns=at_ns)
        if cost is None:
            self.unpriced.append(str(call.get("model") or call.get("model_asked") or "an unnamed model"))
        else:
            self.spent_nusd += cost.nusd


_DECLARE = "Declare one where the model is configured, Target(..., price=Price(...)) or FREE, or leave out --budget-usd"


def asked(request: HttpRequest, target: Target | None) -> dict[str, Any]:
    """A call as pricing reads it, before it is made."""
    if target is not None and target.call is not None:
        model: str | None = target.name
        provider: str | None = "local"
    else:
        body = request.body if isinstance(request.body, Mapping) else {}
        model = target.asked_as if target is not None else body.get("model")
        parts = urlsplit(request.url if target is None or target.url is None else target.url)
        provider = provider_of(parts.hostname or "", parts.path)
    price = target.price if target is not None and target.price is not None else recorder.catalogue().price_of(model)
    declared = {} if price is None else {"price": {"input_nusd": price.input_nusd, "output_nusd": price.output_nusd}}
    return {"provider": provider, "model": model, "model_asked": model, **declared}


def tokens(usage: Usage) -> int:
    """Asked and answered together."""
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _usd(nusd: int) -> str:
    return f"${nusd / 1e9:.6f}".rstrip("0").rstrip(".")
