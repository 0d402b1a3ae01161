"""What a rule measures, right now: out of the runs, steps and calls that ended in its window."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping

from tracer.alerts.rules import COSTS, Rule
from tracer.seen import CallSeen, RunSeen, StepSeen
from tracer.stats.intervals import quantile
from tracer.stats.measure import decision_of
from tracer.store import Store
from tracer.store.arrivals import Period

_OCCURRENCE = re.compile(r"\[\d+\]")
_DAY_NS = 24 * 3600 * 10**9
_HOUR_NS = 3600 * 10**9
_FAILED = ("failed", "interrupted")


@dataclass(frozen=True, slots=True)
class Reading:
    """A measure of one alert. ``of`` is the value of what the rule is by, empty where it is by nothing. ``value`` is
    None where ``count`` is too few to say. With ``unpriced`` calls a cost is a floor."""

    of: str
    value: float | None
    count: int
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class _One:
    """A run, a step or a call, as all measures take it."""

    by: str
    took_ns: int
    is_bad: bool
    cost_nusd: int | None = 0


@dataclass(slots=True)
class Looking:
    """One look at a store: what several rules need is read once."""

    store: Store
    now_ns: int
    _read: dict[Any, Any] = field(default_factory=dict)

    def readings(self, rule: Rule) -> list[Reading]:
        """One for each value of what the rule is by that was seen; without ``by`` always one."""
        groups: defaultdict[str, list[_One]] = defaultdict(list)
        if rule.by is None:
            groups[""] = []
        for one in self._those(rule):
            groups[one.by].append(one)
        return [_reading(rule, of, each) for of, each in sorted(groups.items())]

    def _those(self, rule: Rule) -> Iterable[_One]:
        back_ns = self.now_ns % _DAY_NS if rule.measure == "budget" else rule.window_ns
        period = Period(self.now_ns - back_ns, self.now_ns, rule.workflow)
        if rule.subject == "runs":
            return self._runs(rule, period)
        return self._steps(rule, period) if rule.subject == "steps" else self._calls(rule, period)

    def _runs(self, rule: Rule, period: Period) -> Iterable[_One]:
        runs: list[RunSeen] = self._once(period, "runs", lambda: period.runs(self.store))
        # one that waits for a human has not come to its end, and how long one took that was killed is not known
        open_ones = {"waiting"} if rule.measure == "failure_rate" else {"waiting", "interrupted"}
        ended = [run for run in runs if run.status not in open_ones]
        if rule.measure == "fallback_rate":
            fell_back = self._once(period, "fell back", lambda: _fell_back(self._all_steps(period, every_step=False)))
        for run in ended:
            is_bad = run.trace_id in fell_back if rule.measure == "fallback_rate" else run.status in _FAILED
            yield _One(run.workflow if rule.by else "", (run.ended_ns or 0) - run.started_ns, is_bad)

    def _steps(self, rule: Rule, period: Period) -> Iterable[_One]:
        for step in self._all_steps(period, every_step=rule.measure != "fallback_rate"):
            path = _OCCURRENCE.sub("", step.path)
            if "/" not in path or (rule.step is not None and not _is(path, rule.step)):
                continue
            is_bad = step.outcome == "failed"
            if rule.measure == "fallback_rate":
                decision = decision_of(step.tags)
                if decision is None:
                    continue
                is_bad = decision.fell_back
            by = path if rule.by == "step" else path.split("/")[0] if rule.by else ""
            yield _One(by, (step.ended_ns or 0) - step.started_ns, is_bad)

    def _calls(self, rule: Rule, period: Period) -> Iterable[_One]:
        replays = rule.measure in COSTS
        calls: list[CallSeen] = self._once(
            period, f"calls {replays}", lambda: period.calls(self.store, replays=replays)
        )
        by: Mapping[str | None, Callable[[CallSeen, str], str]] = {
            None: lambda _, __: "",
            "model": lambda call, _: call.model or "unknown",
            "step": lambda _, path: path,
            "workflow": lambda _, path: path.split("/")[0],
        }
        for call in calls:
            path = _OCCURRENCE.sub("", call.path)
            if (
                not call.counts
                or (rule.model is not None and call.model != rule.model)
                or (rule.step is not None and not _is_in(path, rule.step))
            ):
                continue
            took_ns = (call.ended_ns or 0) - call.started_ns
            yield _One(by[rule.by](call, path), took_ns, call.outcome == "failed", call.cost_nusd)

    def _all_steps(self, period: Period, *, every_step: bool) -> list[StepSeen]:
        found: list[StepSeen] = self._once(
            period, f"steps {every_step}", lambda: period.steps(self.store, every_step=every_step)
        )
        return found

    def _once(self, period: Period, what: str, read: Callable[[], Any]) -> Any:
        if (period, what) not in self._read:
            self._read[period, what] = read()
        return self._read[period, what]


def _reading(rule: Rule, of: str, each: list[_One]) -> Reading:
    unpriced = sum(one.cost_nusd is None for one in each)
    if len(each) < rule.at_least or (not each and rule.measure not in COSTS):
        return Reading(of, None, len(each), unpriced)
    if rule.measure in COSTS:
        dollars = sum(one.cost_nusd or 0 for one in each) / 1e9
        value: float | None = dollars if rule.measure == "budget" else dollars * _HOUR_NS / rule.window_ns
    elif rule.measure == "p95":
        found = quantile(sorted(one.took_ns for one in each), 0.95).value
        value = None if found is None else found / 1e9
    else:
        value = sum(one.is_bad for one in each) / len(each)
    return Reading(of, value, len(each), unpriced)


def _fell_back(steps: Iterable[StepSeen]) -> set[str]:
    return {step.trace_id for step in steps if (told := decision_of(step.tags)) is not None and told.fell_back}


def _is(path: str, step: str) -> bool:
    """Whether the path is the step's: in full, or by its last names."""
    return path == step or path.endswith(f"/{step}")


def _is_in(path: str, step: str) -> bool:
    names = path.split("/")
    return any(_is("/".join(names[:end]), step) for end in range(1, len(names) + 1))
