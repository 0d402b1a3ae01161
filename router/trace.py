"""The router's decisions as recorded steps. Outside a workflow it just decides."""

from __future__ import annotations

import math
from typing import Awaitable, Callable, Sequence, TypeVar, get_args

from router.confidences import Confidence
from router.deciding.bands import Band, Bands, Choice
from router.flow import Answered, Reject
from router.retry import On
from router.router import Router
from tracer import current, step
from tracer.catalogue import Target
from tracer.decisions import DECISION, Decision

T = TypeVar("T")


@step(kind="router")
def route(confidence: float | Confidence, bands: Bands) -> Choice:
    """Say which band a confidence falls into; a step of kind router that holds the thresholds and the reason."""
    value, source = (confidence.value, confidence.source) if isinstance(confidence, Confidence) else (confidence, None)
    choice = bands.choose(value)
    decision = Decision(
        "confidence",
        choice.band,
        choice.reason,
        get_args(Band),
        None if math.isnan(choice.confidence) else choice.confidence,
        source,
        {"sure": bands.sure, "hopeless": bands.hopeless},
    )
    current().set(tags={DECISION: decision.as_tag()})
    return choice


def fallback(
    targets: Sequence[Target],
    call: Callable[[Target], T],
    *,
    on: On,
    reject: Reject | None = None,
    name: str = "fallback",
) -> Answered[T]:
    """Call the targets in order until one answers: a ``Router`` in short.

    ``on`` says after which exceptions the next one is tried (classes, or a function of the exception): there is no
    default, because only the caller knows what a second try is good for. ``reject`` gives the reason why a result won't
    do, or None. A step of kind router, with one step of kind attempt per try. Raises AllTargetsFailed, or as it is any
    error that ``on`` does not name.
    """
    return Router(targets, on=on, reject=reject, name=name).call(lambda attempt: call(attempt.target))


async def fallback_async(
    targets: Sequence[Target],
    call: Callable[[Target], Awaitable[T]],
    *,
    on: On,
    reject: Reject | None = None,
    name: str = "fallback",
) -> Answered[T]:
    """``fallback`` for coroutines."""
    return await Router(targets, on=on, reject=reject, name=name).acall(lambda attempt: call(attempt.target))
