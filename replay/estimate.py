"""What a plan may cost, told before anything runs: each model call that would or may be made, at its model's price.

A call is expected to use what the recorded one used, as a budget expects it (replay.budget). An answer may be longer
than the recorded one, and a new way may lead to calls that the record does not hold: only a budget is a bound.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Mapping, Sequence

from replay.budget import asked, tokens
from replay.plan import Plan
from replay.preview import GOES_LIVE, PreviewRow
from replay.record import MODEL_KINDS, Record
from tracer.catalogue import Target
from tracer.model import Step
from tracer.pricing import price_call
from tracer.wire import HttpRequest


@dataclass(frozen=True, slots=True)
class Estimate:
    """Model calls that would be made, and that may be made where an input comes out another; each with its cost in
    billionths of a dollar. ``unpriced`` are models whose price nobody knows: with one of them the sums are floors."""

    calls: int = 0
    nusd: int = 0
    maybe_calls: int = 0
    maybe_nusd: int = 0
    unpriced: tuple[str, ...] = ()
    #: By the path of the step, what its call costs; None where that is not known.
    by_path: Mapping[str, int | None] = field(default_factory=dict)


def estimate(record: Record, plan: Plan, targets: Mapping[int, Target], rows: Sequence[PreviewRow]) -> Estimate:
    """What the model calls of a preview come to. ``targets`` are the models of the plan's substitutions, by rule."""
    steps = {step.path: step for step in record.trace.steps}
    found: dict[str, int | None] = {}
    sums, counts, unpriced = {"live": 0, "unknown": 0}, {"live": 0, "unknown": 0}, dict[str, None]()
    for row in rows:
        is_call = row.kind in MODEL_KINDS and (row.word == "live" or row.reason.endswith(GOES_LIVE))
        if not is_call or row.word not in sums or record.below(steps[row.path].step_id):
            continue
        cost, model = _cost(record, plan, targets, steps[row.path])
        found[row.path] = cost
        counts[row.word] += 1
        sums[row.word] += cost or 0
        if cost is None:
            unpriced[model] = None
    return Estimate(counts["live"], sums["live"], counts["unknown"], sums["unknown"], tuple(unpriced), found)


def _cost(record: Record, plan: Plan, targets: Mapping[int, Target], step: Step) -> tuple[int | None, str]:
    """What this call costs, and the model that it asks."""
    rule = plan.rule_above("substitute", step.path)
    target = None if rule is None else targets.get(id(rule))
    request = None if step.input is None else record.value(step.input)
    if isinstance(request, HttpRequest):
        call = asked(request, target)
    else:
        model = None if step.call is None else step.call.model or step.call.model_asked
        call = {"provider": None if step.call is None else step.call.provider, "model": model, "model_asked": model}
    name = str(call["model"] or "an unnamed model")
    usage = None if step.call is None else step.call.usage
    counted = asdict(usage) if usage is not None and tokens(usage) else {"input_tokens": 0, "output_tokens": 0}
    cost, _ = price_call({**call, "usage": counted}, at_ns=time.time_ns())
    return (None if cost is None else cost.nusd), name
