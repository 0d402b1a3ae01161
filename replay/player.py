"""The player: decides, for each step of a replay, whether it is served, runs, or ends the replay.

The rules are those of docs/replay.md, in the order in which ``decide`` asks them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Callable, Mapping

from replay.compare import Change, compare
from replay.edits import shaped
from replay.faults import injected
from replay.lens import readable
from replay.match import Match, Matcher
from replay.plan import Plan
from tracer import codec
from tracer.catalogue import Target
from tracer.model import PayloadRef, Step, Trace
from tracer.player import Answer, Call, Decision, Raise, ReplayStopped, Run
from tracer.pricing import price_call
from tracer.wire import HttpRequest, HttpResponse

MODEL_KINDS = frozenset({"llm", "embedding"})
#: Kinds whose body reaches out of the process; the others are plain code, which may always run again.
REACHING_KINDS = MODEL_KINDS | {"retriever", "reranker", "tool", "http"}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Divergence:
    """A call that the record does not explain, or a recorded one that never came. ``then`` says what was done."""

    kind: str
    path: str
    then: str
    step_id: str | None = None
    recorded_step_id: str | None = None
    changes: tuple[Change, ...] = ()

    def __str__(self) -> str:
        words = f"{self.path}: {self.kind}, {self.then}"
        if self.changes:
            first = self.changes[0]
            words += f"; first at {first.path}: {_short(first.before)} -> {_short(first.after)}"
        return words


class Stopped(ReplayStopped):
    """The replay ends at this divergence."""

    def __init__(self, divergence: Divergence, advice: str) -> None:
        self.divergence = divergence
        self.advice = advice
        super().__init__(f"{divergence}. {advice}")


class ReplayPlayer:
    """Plays one recorded trace under one plan. ``value_of`` loads and decodes a payload of the store."""

    def __init__(
        self,
        trace: Trace,
        plan: Plan,
        value_of: Callable[[PayloadRef], Any],
        targets: Mapping[int, Target],
    ) -> None:
        self.trace = trace
        self.plan = plan
        #: The new trace's id, once its root has begun.
        self.new_trace_id: str | None = None
        self.divergences: list[Divergence] = []
        self.served: list[Step] = []
        self.live: list[str] = []
        self.spent_nusd = 0
        self.unpriced: list[str] = []
        self.used_rules: set[int] = set()
        self._value_of = value_of
        self._targets = targets
        self._matcher = Matcher(trace.steps)
        self._below: dict[str, tuple[Step, ...]] = {}
        for step in trace.steps:
            if step.parent_id is not None:
                self._below[step.parent_id] = (*self._below.get(step.parent_id, ()), step)
        #: Whether anything has gone another way than the record by the plan's own doing: what follows is explained.
        self._changed = False
        self._from_reached = False
        # Guards everything above: the steps of a workflow may begin on many threads at once.
        self._lock = threading.RLock()

    # -- what tracer asks ------------------------------------------------------------------------------------------

    def about(self) -> Mapping[str, Any]:
        return {"replay_of": self.trace.trace_id, "plan": self.plan.described()}

    def decide(self, call: Call) -> Decision:
        with self._lock:
            match = self._matcher.take(call)
            if call.parent_id is None:
                self.new_trace_id = call.trace_id
            if call.parent_id is None or call.block:
                return Run(match.step)
            return self._by_rule(call, match) or self._by_record(call, match)

    def value(self, step_id: str, name: str, occurrence: int, make: Callable[[], Any]) -> Any:
        source = self._matcher.source_of(step_id)
        for note in source.notes if source is not None else ():
            if note.kind == "value" and note.name == name and note.occurrence == occurrence:
                return note.value
        return make()

    def finished(self, step_id: str, *, call: Mapping[str, Any], at_ns: int) -> None:
        cost, _ = price_call(dict(call), at_ns=at_ns)
        with self._lock:
            if cost is None:
                self.unpriced.append(str(call.get("model") or call.get("model_asked") or "an unnamed model"))
            else:
                self.spent_nusd += cost.nusd

    # -- the plan's own words --------------------------------------------------------------------------------------

    def _by_rule(self, call: Call, match: Match) -> Decision | None:
        source = match.step
        if (rule := self._use("edit", call)) is not None:
            self._changed = True
            if source is not None:
                self._matcher.served(source)  # what lies below an edited step is not asked for
            recorded = self._recorded_value(source)
            request = call.arguments[0][0] if isinstance(recorded, HttpResponse) else None
            return Answer(shaped(rule.value, recorded, request=request, path=call.path), "edited", source)
        if self._is_model_call(call) and (rule := self._use_above("fail", call)) is not None:
            self._changed = True
            return injected(rule.value, call, source)
        if not self._is_model_call(call) and (rule := self._use("fail", call)) and not self._has_model_call(source):
            self._changed = True
            return injected(rule.value, call, source)
        if self._use("from", call) is not None:
            self._from_reached = True
        # An effect happens only when it is itself named, not for lying inside a step that is.
        by_name = self._use("live", call) if call.effect else self._use_above("live", call)
        if by_name is not None or (self._from_reached and not call.effect):
            self._changed = True
            return self._go_live(call, source)
        if self._is_model_call(call) and (rule := self._use_above("substitute", call)) is not None:
            self._changed = True
            self._keep_budget(call)
            self.live.append(call.path)
            return Run(source, target=self._targets[id(rule)], origin="substituted")
        return None

    def _use(self, verb: str, call: Call) -> Any:
        rule = self.plan.rule(verb, call.path)
        if rule is not None:
            self.used_rules.add(id(rule))
        return rule

    def _use_above(self, verb: str, call: Call) -> Any:
        rule = self.plan.rule_above(verb, call.path)
        if rule is not None:
            self.used_rules.add(id(rule))
        return rule

    # -- the record's word -----------------------------------------------------------------------------------------

    def _by_record(self, call: Call, match: Match) -> Decision:
        source = match.step
        explained = match.outcome in {"exact", "moved"} or (
            match.outcome == "code-changed" and (call.effect or self._use("serve", call) is not None)
        )
        if explained and source is not None:
            if match.outcome != "exact":
                self._diverge(match.outcome, call, source, "served all the same")
            if not call.effect and self._must_run(source):
                return Run(match.step)
            return self._serve(call, source)
        return self._diverged(call, match)

    def _must_run(self, source: Step) -> bool:
        """Whether an unchanged step's body runs all the same: the plan reaches into it, or nothing of it can be served."""
        if self.plan.reaches_into(source, lambda step_id: self._below.get(step_id, ())):
            return True
        if source.kind in REACHING_KINDS and not self._below.get(source.step_id):
            return False
        lossy = source.output is not None and not source.output.exact
        return source.outcome is None or lossy or (self.plan.verify and source.kind not in REACHING_KINDS | {"human"})

    def _serve(self, call: Call, source: Step) -> Decision:
        if source.outcome is None:
            return self._interrupted(call, source)
        if source.output is not None and not source.output.exact:
            culprit = source.output.lossy[0]
            divergence = self._diverge("not-replayable", call, source, "stopped")
            raise Stopped(
                divergence,
                f"Its recorded output can't be restored at {culprit}: name it with --live {call.name}, or give the "
                f"result with --edit {call.name}=JSON",
            )
        subtree = self._subtree(source)
        self._matcher.served(source)
        self.served += [source, *subtree]
        value = None if source.output is None else self._value_of(source.output)
        if source.outcome != "ok" and isinstance(value, BaseException):
            return Raise(value, "recorded", source, subtree)
        return Answer(value, "recorded", source, subtree)

    def _interrupted(self, call: Call, source: Step) -> Decision:
        """The record holds the beginning of this step and no end: nobody knows whether it happened."""
        if not call.effect and self._live_allowed():
            return self._go_live(call, source)
        divergence = self._diverge("interrupted", call, source, "stopped")
        ways = f"--live {call.name} runs it again, --stand-in {call.name}=JSON gives a result"
        raise Stopped(divergence, f"The recorded run was cut off inside this step, so it may have happened: {ways}")

    def _diverged(self, call: Call, match: Match) -> Decision:
        """A call that the record does not hold: plain code runs; what reaches out needs the plan's leave."""
        source = match.step
        if call.effect:
            return self._stand_in(call, match)
        if call.kind not in REACHING_KINDS:
            if not self._changed or match.outcome == "code-changed":
                self._diverge(match.outcome, call, source, "its code runs")
            return Run(match.step)
        if match.outcome == "code-changed":
            # The body of a decorated step changed: that is plain code; the calls it makes are matched one by one.
            self._diverge("code-changed", call, source, "its code runs")
            return self._go_live(call, source) if not self._has_model_call(source) else self._run(match)
        if self._is_unsafe_http(call) and self.plan.rule_above("allow", call.path) is None:
            divergence = self._diverge(match.outcome, call, source, "stopped", self._changes(call, source))
            raise Stopped(divergence, f"It would send an HTTP request that may change something: --allow {call.name}")
        if self._live_allowed() or self.plan.rule_above("allow", call.path) is not None:
            self._diverge(match.outcome, call, source, "went live", self._changes(call, source))
            return self._go_live(call, source)
        divergence = self._diverge(match.outcome, call, source, "stopped", self._changes(call, source))
        raise Stopped(
            divergence, f"Let it run with --live {call.name} or --on-divergence live, or give a result with --edit"
        )

    def _live_allowed(self) -> bool:
        follows = self._changed and (self.plan.has("substitute", "live") or self._from_reached)
        return follows or self.plan.on_divergence == "live"

    def _go_live(self, call: Call, source: Step | None) -> Run:
        if self._is_model_call(call):
            self._keep_budget(call)
        if call.kind in REACHING_KINDS or call.effect:
            self.live.append(call.path)
        return Run(source)

    def _stand_in(self, call: Call, match: Match) -> Decision:
        rule = self._use("stand_in", call)
        if rule is not None or call.stand_in:
            self._diverge(match.outcome, call, match.step, "stood in for")
            if rule is not None:
                return Answer(shaped(rule.value, self._recorded_value(match.step)), "stood-in", match.step)
            value = call.stand_in[0]
            args, kwargs = call.arguments
            return Answer(value(*args, **kwargs) if callable(value) else value, "stood-in", match.step)
        divergence = self._diverge(match.outcome, call, match.step, "stopped", self._changes(call, match.step))
        raise Stopped(
            divergence,
            f"It is an effect that the record does not hold, and it would have run with {self._inputs(call)}. "
            f"Give a result with --stand-in {call.name}=JSON (or declare one: @effect(stand_in=...)), "
            f"or let it happen with --live {call.name}",
        )

    def _keep_budget(self, call: Call) -> None:
        budget = self.plan.budget_nusd
        if budget is None:
            return
        if self.unpriced:
            divergence = Divergence("budget", call.path, "stopped", call.step_id)
            raise Stopped(divergence, f"No price is known for {self.unpriced[0]}, so the budget can't be held")
        if self.spent_nusd >= budget > 0 or (budget == 0 and self.spent_nusd > 0):
            divergence = Divergence("budget", call.path, "stopped", call.step_id)
            raise Stopped(divergence, f"The budget of ${budget / 1e9:g} is spent (${self.spent_nusd / 1e9:g})")

    # -- facts about calls and steps -------------------------------------------------------------------------------

    def _is_model_call(self, call: Call) -> bool:
        """A model call at the wire. A decorated step of kind llm is code of the user's, and not one."""
        return call.kind in MODEL_KINDS and self._wire_request(call) is not None

    def _is_unsafe_http(self, call: Call) -> bool:
        request = self._wire_request(call)
        return call.kind == "http" and request is not None and request.method.upper() not in _SAFE_METHODS

    @staticmethod
    def _wire_request(call: Call) -> HttpRequest | None:
        first = call.arguments[0][0] if call.arguments[0] else None
        return first if isinstance(first, HttpRequest) else None

    def _has_model_call(self, source: Step | None) -> bool:
        below = () if source is None else self._subtree(source)
        return any(step.kind in MODEL_KINDS for step in below)

    def _subtree(self, source: Step) -> tuple[Step, ...]:
        """The recorded steps below one, parents before children."""
        children = self._below.get(source.step_id, ())
        return tuple(step for child in children for step in (child, *self._subtree(child)))

    def _recorded_value(self, source: Step | None) -> Any:
        return None if source is None or source.output is None else self._value_of(source.output)

    def _inputs(self, call: Call) -> str:
        args, kwargs = call.arguments
        return _short(", ".join([*(repr(arg) for arg in args), *(f"{key}={value!r}" for key, value in kwargs.items())]))

    def _changes(self, call: Call, source: Step | None) -> tuple[Change, ...]:
        """Where the new input differs from the recorded one."""
        if source is None or source.input is None or call.input is None:
            return ()
        before, after = self._value_of(source.input), codec.decode(call.input)
        return compare(readable(source, None, before), readable(source, None, after))

    def _diverge(
        self, kind: str, call: Call, source: Step | None, then: str, changes: tuple[Change, ...] = ()
    ) -> Divergence:
        recorded = None if source is None else source.step_id
        divergence = Divergence(kind, call.path, then, call.step_id, recorded, changes)
        self.divergences.append(divergence)
        return divergence

    def close(self) -> None:
        """The replay has ended: what the record holds and no call asked for is a divergence too."""
        for step in self._matcher.never_reached():
            self.divergences.append(Divergence("never-reached", step.path, "left out", None, step.step_id))


def _short(value: Any, most: int = 120) -> str:
    text = " ".join((value if isinstance(value, str) else repr(value)).split())
    return text if len(text) <= most else f"{text[:most]}..."
