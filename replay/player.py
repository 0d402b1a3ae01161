"""The player: decides, for each step of a replay, whether it is served, runs, or ends the replay.

The rules are those of docs/replay.md, in the order in which ``decide`` asks them. Nothing but a stop ever gets out of
here: an exception would be taken for a failure to record, and the step would run.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Mapping

from replay.answers import Answers
from replay.budget import Budget
from replay.calls import accepting, is_model_call, is_unsafe_http, wire_request
from replay.compare import Change
from replay.divergence import Divergence, Stopped, short
from replay.edits import shaped
from replay.injection import Injection
from replay.leave import Leave
from replay.lens import differences, readable, shown_input
from replay.match import Match, Matcher
from replay.plan import Plan, Rule
from replay.recognised import known_as_kept, recognised
from replay.record import MODEL_KINDS, REACHING_KINDS, Record
from replay.resuming import made_again
from replay.spoilt import Unfit
from replay.stand_in import StandIn, stood_in
from replay.striking import Strikes
from tracer.catalogue import Target
from tracer.model import Origin, Step
from tracer.player import Answer, Call, Decision, Raise, Run
from tracer.waiting import ANSWER

#: What --verify serves; every other body runs.
_LEAVES = REACHING_KINDS | {"human"}


class ReplayPlayer:
    """Plays one recorded trace under one plan. ``targets`` has the model of each substitution, by the rule's id."""

    def __init__(self, record: Record, plan: Plan, targets: Mapping[int, Target]) -> None:
        self.record = record
        self.plan = plan
        self.budget = Budget(plan.budget_nusd, record.trace)
        #: The new trace's id, once its root has begun.
        self.new_trace_id: str | None = None
        #: Why the replay has ended early, if it has. From then on no step runs any more.
        self.stopped: Stopped | None = None
        self.divergences: list[Divergence] = []
        self.served: list[Step] = []
        #: Calls that ran for real: new step id -> path; of nested ones the innermost.
        self.live: dict[str, str] = {}
        self.used_rules: set[int] = set()
        self.leave = Leave(plan, self.used_rules)
        self._made_again = made_again(record) if plan.resumes else frozenset()
        self._targets = targets
        self._matcher = Matcher(record.trace.steps)
        self._answers = Answers(plan.answers)
        self._strikes = Strikes(plan, record, self._matcher)
        self._known_as_kept = known_as_kept(record.trace.steps)
        self._parents: dict[str, str | None] = {}
        #: Steps around a model call: what they say of usage and cost is said by the call already.
        self._around: set[str | None] = set()
        #: Whether anything has gone another way than the record by the plan's own doing: what follows is explained.
        self._changed = False
        #: Whether a step has gone live by the plan's word: a call whose input follows from it may go live too.
        self._live_follows = False
        self._from_reached = False
        # Guards everything above: the steps of a workflow may begin on many threads at once.
        self._lock = threading.RLock()

    # -- what tracer asks ------------------------------------------------------------------------------------------

    def about(self) -> Mapping[str, Any]:
        relation = "resume_of" if self.plan.resumes else "replay_of"
        return {relation: self.record.trace.trace_id, "plan": self.plan.described(), "tags": dict(self.plan.tags)}

    def decide(self, call: Call) -> Decision:
        with self._lock:
            if self.stopped is not None:
                raise Stopped(self.stopped.divergence, self.stopped.advice)
            try:
                decision = self._decide(call)
            except Stopped as stop:
                self.stopped = stop
                raise
            except Exception as error:
                self.stopped = Stopped(self._diverge("undecided", call, None, "stopped"), str(error))
                raise self.stopped from error
        return stood_in(call, decision) if isinstance(decision, StandIn) else decision

    def value(self, step_id: str, name: str, occurrence: int, make: Callable[[], Any]) -> Any:
        if name == ANSWER and (answer := self._answers.to(step_id)) is not None:
            return answer
        source = self._matcher.source_of(step_id)
        for note in source.notes if source is not None else ():
            if note.kind == "value" and note.name == name and note.occurrence == occurrence:
                return note.value
        return make()

    def finished(self, step_id: str, *, call: Mapping[str, Any], at_ns: int) -> None:
        with self._lock:
            self._around.add(self._parents.get(step_id))
            if step_id not in self._around:
                self.budget.settle(step_id, call, at_ns=at_ns)

    def close(self) -> None:
        """The replay has come to its end: what the record holds and no call asked for is a divergence too."""
        for step in self._matcher.never_reached():
            self.divergences.append(Divergence("never-reached", step.path, "left out", None, step.step_id))

    def refuse(self, stop: Stopped) -> Stopped:
        """End the replay for the guard, unless it has ended. Gives what to raise. No lock: see replay.leave."""
        if self.stopped is None:
            self.stopped = stop
            self.divergences.append(stop.divergence)
        return Stopped(self.stopped.divergence, self.stopped.advice)

    # -- the order of decisions ------------------------------------------------------------------------------------

    def _decide(self, call: Call) -> Decision | StandIn:
        call = recognised(call, self._known_as_kept)
        match = self._strikes.tried_again(call, self._matcher.take(call))
        self._parents[call.step_id] = call.parent_id
        self._answers.asked(call, match.step)
        if call.parent_id is None:
            self.new_trace_id = call.trace_id
        if call.parent_id is None or call.block:
            return Run(match.step)
        return self._by_rule(call, match.step) or self._by_record(call, match)

    def _by_rule(self, call: Call, source: Step | None) -> Decision | None:
        """What the plan's own words say of this step; None where they say nothing."""
        if (rule := self._use("edit", call)) is not None:
            return self._without_body(self._edited(rule, call, source))
        if (rule := self._fault(call, source)) is not None:
            return self._without_body(self._injected(rule, call, source))
        if self._use("from", call) is not None:
            self._from_reached = True
        if self._named_live(call):
            self._changed = True
            self._live_follows = self._live_follows or not call.effect
            return self._go_live(call, source)
        if (rule := self._substitution(call)) is not None:
            self._changed = self._live_follows = True
            return self._go_live(call, source, target=self._targets[id(rule)], origin="substituted")
        return None

    def _by_record(self, call: Call, match: Match) -> Decision | StandIn:
        """What the record says of this step."""
        source = match.step
        explained = match.outcome in {"exact", "moved"} or (
            match.outcome == "code-changed"
            and (call.effect or self.plan.resumes or self._use("serve", call) is not None)
        )
        if source is None or not explained:
            return self._diverged(call, match)
        if match.outcome != "exact":
            self._diverge(match.outcome, call, source, "served all the same")
        if not call.effect and not self._strikes.spares(call, source) and self._must_run(source):
            return Run(source)
        leaf = call.effect or self.record.reaches_out(source)
        if source.step_id in self._made_again:
            return self._make_again(call, source)
        if not self.record.ended(source):
            return self._cut_off(call, source) if leaf else Run(source)
        result = self.record.result(source)
        if result.culprit is not None:
            return self._not_restored(call, source, result.culprit) if leaf else Run(source)
        return self._serve(call, source, result.value)

    def _make_again(self, call: Call, source: Step) -> Decision | StandIn:
        """A step whose failure ended the recorded run, in a resume of it."""
        if call.effect:
            why = "It failed in the recorded run, so it may have happened in part."
            return self._stand_in(call, source, "interrupted", why)
        return self._go_live(call, source)

    def _must_run(self, source: Step) -> bool:
        """Whether an unchanged step's body runs all the same: the plan reaches into it, or wants every body run."""
        return (self.plan.verify and source.kind not in _LEAVES) or self.plan.reaches_into(source, self.record.below)

    def _serve(self, call: Call, source: Step, value: Any) -> Decision:
        subtree = self.record.subtree(source)
        self._matcher.close(source, subtree)
        self.served += [source, *subtree]
        self._not_around(call)
        if any(step.call is not None for step in (source, *subtree)):
            self._around.add(call.parent_id)
        if source.outcome != "ok" and isinstance(value, BaseException):
            return Raise(value, "recorded", source, subtree)
        return Answer(value, "recorded", source, subtree)

    def _diverged(self, call: Call, match: Match) -> Decision | StandIn:
        """A call that the record does not hold: plain code runs; what reaches out needs the plan's leave."""
        source = match.step
        if self.plan.resumes and match.outcome == "new":
            return self._go_live(call, None)  # the run goes on: what it had not come to, it does
        if call.effect:
            inputs = short(shown_input(call))
            why = f"It is an effect that the record does not hold, and it would have run with {inputs}."
            return self._stand_in(call, source, match.outcome, why)
        if call.kind not in REACHING_KINDS:
            if not self._changed or match.outcome == "code-changed":
                self._diverge(match.outcome, call, source, "its code runs")
            return Run(source)
        if match.outcome == "code-changed":
            # The body of a decorated step changed: that is plain code; the calls it makes are matched one by one.
            self._diverge(match.outcome, call, source, "its code runs")
            return self._go_live(call, source, acts=self._live_allowed())
        changes = self._changes(call, source)
        if self._use_above("allow", call) is not None or (self._live_allowed() and not is_unsafe_http(call)):
            self._diverge(match.outcome, call, source, "went live", changes)
            return self._go_live(call, source)
        divergence = self._diverge(match.outcome, call, source, "stopped", changes)
        if is_unsafe_http(call):
            raise Stopped(divergence, f"It would send a request that may change something: --allow '{call.name}'")
        raise Stopped(
            divergence, f"Let it run with --live {call.name} or --on-divergence live, or give a result with --edit"
        )

    def _cut_off(self, call: Call, source: Step) -> Decision | StandIn:
        """The record holds the beginning of this call and no end: nobody knows whether it happened."""
        why = "The recorded run was cut off inside this step, so it may have happened."
        if call.effect:
            return self._stand_in(call, source, "interrupted", why)
        if self._live_allowed():
            self._diverge("interrupted", call, source, "went live")
            return self._go_live(call, source)
        divergence = self._diverge("interrupted", call, source, "stopped")
        raise Stopped(divergence, f"{why} Run it with --live {call.name}, or give its result with --edit")

    def _not_restored(self, call: Call, source: Step, culprit: str) -> Decision | StandIn:
        why = f"Its recorded result can't be restored at {culprit}."
        if call.effect:
            return self._stand_in(call, source, "not-replayable", why)
        divergence = self._diverge("not-replayable", call, source, "stopped")
        raise Stopped(divergence, f"{why} Run it with --live {call.name}, or give its result with --edit")

    # -- ways for a step to go -------------------------------------------------------------------------------------

    def _without_body(self, decision: Decision) -> Decision:
        """The plan has answered in place of this step: what lay below it in the record is not asked for."""
        self._changed = True
        if decision.source is not None:
            self._matcher.close(decision.source)
        return decision

    def _go_live(
        self,
        call: Call,
        source: Step | None,
        *,
        target: Target | None = None,
        origin: Origin = "live",
        acts: bool = True,
    ) -> Decision:
        """Run it for real; ``acts`` where that is the plan's word, so that it may act on the world."""
        request = wire_request(call)
        if call.kind in MODEL_KINDS and request is not None:
            refusal = self.budget.refusal(call.step_id, request, target, source)
            if refusal is not None:
                raise Stopped(self._diverge("budget", call, source, "stopped"), refusal)
        if call.kind in REACHING_KINDS or call.effect:
            self._not_around(call)
            most = self.plan.max_live_calls
            if most is not None and len(self.live) >= most:
                raise Stopped(
                    self._diverge("budget", call, source, "stopped"),
                    f"{len(self.live)} calls have run, as many as the plan allows: more with --max-live-calls",
                )
            self.live[call.step_id] = call.path
        self.leave.give(call, by_plan=acts)
        return Run(source, target, origin)

    def _not_around(self, call: Call) -> None:
        """Of live calls that lie in each other the innermost counts."""
        parent = call.parent_id
        while parent is not None:
            self.live.pop(parent, None)
            parent = self._parents.get(parent)

    def _edited(self, rule: Rule, call: Call, source: Step | None) -> Decision:
        recorded = None
        if source is not None and self.record.ended(source):
            recorded = self.record.result(source).value
        request = wire_request(call) if is_model_call(call) else None
        return Answer(shaped(rule.value, recorded, request=request, path=call.path), "edited", source)

    def _stand_in(self, call: Call, source: Step | None, kind: str, why: str) -> Decision | StandIn:
        """An effect without a recorded result does not happen: something stands in for it, or the replay ends."""
        rule = self._use("stand_in", call)
        if rule is None and self.plan.keeps_effects and source is not None and self.record.ended(source):
            kept = self.record.result(source)
            if kept.culprit is None and not isinstance(kept.value, BaseException):
                self._diverge(kind, call, source, "stood in for", self._changes(call, source))
                self._matcher.close(source)
                return Answer(kept.value, "stood-in", source)
        if rule is None and not call.stand_in:
            divergence = self._diverge(kind, call, source, "stopped", self._changes(call, source))
            raise Stopped(
                divergence,
                f"{why} Give a result with --stand-in {call.name}=JSON (or declare one: @effect(stand_in=...)), "
                f"or let it happen with --live {call.name}",
            )
        self._diverge(kind, call, source, "stood in for", self._changes(call, source))
        if source is not None:
            self._matcher.close(source)
        value = call.stand_in[0] if rule is None else rule.value
        if callable(value):
            return StandIn(value, source)
        recorded = None
        if source is not None and self.record.ended(source):
            recorded = self.record.result(source).value
        return Answer(value if rule is None else shaped(value, recorded, path=call.path), "stood-in", source)

    # -- the plan's words ------------------------------------------------------------------------------------------

    def _use(self, verb: str, call: Call) -> Rule | None:
        return self._used(self.plan.rule(verb, call.path))

    def _use_above(self, verb: str, call: Call) -> Rule | None:
        return self._used(self.plan.rule_above(verb, call.path))

    def _used(self, rule: Rule | None) -> Rule | None:
        if rule is not None:
            self.used_rules.add(id(rule))
        return rule

    def _fault(self, call: Call, source: Step | None) -> Rule | None:
        return self._used(self._strikes.rule(call, source))

    def _injected(self, rule: Rule, call: Call, source: Step | None) -> Decision:
        try:
            return self._passed(self._strikes.strike(rule, call, source)).decision(source)
        except Unfit as unfit:
            raise Stopped(self._diverge("undecided", call, source, "stopped"), f"No {rule} here: {unfit}") from unfit

    def _passed(self, injection: Injection) -> Injection:
        """The injection, with as much of its time as is still to be waited: all of it, for a player without a clock."""
        return injection

    def _named_live(self, call: Call) -> bool:
        """Whether a rule lets this step run for real. What may change the world happens only when it is itself named,
        not for lying inside a step that is."""
        allowed = is_unsafe_http(call) and self.plan.rule_above("allow", call.path) is not None
        if (call.effect or is_unsafe_http(call)) and not allowed:
            return self._use("live", call) is not None
        return self._use_above("live", call) is not None or self._from_reached

    def _substitution(self, call: Call) -> Rule | None:
        """A chat model does not embed: an embedding is substituted only where it is itself named."""
        if not is_model_call(call):
            return None
        return self._use_above("substitute", call) if call.kind == "llm" else self._use("substitute", call)

    def _live_allowed(self) -> bool:
        return self._live_follows or self.plan.resumes or self.plan.on_divergence == "live"

    # -- the report ------------------------------------------------------------------------------------------------

    def _changes(self, call: Call, source: Step | None) -> tuple[Change, ...]:
        """Where the new input differs from the recorded one."""
        if source is None or source.input is None or call.input is None:
            return ()
        return differences(source, self.record.value(source.input), call)

    def _diverge(
        self, kind: str, call: Call, source: Step | None, then: str, changes: tuple[Change, ...] = ()
    ) -> Divergence:
        divergence = Divergence(
            kind,
            call.path,
            then,
            call.step_id,
            None if source is None else source.step_id,
            changes,
            None if source is None else source.path,
            inputs=self._inputs(call, source) if changes else None,
            accept=accepting(kind, call),
        )
        self.divergences.append(divergence)
        return divergence

    def _inputs(self, call: Call, source: Step | None) -> tuple[Any, Any] | None:
        if source is None or source.input is None:
            return None
        recorded = readable(source, None, self.record.value(source.input))
        return recorded, readable(source, None, shown_input(call))
