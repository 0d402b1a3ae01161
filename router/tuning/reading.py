"""Recorded cascades as what they showed: the step that decided, the answers of both, what they cost.

Read of a step of kind router is its decision: ``candidates`` (cheap first), ``confidence`` (of the cheap one's answer),
``thresholds`` (``accept``, or ``sure``), and ``propensity``, the probability of having asked just whom it asked. The
answers are the outputs of the steps named as the candidates, below it; or of the steps that are named by the caller,
anywhere in the trace.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Iterable, Mapping, Sequence

from router.errors import TuningError
from router.tuning.observed import Observed
from router.tuning.scoring import Given, Scorer, scored
from router.tuning.shadows import Shadow, with_shadows
from tracer.decisions import TRY, Decision, decision_in
from tracer.errors import CodecError, StoreError, StoreUnreachable
from tracer.model import PayloadRef, Step, Trace
from tracer.store import Filter, Store

_PAGE = 500


@dataclass(slots=True)
class Reading:
    """What was read: ``left`` says of traces that show nothing why, and how many. ``cheap`` and ``dear`` are the two
    candidates, ``place`` is where in a trace the cheap one answers, as the rules of a replay name it."""

    observed: list[Observed] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    cheap: str = ""
    dear: str = ""
    place: str = ""
    #: Whether the dear answers were a person's.
    is_human: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions: those of the router steps named ``step`` in the filter's traces, the ``limit`` newest of them.
    ``cheap`` and ``dear`` name the steps that answered, where they are not below it under the candidates' names.
    ``human_nusd`` is what a person's answer costs, in billionths of a dollar."""

    found: Filter
    step: str
    limit: int = 10_000
    cheap: str | None = None
    dear: str | None = None
    human_nusd: int = 0


def read(store: Store, wanted: Wanted, scorer: Scorer) -> Reading:
    """Raises TuningError where no trace holds such a decision, or StoreError."""
    reader = _Reader(store, wanted, scorer, with_shadows(store, wanted.found.workflow or "", wanted.step), Reading())
    for trace in reader.traces():
        why = reader.observe(trace)
        if why is not None:
            reader.reading.left[why] += 1
    if not reader.reading.observed:
        reasons = "; ".join(f"{number} times: {why}" for why, number in reader.reading.left.most_common(3))
        raise TuningError(
            f"no {wanted.found.sentence} hold a decision of a step {wanted.step} to tune by"
            + (f" ({reasons})" if reasons else ": look with playhead ls")
        )
    return reader.reading


@dataclass(frozen=True, slots=True)
class _Reader:
    store: Store
    wanted: Wanted
    scorer: Scorer
    shadows: Sequence[Shadow]
    reading: Reading

    def traces(self) -> Iterable[Trace]:
        query, before, left = replace(self.wanted.found, replays=False), None, self.wanted.limit
        while left and (rows := self.store.traces(query, limit=min(_PAGE, left), before=before)):
            for row in rows:
                yield self.store.trace(row.trace_id)
            left -= len(rows)
            before = (rows[-1].started_ns, rows[-1].trace_id)

    def observe(self, trace: Trace) -> str | None:
        """Add what the trace shows; or say why it shows nothing."""
        wanted, reading = self.wanted, self.reading
        router = next((step for step in trace.steps if step.kind == "router" and step.name == wanted.step), None)
        decision = None if router is None else decision_in(router.tags)
        if router is None or decision is None:
            return f"no step {wanted.step} of kind router with a decision"
        if trace.summary.status == "waiting":
            return "it asked a person: what was answered is in the run that went on"
        if (why := _why_not(decision)) is not None:
            return why
        reading.cheap, reading.dear = decision.candidates
        reading.place = wanted.cheap or f"{wanted.step}/{reading.cheap}"
        cheap = _answer(trace, router, reading.cheap, wanted.cheap)
        dear = _answer(trace, router, reading.dear, wanted.dear)
        if cheap is None or cheap.outcome != "ok":
            return f"the cheap one, {reading.cheap}, gave no answer"
        if dear is not None and dear.outcome != "ok":
            return f"the dear one, {reading.dear}, failed"
        reading.is_human |= dear is not None and bool(_asked(trace, dear))
        reading.observed.append(self._shadowed(trace, self._seen(trace, decision, cheap, dear)))
        return None

    def _seen(self, trace: Trace, decision: Decision, cheap: Step, dear: Step | None) -> Observed:
        assert decision.confidence is not None
        accept = decision.thresholds.get("accept", decision.thresholds.get("sure"))
        is_sure = accept is not None and decision.confidence >= accept
        told = 1.0 if decision.propensity is None else decision.propensity
        explored = told if dear is not None else 1.0 - told
        return Observed(
            trace_id=trace.trace_id,
            confidence=decision.confidence,
            asked=dear is not None,
            propensity=1.0 if dear is not None and not is_sure else explored,
            cheap=self._score(trace, cheap),
            dear=None if dear is None else self._score(trace, dear),
            cheap_nusd=cost_of(trace, cheap, human_nusd=self.wanted.human_nusd),
            dear_nusd=None if dear is None else cost_of(trace, dear, human_nusd=self.wanted.human_nusd),
            accept=accept,
            started_ns=trace.summary.started_ns,
        )

    def _shadowed(self, trace: Trace, found: Observed) -> Observed:
        """With what a shadow replay of this trace showed, and with the chance that it had of being drawn."""
        if found.propensity == 1:
            return found
        for shadow in self.shadows:
            if found.started_ns > shadow.until_ns:
                continue
            # It was seen unless neither the exploration, nor any slice before, nor this one took it.
            chance = 1 - (1 - found.propensity) * (1 - shadow.share)
            replay_id = shadow.replays.get(trace.trace_id)
            if replay_id is None:
                found = replace(found, propensity=chance)
                continue
            replayed = self.store.trace(replay_id)
            answer = _named(replayed, self.reading.place)
            if answer is None or answer.outcome != "ok":
                raise TuningError(f"the shadow replay {replay_id} holds no answer of {self.reading.place}")
            score, nusd = self._score(trace, answer), cost_of(replayed, answer)
            found = replace(found, propensity=chance, asked=True, dear=score, dear_nusd=nusd)
        return found

    def _score(self, trace: Trace, answer: Step) -> float | None:
        given = Given(
            trace_id=trace.trace_id,
            input=None if trace.root is None else self._value(trace.root.input),
            answer=self._value(answer.output),
            scores={note.name: note.value for step in trace.steps for note in step.notes if note.kind == "score"},
            own={note.name: note.value for note in answer.notes if note.kind == "score"},
        )
        return scored(self.scorer, given)

    def _value(self, ref: PayloadRef | None) -> Any:
        try:
            return None if ref is None else self.store.value(ref)
        except StoreUnreachable:
            raise
        except (StoreError, CodecError) as error:
            raise TuningError(f"an answer can't be read: {error}") from error


def _why_not(decision: Decision) -> str | None:
    if len(decision.candidates) != 2:
        return f"a cascade of {len(decision.candidates)} candidates, not of 2"
    if decision.confidence is None:
        return "no confidence"
    if decision.confidence < decision.thresholds.get("hopeless", 0.0):
        return "hopeless: decided without this threshold"
    return None


def _answer(trace: Trace, router: Step, candidate: str, named: str | None) -> Step | None:
    if named is not None:
        return _named(trace, named)
    for step in trace.children(router.step_id):
        tried = step.tags.get(TRY)
        if step.name == candidate or (isinstance(tried, Mapping) and tried.get("target") == candidate):
            return step
    return None


def _named(trace: Trace, place: str) -> Step | None:
    """The first step of that name, or whose path ends so."""
    return next((step for step in trace.steps if step.name == place or step.path.endswith(f"/{place}")), None)


def cost_of(trace: Trace, step: Step, *, human_nusd: int = 0) -> int | None:
    """What the model calls in a step cost, at any depth, a call around another one aside, and the answers of people;
    None where a price is unknown. A step that asks neither costs nothing."""
    below = _below(trace, step)
    calls = [each for each in below if each.call is not None]
    around = {each.parent_id for each in calls}
    costs = [each.call.cost for each in calls if each.step_id not in around and each.call is not None]
    people = human_nusd * len(_asked(trace, step))
    return None if None in costs else people + sum(cost.nusd for cost in costs if cost is not None)


def _asked(trace: Trace, step: Step) -> list[Step]:
    """The questions to people in a step."""
    return [each for each in _below(trace, step) if each.kind == "human"]


def _below(trace: Trace, step: Step) -> list[Step]:
    """A step and all that is in it."""
    inside, found = {step.step_id}, []
    for each in trace.steps:  # in the order they began: a parent before its children
        if each.parent_id in inside:
            inside.add(each.step_id)
        if each.step_id in inside:
            found.append(each)
    return found
