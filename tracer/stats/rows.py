"""What is told of many runs, of a step, of a model: frozen figures, each with its interval."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Iterable, Mapping

from tracer.stats.intervals import Estimate, Interval, Share, mean, quantile


@dataclass(frozen=True, slots=True)
class Latency:
    """Of those that ended, in nanoseconds."""

    p50: Estimate
    p95: Estimate
    p99: Estimate

    @classmethod
    def of(cls, durations_ns: Iterable[int]) -> Latency:
        ordered = sorted(durations_ns)
        return cls(*(quantile(ordered, q) for q in (0.5, 0.95, 0.99)))


@dataclass(frozen=True, slots=True)
class Money:
    """In billionths of a dollar. ``mean`` is over those whose price is known. ``unpriced`` are the others: above zero,
    ``total_nusd`` is a floor."""

    total_nusd: int
    mean: Estimate
    unpriced: int

    @classmethod
    def of(cls, known: list[int], *, unpriced: int, floor_nusd: int = 0) -> Money:
        """``floor_nusd`` is what is known of those that are not known whole."""
        return cls(sum(known) + floor_nusd, mean(known), unpriced)


@dataclass(frozen=True, slots=True)
class Time:
    """Where the time of runs that ended went, in nanoseconds, what ran at once counted once: ``models`` while a model
    call ran, ``outside`` while only tools, retrievers, rerankers, HTTP calls or humans did, ``own`` is the rest: what
    orchestration takes. ``model_share`` is of the sums."""

    models_ns: int
    outside_ns: int
    own_ns: int
    model_share: Estimate
    own_share: Estimate


@dataclass(frozen=True, slots=True)
class Runs:
    """Many runs. ``completion`` and ``errors`` are of those that ended, the other shares are of all."""

    name: str
    traces: int
    statuses: Mapping[str, int]
    completion: Share
    errors: Share
    #: Runs in which another target than the first candidate answered.
    fallback: Share
    #: Runs that put a question to a human.
    escalation: Share
    #: Runs in which a model call was tried again.
    retry: Share
    latency: Latency
    time: Time
    cost: Money

    def figures(self) -> dict[str, Interval]:
        """Those that two sides are compared by."""
        return {
            "completion": self.completion,
            "errors": self.errors,
            "fallback": self.fallback,
            "escalation": self.escalation,
            "retry": self.retry,
            **_times(self.latency),
            "model share": self.time.model_share,
            "orchestration share": self.time.own_share,
            "cost": self.cost.mean,
        }


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step at all places of one path, occurrences aside. ``cost_nusd`` is what the model calls in it cost, at any
    depth; None where nothing in it ever called one. With ``unpriced`` calls among them it is a floor.

    ``changed`` answers what removing it would have changed: of its decisions, those by which something else happened
    than the first candidate's answer as it was; a guardrail that stopped a run is one. None: not identified, because
    what the rest would have done without this step's output is nowhere in the record."""

    name: str
    kind: str
    runs: int
    errors: Share
    latency: Latency
    total_ns: int
    cost_nusd: int | None
    unpriced: int
    changed: Share | None

    def figures(self) -> dict[str, Interval]:
        return {"errors": self.errors, **_times(self.latency)}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """The calls that one model answered, or was asked for where none did."""

    name: str
    calls: int
    errors: Share
    #: Calls that are a later attempt.
    retries: Share
    latency: Latency
    cost: Money

    def figures(self) -> dict[str, Interval]:
        return {"errors": self.errors, "retries": self.retries, **_times(self.latency), "cost": self.cost.mean}


Row = Runs | StepRow | ModelRow


@dataclass(frozen=True, slots=True)
class Link:
    """A scored step of a chain: how often it was right, and how often the end was, where it was right and where it was
    wrong; runs in which both were scored. ``matters`` is the first of these less the second: an association, and not
    what mending the step would do."""

    path: str
    score: str
    right: Share
    end_if_right: Share
    end_if_wrong: Share
    matters: Estimate


@dataclass(frozen=True, slots=True)
class Chain:
    """How accurate several steps in a row are. ``end`` is the root's own score of that ``score`` name; ``product`` is
    what the steps' shares would make if they erred independently of each other and every error told at the end,
    ``all_right`` how often all scored steps of a run were right."""

    workflow: str
    score: str
    end: Share
    product: Estimate
    all_right: Share
    links: tuple[Link, ...]
    #: Scores that are texts, and so neither right nor wrong by themselves.
    unread: int


@dataclass(frozen=True, slots=True)
class Compared:
    """One row on both sides (None where a side has none of it), and each figure's second less first."""

    name: str
    before: Row | None
    after: Row | None
    differences: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Stats:
    """What was asked for: ``whole`` is all of it, ``rows`` are by what ``by`` says. Where two sides were compared, they
    are named in ``sides`` and stand in ``compared``, whole first."""

    by: str
    what: str
    whole: Runs
    rows: tuple[Row, ...]
    chains: tuple[Chain, ...] = ()
    sides: tuple[str, str] | None = None
    compared: tuple[Compared, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For a program; shares with their ``value``."""
        plain: dict[str, Any] = _with_values(self)
        return plain


def _times(latency: Latency) -> dict[str, Interval]:
    return {"p50": latency.p50, "p95": latency.p95, "p99": latency.p99}


def _with_values(value: Any) -> Any:
    if isinstance(value, Share):
        return {"value": value.value, **asdict(value)}
    if isinstance(value, tuple):
        return [_with_values(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _with_values(each) for name, each in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {name: _with_values(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
