"""Which calls of a replay a fault strikes: those that its rule names, and the same calls when they are tried again.

A client or a loop that tries a failed call again asks for something that the record has only once. So what was struck
is remembered by its name and inputs: every try fails the same way, or, where the fault is said to come once, the next
try gets the recorded answer.
"""

from __future__ import annotations

from replay.calls import is_model_call, wire_request
from replay.injection import NOTHING, Injection, Struck, inject
from replay.match import Match, Matcher
from replay.plan import ONCE, Plan, Rule
from replay.record import Record
from tracer.model import Step
from tracer.player import Call
from tracer.wire import HttpRequest


class Strikes:
    """The faults of one replay. Not thread-safe: the player holds a lock."""

    def __init__(self, plan: Plan, record: Record, matcher: Matcher) -> None:
        self._plan = plan
        self._record = record
        self._matcher = matcher
        #: What was struck, by name and inputs: by which rule, and the recorded step.
        self._struck: dict[tuple[str, str], tuple[Rule, Step | None]] = {}

    def rule(self, call: Call, source: Step | None) -> Rule | None:
        """The fault to inject here: into the model calls of a step, or into the step itself where it makes none."""
        struck = self._by_which(call, source)
        if struck is not None:
            return None if self.spares(call, source) else struck
        if is_model_call(call):
            return self._plan.rule_above("fail", call.path)
        return None if self._record.has_model_call(source) else self._plan.rule("fail", call.path)

    def spares(self, call: Call, source: Step | None) -> bool:
        """Whether this is a further try of a call that fails once."""
        struck = self._by_which(call, source)
        return struck is not None and bool(struck.value.endswith(ONCE))

    def _by_which(self, call: Call, source: Step | None) -> Rule | None:
        """The rule that struck this very call before; one that asks the same and was recorded too is another."""
        rule, struck = self._struck.get((call.name, call.identity), (None, None))
        return rule if struck is source else None

    def strike(self, rule: Rule, call: Call, source: Step | None) -> Injection:
        """What the fault makes of this call. Raises Unfit where it has no meaning."""
        self._struck.setdefault((call.name, call.identity), (rule, source))
        return inject(rule.value.removesuffix(ONCE), struck_call(self._record, source, wire_request(call), call.kind))

    def tried_again(self, call: Call, match: Match) -> Match:
        """A call beyond the recorded ones that was struck before, or in which one was: the recorded one again."""
        if match.step is not None or not self._struck or call.parent_id is None:
            return match
        _, same = self._struck.get((call.name, call.identity), (None, None))
        if same is None:
            hits = (source for _, source in self._struck.values() if source is not None)
            around = (step for hit in hits for step in self._record.around(hit))
            same = next((step for step in around if (step.name, step.identity) == (call.name, call.identity)), None)
        if same is None:
            return match
        self._matcher.again(call, same, self._record.subtree(same))
        return Match("exact", same)


def struck_call(record: Record, source: Step | None, request: object, kind: str) -> Struck:
    """A call as a fault sees it. ``source`` is what the record has of it."""
    asked = request if isinstance(request, HttpRequest) else None
    if source is None:
        return Struck(asked, kind)
    result = record.result(source) if record.ended(source) else None
    known = NOTHING if result is None or result.culprit is not None else result.value
    return Struck(asked, kind, known, lambda: record.others(source))
