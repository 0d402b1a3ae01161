"""The attempts of one call, as readers show them: one call, and what became of each attempt. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import Iterable, Mapping, Sequence

from tracer import format as form
from tracer.model import Step


def first_of(step: Step) -> str | None:
    """The id of the step that began the call which this one is a later attempt of."""
    first = step.tags.get("retry_of")
    return first if isinstance(first, str) else None


def attempts_in(steps: Iterable[Step]) -> Mapping[str, Sequence[Step]]:
    """By the id of the first: all attempts of each call that took more than one, in the order they were made."""
    groups: dict[str, list[Step]] = defaultdict(list)
    known: dict[str, Step] = {}
    for step in steps:
        known[step.step_id] = step
        first = first_of(step)
        if first in known:
            groups[first] = [*(groups.get(first) or [known[first]]), step]
    return groups


def in_words(attempts: Sequence[Step]) -> str:
    """``3 attempts: 429, 429, 200``."""
    said = [str(following.tags.get("after", "?")) for following in attempts[1:]]
    return f"{form.plural(len(attempts), 'attempt')}: {', '.join([*said, _end_of(attempts[-1])])}"


def _end_of(step: Step) -> str:
    if step.call is not None and step.call.status_code:
        return str(step.call.status_code)
    if step.failure is not None:
        return form.type_name(step.failure.type)
    return "ok" if step.status == "completed" else step.status
