"""The counters: what came of runs that ended is added, and nothing is ever taken back. Pure.

As JSON it lies in the store, so that the numbers go on where they were when the viewer is started anew, when there are
several, and when the traces that they were counted from are gone.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Iterable, Iterator, Mapping, Sequence

from tracer.metrics.families import (
    BOUNDS_NS,
    CALL_SECONDS,
    CALLS,
    COST,
    COUNTED,
    DECISIONS,
    ESCALATIONS,
    FALLBACKS,
    FELL_BACK,
    RETRIES,
    RUN_SECONDS,
    RUNS,
    STEP_SECONDS,
    STEPS,
    TIMED,
    TOKENS,
    UNPRICED,
    Family,
    Histogram,
    Metric,
)
from tracer.metrics.names import Names, named
from tracer.seen import CallSeen, RunSeen, StepSeen
from tracer.stats.measure import decision_of

#: How many names of each label are told apart.
MOST = {"workflow": 30, "step": 200, "model": 30}
_OCCURRENCE = re.compile(r"\[\d+\]")
_BUCKETS = len(BOUNDS_NS) + 1
_Labels = tuple[str, ...]


@dataclass(slots=True)
class Ledger:
    """``counts`` by family and labels; ``times`` likewise, the buckets and the sum behind them."""

    names: dict[str, Names] = field(default_factory=lambda: {label: Names(most) for label, most in MOST.items()})
    counts: defaultdict[str, Counter[_Labels]] = field(default_factory=lambda: defaultdict(Counter))
    times: defaultdict[str, dict[_Labels, list[int]]] = field(default_factory=lambda: defaultdict(dict))

    def add(
        self, runs: Sequence[RunSeen], steps: Sequence[StepSeen], calls: Sequence[CallSeen], *, now_ns: int
    ) -> None:
        """Count runs that ended, with all that they consist of."""
        workflows = {run.trace_id: named(run.workflow) for run in runs}
        seen = [*(step.path for step in steps), *(call.path for call in calls)]
        paths = {path: named(_OCCURRENCE.sub("", path)) for path in set(seen)}
        self._admit("workflow", (workflows[run.trace_id] for run in runs), now_ns)
        # the root is the run
        self._admit("step", (paths[path] for path in seen if "/" in path), now_ns)
        self._admit("model", (named(call.model) for call in calls), now_ns)
        shown = {trace_id: self.names["workflow"].shown(name) for trace_id, name in workflows.items()}
        for run in runs:
            self._run(run, shown[run.trace_id])
        self._fell_back(steps, shown)
        for step in steps:
            self._step(step, (shown[step.trace_id], self.names["step"].shown(paths[step.path])))
        for call in calls:
            self._call(call, (shown[call.trace_id], self.names["step"].shown(paths[call.path])))

    def metrics(self) -> Iterator[Metric]:
        for family in COUNTED:
            yield Metric(family, dict(self.counts.get(family.name, {})))
        for family in TIMED:
            of = self.times.get(family.name, {})
            yield Metric(family, {labels: Histogram(told[:-1], told[-1]) for labels, told in of.items()})

    def _admit(self, label: str, seen: Iterable[str], now_ns: int) -> None:
        gone = self.names[label].admit(Counter(seen), now_ns)
        if gone:
            for family in (*COUNTED, *TIMED):
                if label in family.labels:
                    at = family.labels.index(label)
                    of: dict[_Labels, Any] = (self.counts if family in COUNTED else self.times)[family.name]
                    for labels in [labels for labels in of if labels[at] in gone]:
                        del of[labels]

    def _count(self, family: Family, labels: _Labels, number: int = 1) -> None:
        self.counts[family.name][labels] += number

    def _time(self, family: Family, labels: _Labels, began_ns: int, ended_ns: int | None) -> None:
        if ended_ns is not None:
            # a clock that was set back between the two
            took_ns = max(0, ended_ns - began_ns)
            told = self.times[family.name].setdefault(labels, [0] * (_BUCKETS + 1))
            told[bisect_left(BOUNDS_NS, took_ns)] += 1
            told[-1] += took_ns

    def _run(self, run: RunSeen, workflow: str) -> None:
        self._count(RUNS, (workflow, run.status))
        self._time(RUN_SECONDS, (workflow,), run.started_ns, run.ended_ns)

    def _fell_back(self, steps: Iterable[StepSeen], shown: Mapping[str, str]) -> None:
        fell_back = {step.trace_id for step in steps if (told := decision_of(step.tags)) is not None and told.fell_back}
        for trace_id in fell_back:
            self._count(FELL_BACK, (shown[trace_id],))

    def _step(self, step: StepSeen, labels: _Labels) -> None:
        decision = decision_of(step.tags)
        if decision is not None:
            self._count(DECISIONS, labels)
            self._count(FALLBACKS, labels, int(decision.fell_back))
            self._count(RETRIES, (*labels, "router"), decision.retries)
        if "/" in step.path:
            self._count(STEPS, (*labels, step.kind, step.outcome or "open"))
            self._time(STEP_SECONDS, labels, step.started_ns, step.ended_ns)
            if step.kind == "human":
                self._count(ESCALATIONS, labels)

    def _call(self, call: CallSeen, of_step: _Labels) -> None:
        if not call.counts:
            return
        model = self.names["model"].shown(named(call.model))
        labels = (*of_step, model)
        self._count(CALLS, (*labels, call.outcome or "open"))
        self._count(TOKENS, (*labels, "input"), call.input_tokens or 0)
        self._count(TOKENS, (*labels, "output"), call.output_tokens or 0)
        self._count(COST, labels, call.cost_nusd or 0)
        self._count(UNPRICED, labels, int(call.cost_nusd is None and call.ended_ns is not None))
        self._time(CALL_SECONDS, (of_step[0], model), call.started_ns, call.ended_ns)
        if call.retries:
            self._count(RETRIES, (*of_step, "call"))

    def as_json(self) -> dict[str, Any]:
        return {
            "names": {label: names.seen_ns for label, names in self.names.items()},
            "counts": {name: [[*labels, number] for labels, number in of.items()] for name, of in self.counts.items()},
            "times": {name: [[*labels, told] for labels, told in of.items()] for name, of in self.times.items()},
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Ledger:
        """What ``as_json`` gave; families of later versions are carried along."""
        found = cls()
        for label, seen_ns in told["names"].items():
            found.names[label] = Names(MOST.get(label, 0), dict(seen_ns))
        for name, rows in told["counts"].items():
            found.counts[name] = Counter({tuple(row[:-1]): int(row[-1]) for row in rows})
        for name, rows in told["times"].items():
            found.times[name] = {tuple(row[:-1]): list(row[-1]) for row in rows}
        return found
