"""What a run came to, counted from its recorded traces and from the intents that people chose. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Mapping, Sequence

from support.pipeline import Guess, Outcome
from tracer.model import PayloadRef, Trace

ValueOf = Callable[[PayloadRef], Any]


@dataclass(frozen=True, slots=True)
class Right:
    """How often a model was right: of ``asked`` tickets, ``unusable`` were answered with nothing that could be read."""

    asked: int = 0
    right: int = 0
    unusable: int = 0

    @property
    def share(self) -> float:
        return self.right / self.asked if self.asked else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of tickets, latencies in nanoseconds, cost in billionths of a dollar. ``cost_nusd`` is None if unknown."""

    tickets: int
    answered: int
    escalated: int
    failed: int
    fell_back: int
    p50_ns: int
    p95_ns: int
    cost_nusd: int | None
    accuracy: Mapping[str, Right]


def figures(traces: Sequence[Trace], labels: Mapping[str, str], value_of: ValueOf, *, classifier: str) -> Figures:
    """``labels`` gives the true intent of each ticket's text; ``classifier`` is who is asked in the step classify."""
    outcomes = [outcome for trace in traces if (outcome := outcome_of(trace, value_of)) is not None]
    latencies = [trace.summary.duration_ns for trace in traces if trace.summary.duration_ns is not None]
    unpriced = any(trace.summary.unpriced for trace in traces)
    return Figures(
        tickets=len(traces),
        answered=len(outcomes),
        escalated=sum(trace.summary.status == "waiting" for trace in traces),
        failed=sum(trace.summary.status == "failed" for trace in traces),
        fell_back=sum(outcome.fell_back for outcome in outcomes),
        p50_ns=percentile(latencies, 0.5),
        p95_ns=percentile(latencies, 0.95),
        cost_nusd=None if unpriced else sum(trace.summary.cost_nusd for trace in traces),
        accuracy=_accuracy(traces, labels, value_of, classifier=classifier),
    )


def outcome_of(trace: Trace, value_of: ValueOf) -> Outcome | None:
    """What the workflow returned; None where it did not."""
    root = trace.root
    if root is None or root.output is None or root.failure is not None:
        return None
    value = value_of(root.output)
    return value if isinstance(value, Outcome) else None


def ticket_of(trace: Trace, value_of: ValueOf) -> str:
    """The ticket that a trace is about."""
    root = trace.root
    assert root is not None
    assert root.input is not None
    return str(value_of(root.input)["ticket"])


def percentile(values: Iterable[int], share: float) -> int:
    """The smallest value that at least this share of all values does not exceed; 0 where there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0


def _accuracy(
    traces: Sequence[Trace], labels: Mapping[str, str], value_of: ValueOf, *, classifier: str
) -> dict[str, Right]:
    found: dict[str, Right] = defaultdict(Right)
    for trace in traces:
        label = labels[ticket_of(trace, value_of)]
        for step in trace.steps:
            if step.name not in {"classify", "second_opinion"}:
                continue
            guess = value_of(step.output) if step.output is not None and step.failure is None else None
            usable = isinstance(guess, Guess)
            model = guess.model if isinstance(guess, Guess) else classifier
            so_far = found[model]
            right = isinstance(guess, Guess) and guess.intent == label
            found[model] = Right(so_far.asked + 1, so_far.right + right, so_far.unusable + (not usable))
    return dict(found)
