"""What stands in for an effect that does not happen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from replay.calling import apart, to_its_end
from tracer.model import Step
from tracer.player import Answer, Call, Decision, Raise


@dataclass(frozen=True, slots=True)
class StandIn:
    """Ask this function for the result. It is the user's code, so it runs when the player's lock is free again."""

    function: Callable[..., Any]
    source: Step | None


def stood_in(call: Call, wanted: StandIn) -> Decision:
    """What the function gives, or raises, for this call."""
    args, kwargs = call.arguments
    try:
        return Answer(apart(lambda: to_its_end(wanted.function(*args, **kwargs))), "stood-in", wanted.source)
    except Exception as error:  # noqa: BLE001 - what a stand-in raises is what the effect raises
        return Raise(error, "stood-in", wanted.source)
