"""What each address answers as JSON, where that is not one of the values of the lower floors: its parts by name.

The pages write these from what they have; tests/web/test_api.py holds what they write to what is said here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from replay.answering.question import Question
from replay.backtest.outcome import Outcome
from replay.backtest.report import Failures, Labels
from replay.estimate import Estimate as PlanEstimate
from replay.preview import PreviewRow
from router.breaker.history import Known
from router.registry.policy import Tally
from router.tuning.curve import Gap, Point
from tracer.health import Status as Process
from tracer.model import Escalation, TraceSummary
from tracer.stats.intervals import Difference, Share
from tracer.stats.rows import Chain, Compared, ModelRow, Row, Runs, Stats, StepRow
from tracer.store import Facets, Hit, Problem, StoreFacts
from web.view.bins import Bin
from web.view.models import Told
from web.view.steps import Example


@dataclass(frozen=True, slots=True)
class Error:
    """Why there is no answer, and what to do about it; either may say nothing more than the status does."""

    error: str
    hint: str


@dataclass(frozen=True, slots=True)
class Traces:
    """A page of the list, newest first. ``filter`` is what it shows in words, ``query`` the same as a query string,
    ``problems`` what was left out of it. ``followers`` are the replays of a trace, ``hits`` where one of the words
    stands, both by trace id. ``next`` is the address of the page after this one."""

    filter: str
    query: str
    terms: list[str]
    problems: list[Problem]
    facets: Facets
    traces: list[TraceSummary]
    followers: Mapping[str, list[str]]
    hits: Mapping[str, Hit]
    next: str | None


@dataclass(frozen=True, slots=True)
class News:
    """What came since: how many newer traces (more than 100 are not counted), and which of the open ones changed."""

    new: int
    changed: list[str]


@dataclass(frozen=True, slots=True)
class Deletable:
    """The traces that would go: those asked for that are there and do not run."""

    delete: list[str]


@dataclass(frozen=True, slots=True)
class PlanCost(PlanEstimate):
    """What the model calls of a plan come to, in billionths of a dollar; with ``unpriced`` models a floor."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan would do: each step's fate in ``rows``, its cost in ``estimate``, and which of its edits don't fit,
    by path. ``problem`` is why it can't be played; ``models`` may be named in it."""

    models: list[str]
    problem: str
    edits: Mapping[str, str]
    rows: list[PreviewRow]
    estimate: PlanCost


@dataclass(frozen=True, slots=True)
class ReplayForm:
    """``plan`` is None where nothing may be run here, or the workflow can't be found."""

    trace_id: str
    can_run: bool
    rules: list[str]
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class RunState:
    """How far a run is: ``done`` of ``of`` (0: not known). ``told`` is what it printed at its end."""

    run: str
    kind: str
    of: int
    state: str
    done: int
    told: Mapping[str, Any]
    problem: str


@dataclass(frozen=True, slots=True)
class Asked:
    escalation: Escalation
    question: Question


@dataclass(frozen=True, slots=True)
class Overview:
    """Figures of the newest traces of a filter; ``bounded`` says that there are more. They are ``age_s`` seconds old.
    ``bin`` names the length of a span of ``by_time``; ``refused`` is why there is no ``comparison``."""

    filter: str
    query: str
    bounded: bool
    age_s: int
    refused: str
    by: str
    what: str
    whole: Runs
    rows: list[Row]
    chains: list[Chain]
    sides: list[str] | None
    compared: list[Compared]
    by_model: list[ModelRow]
    by_step: list[StepRow]
    by_time: list[Bin]
    bin: str
    comparison: Stats | None


@dataclass(frozen=True, slots=True)
class ModelFigures:
    figures: ModelRow
    calls: Told | None


@dataclass(frozen=True, slots=True)
class Models:
    filter: str
    query: str
    bounded: bool
    models: list[ModelFigures]


@dataclass(frozen=True, slots=True)
class StepFigures:
    figures: StepRow
    slowest: Example | None


@dataclass(frozen=True, slots=True)
class Steps:
    filter: str
    query: str
    bounded: bool
    steps: list[StepFigures]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a router took what it took, how often; the words are those of one case."""

    chosen: str
    reason: str
    times: int


@dataclass(frozen=True, slots=True)
class Routed:
    """One router. ``answers`` counts by target, ``breakers`` by target and state."""

    router: str
    policies: Mapping[str, int]
    candidates: list[str]
    decisions: int
    ended: int
    failed: int
    fell_back: int
    retried: int
    waits: int
    waited_s: float
    answers: Mapping[str, int]
    breakers: Mapping[str, Mapping[str, int]]
    reasons: list[Reason]


@dataclass(frozen=True, slots=True)
class Transition:
    name: str
    was: str
    now: str
    heard: str
    reason: str
    at_ns: int
    trace_id: str
    path: str
    is_trip: bool


@dataclass(frozen=True, slots=True)
class Routes:
    since: str
    routers: list[Routed]
    breakers: list[Known]
    transitions: list[Transition]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A role that only traces speak of."""

    targets: Mapping[str, str]
    counted: Mapping[str, Tally]


@dataclass(frozen=True, slots=True)
class Canaries:
    """``roles`` by name: the role as ``playhead roles --json`` writes it, its ``arms``, ``verdict`` and ``history``."""

    since: str
    roles: Mapping[str, Mapping[str, Any]]
    elsewhere: Mapping[str, Elsewhere]
    problem: str


@dataclass(frozen=True, slots=True)
class Cascade:
    workflow: str
    step: str
    runs: int


@dataclass(frozen=True, slots=True)
class Recommended:
    accept: float | None
    point: Point | None
    why: str


@dataclass(frozen=True, slots=True)
class Tuning:
    """The curve of a cascade. ``left`` says of how many runs, and why, nothing is counted."""

    workflow: str
    step: str
    cheap: str
    dear: str
    runs: int
    points: list[Point]
    dear_alone: Point
    current: list[float]
    gap: Gap | None
    left: Mapping[str, int]
    recommendation: Recommended | None


@dataclass(frozen=True, slots=True)
class NoThresholds:
    """There is no curve: ``problem`` says why, where one was asked for."""

    cascades: list[Cascade]
    scorers: list[str]
    problem: str
    tuning: None
    at: None


@dataclass(frozen=True, slots=True)
class Thresholds:
    cascades: list[Cascade]
    scorers: list[str]
    problem: str
    scorer: str
    tuning: Tuning
    at: Point


@dataclass(frozen=True, slots=True)
class Recorder(Process):
    """One recording process."""

    owner: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """How recording fares in all processes, and what is wrong with it in words."""

    queued_events: int
    queued_bytes: int
    written_events: int
    refused_traces: int
    degraded: Mapping[str, int]
    journals_of_dead: int
    journal_bytes_of_dead: int
    journals_of_other_hosts: list[str]
    processes: list[Recorder]
    problems: list[str]


@dataclass(frozen=True, slots=True)
class About(StoreFacts):
    """The facts of the store, and how recording into it fares; None where that is not known."""

    recording: Recording | None


@dataclass(frozen=True, slots=True)
class NoStore:
    """The store can't be asked now."""

    place: str
    problem: str


@dataclass(frozen=True, slots=True)
class SettingIs:
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Health:
    playhead: str
    recording: Recording | None
    store: StoreFacts | NoStore
    revision_of_program: str
    replays: bool
    settings: Mapping[str, SettingIs]


@dataclass(frozen=True, slots=True)
class Backtested:
    """One line of the list: what was asked, and how much of it is done."""

    backtest_id: str
    rules: str
    scorer: str
    done: int
    of: int
    state: str
    spent: str


@dataclass(frozen=True, slots=True)
class TimesProblem:
    problem: str
    traces: int


@dataclass(frozen=True, slots=True)
class Report:
    """A backtest so far. Sums of money are in billionths of a dollar; ``left`` are traces that it did not come to."""

    backtest_id: str
    rules: list[str]
    scorer: str
    traces: int
    done: int
    left: list[str]
    agreement: Share
    mean_score: float | None
    labels: Labels | None
    cost_nusd: Difference
    calls_ns: Difference
    failures: Failures
    stopped: int
    refused: int
    unscored: int
    problems: list[TimesProblem]
    spent_nusd: int
    judge_nusd: int
    unpriced: int
    budget_nusd: int | None
    most_changed: list[str]
    outcomes: list[Outcome]
