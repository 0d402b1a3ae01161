"""The models that a plan's substitutions name."""

from __future__ import annotations

import time

from replay.errors import PlanError
from replay.plan import Plan, Rule, within
from tracer import recorder
from tracer.catalogue import Target
from tracer.errors import UnknownModel
from tracer.model import Trace
from tracer.pricing import price_call

#: Before the name of a model that is no name of the catalogue.
_SAME = "same:"


def targets(plan: Plan, trace: Trace) -> dict[int, Target]:
    """The target of each substitution. Raises PlanError for a model that nobody knows."""
    return {id(rule): _target(rule, trace) for rule in plan.rules if rule.verb == "substitute"}


def _target(rule: Rule, trace: Trace) -> Target:
    """A Target as it is; a name of the catalogue; or ``same:NAME``, another model of the provider that was asked, whose
    price list may make ``same:`` unnecessary."""
    if not isinstance(rule.value, str):
        return rule.value  # type: ignore[no-any-return]  # substitute() takes nothing else
    try:
        return recorder.catalogue().get(rule.value)
    except UnknownModel as error:
        name = rule.value.removeprefix(_SAME)
        if name and (name != rule.value or _is_sold(name, rule.pattern, trace)):
            return Target(name)
        raise PlanError(f"{rule}: {error}; {_SAME}{rule.value} is a model of the provider that was asked") from None


def _is_sold(model: str, pattern: str, trace: Trace) -> bool:
    """Whether a provider that these steps asked has a model of this name."""
    called = [step.call for step in trace.steps if step.call is not None and within(pattern, step.path)]
    counted = {"input_tokens": 1, "output_tokens": 1}
    return any(
        price_call({"provider": provider, "model": model, "usage": counted}, at_ns=time.time_ns())[0] is not None
        for provider in {call.provider for call in called if call.provider is not None}
    )
