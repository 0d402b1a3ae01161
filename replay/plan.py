"""The plan of one replay: rules, and what they say of a step. Pure.

A rule names steps by pattern: a name (``draft``), a name with its occurrence (``draft[1]``, the first is ``draft[0]``),
a path or the end of one (``support/draft``, ``draft/chat``), or a glob over either (``dra*``, ``support/*/chat``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Callable, Literal, Mapping, Sequence

from replay.answers import Answered
from replay.errors import PlanError
from tracer.catalogue import Target
from tracer.model import Step, Trace

OnDivergence = Literal["stop", "live"]
#: What ``fail`` can inject (see replay.injection).
FAULTS = (
    *("timeout", "rate_limited", "server_error", "connection_reset", "cut_stream", "empty", "truncated", "bad_json"),
    *("wrong_schema", "refusal", "low_confidence", "slow", "wrong_but_valid"),
)
#: Behind a fault: it strikes the first try of a call, and a retry gets the recorded answer.
ONCE = ":once"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is to become of the steps that ``pattern`` names."""

    verb: Literal["substitute", "edit", "fail", "live", "serve", "stand_in", "allow", "from"]
    pattern: str
    value: Any = None

    def __str__(self) -> str:
        """The rule as the command line writes it."""
        option = _OPTIONS[self.verb]
        if self.verb == "substitute":
            return f"{option} {self.pattern}={self.value if isinstance(self.value, str) else self.value.name}"
        if self.verb in {"edit", "stand_in"}:
            return f"{option} {self.pattern}={json.dumps(self.value, default=repr)}"
        return f"{option} {self.pattern}={self.value}" if self.verb == "fail" else f"{option} {self.pattern}"


_OPTIONS = {
    "substitute": "--model",
    "edit": "--edit",
    "fail": "--fail",
    "live": "--live",
    "serve": "--serve",
    "stand_in": "--stand-in",
    "allow": "--allow",
    "from": "--from",
}
#: How a plan that has effects give their recorded results says so.
KEEPS_EFFECTS = "effects give their recorded results"
#: Verbs that change a run by themselves; the others only say what is allowed once something is changed.
_ACTING = frozenset({"substitute", "edit", "fail", "live", "from"})


def substitute(pattern: str, *, model: str | Target) -> Rule:
    """Let another model answer the model calls inside these steps: a name of the catalogue, or a Target.

    It also allows what follows from its answer to go live: model calls downstream whose requests are new.
    """
    return Rule("substitute", pattern, model)


def edit(pattern: str, value: Any) -> Rule:
    """Take this as the result of these steps, in place of the recorded one; their code does not run."""
    return Rule("edit", pattern, value)


def fail(pattern: str, fault: str, *, once: bool = False) -> Rule:
    """Inject a fault: the model calls in these steps, or the steps themselves where they make none, fail with it.

    It strikes every try of a call; with ``once`` (``timeout:once``) the first, and a retry gets the recorded answer.
    """
    name = fault.removesuffix(ONCE)
    if name not in FAULTS:
        raise PlanError(f"no fault {fault!r}; there are {', '.join(FAULTS)}")
    return Rule("fail", pattern, name + ONCE if once or name != fault else name)


def live(pattern: str) -> Rule:
    """Run these steps, and all in them, for real. The one way to make an effect happen again is to name it so."""
    return Rule("live", pattern)


def serve(pattern: str) -> Rule:
    """Serve these steps from the record even where their code changed."""
    return Rule("serve", pattern)


def stand_in(pattern: str, value: Any) -> Rule:
    """Where the record holds no result of these effects, take this for one; nothing happens in the world."""
    return Rule("stand_in", pattern, value)


def allow(pattern: str) -> Rule:
    """Let these steps, and all in them, act on the world although they are not marked and the record does not hold it:
    send HTTP requests, write and delete files, start processes, connect, open databases."""
    return Rule("allow", pattern)


def from_step(pattern: str) -> Rule:
    """All before the first of these steps is recorded, and all from there on is live (effects excepted)."""
    return Rule("from", pattern)


def names(pattern: str, path: str) -> bool:
    """Whether a pattern names the step at this path."""
    label = path.rsplit("/", 1)[-1]
    name = label.split("[", 1)[0]
    if pattern.endswith("[0]") and label == name:  # the first of a name is written without its number
        pattern = pattern.removesuffix("[0]")
        return pattern == name or f"/{path}".endswith(f"/{pattern}")
    if pattern in {name, label} or f"/{path}".endswith(f"/{pattern}"):
        return True
    if not any(sign in pattern for sign in "*?"):
        return False
    # A bracket is an occurrence here, not a set of characters.
    literal = pattern.replace("[", "[[]")
    return any(fnmatchcase(text, form) for text, form in ((name, literal), (f"/{path}", f"*/{literal}")))


def within(pattern: str, path: str) -> bool:
    """Whether a pattern names the step at this path or one that it lies in."""
    parts = path.split("/")
    return any(names(pattern, "/".join(parts[:depth])) for depth in range(1, len(parts) + 1))


@dataclass(frozen=True)
class Plan:
    """All the rules of one replay, in the order given; of several that name a step, the last one wins."""

    rules: tuple[Rule, ...] = ()
    on_divergence: OnDivergence = "stop"
    budget_nusd: int | None = None
    verify: bool = False
    max_live_calls: int | None = None
    #: Whether it goes on where the recorded run stopped: what finished is recorded, the rest live (replay.resuming).
    resumes: bool = False
    #: Whether an effect that the record holds under other inputs gives its recorded result, instead of stopping.
    keeps_effects: bool = False
    #: Whether unmarked code is stopped before it acts on the world (replay.guard).
    guarded: bool = True
    #: What humans answered to what the run had asked, by question (replay.answers).
    answers: Answered = field(default_factory=dict)
    #: What the new trace is tagged with, beside the workflow's own tags.
    tags: Mapping[str, str] = field(default_factory=dict)
    _reached: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)
    _last_first: dict[str, list[Rule]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for rule in reversed(self.rules):
            self._last_first.setdefault(rule.verb, []).append(rule)

    def rule(self, verb: str, path: str) -> Rule | None:
        """The last rule of this sort that names the step itself."""
        rules = self._last_first.get(verb)
        return None if rules is None else next((rule for rule in rules if names(rule.pattern, path)), None)

    def rule_above(self, verb: str, path: str) -> Rule | None:
        """The last rule of this sort that names the step or one that it lies in."""
        rules = self._last_first.get(verb)
        return None if rules is None else next((rule for rule in rules if within(rule.pattern, path)), None)

    def check(self, trace: Trace) -> None:
        """Refuse rules that come to nothing: a step that a completed trace does not have is a misspelling.

        A run cut short may yet come to it, and so may one that another rule sends another way. Raises PlanError.
        """
        root = trace.root
        for rule in self.rules:
            if rule.verb == "edit" and root is not None and rule.pattern in {root.name, root.path}:
                raise PlanError(f"{rule}: {root.name} is the workflow itself, whose code always runs; edit a step")
        acting = [rule for rule in self.rules if rule.verb in _ACTING]
        met = [any(names(rule.pattern, step.path) for step in trace.steps) for rule in acting]
        if acting and not any(met) and trace.summary.status == "completed":
            rule = acting[0]
            known = ", ".join(dict.fromkeys(step.name for step in trace.steps))
            raise PlanError(f"{rule}: no step of this trace is named {rule.pattern!r} (it has {known})")

    def reaches_into(self, step: Step, children: Callable[[str], Sequence[Step]]) -> bool:
        """Whether a rule changes something in this recorded step or below it, so that its body must run again."""
        if not self.rules:
            return False
        if step.step_id not in self._reached:
            self._reached[step.step_id] = self._touches(step) or any(
                self.reaches_into(child, children) for child in children(step.step_id)
            )
        return self._reached[step.step_id]

    def _touches(self, step: Step) -> bool:
        if any(self.rule(verb, step.path) for verb in _ACTING):
            return True
        above = {"llm": ("substitute", "fail"), "embedding": ("fail",)}.get(step.kind, ())
        return any(self.rule_above(verb, step.path) for verb in above)

    def described(self) -> Mapping[str, Any]:
        """The plan as it is kept with the new trace: the words of the command line."""
        words = [str(rule) for rule in self.rules]
        if self.on_divergence != "stop":
            words.append(f"--on-divergence {self.on_divergence}")
        if self.budget_nusd is not None:
            words.append(f"--budget-usd {self.budget_nusd / 1e9:g}")
        if self.max_live_calls is not None:
            words.append(f"--max-live-calls {self.max_live_calls}")
        if self.verify:
            words.append("--verify")
        if self.keeps_effects:
            words.append(KEEPS_EFFECTS)
        if not self.guarded:
            words.append("--unguarded")
        return {"rules": words}


def parse_rule(verb: str, text: str) -> Rule:
    """A rule from ``STEP=VALUE`` as the command line has it. Raises PlanError, which shows the form."""
    if verb in {"live", "allow", "from", "serve"}:
        if not text.strip():
            raise PlanError(f"{_OPTIONS[verb]} takes the name of a step")
        return Rule(verb, text)  # type: ignore[arg-type]  # one of the verbs just named
    pattern, sign, value = text.partition("=")
    option = _OPTIONS[verb]
    if not sign or not pattern or not value:
        form = {"substitute": "STEP=MODEL", "fail": "STEP=FAULT"}.get(verb, "STEP=JSON")
        raise PlanError(f"{option} takes {form}, not {text!r}")
    if verb == "substitute":
        return substitute(pattern, model=value)
    if verb == "fail":
        return fail(pattern, value)
    try:
        return Rule(verb, pattern, json.loads(value))  # type: ignore[arg-type]  # edit or stand_in
    except json.JSONDecodeError as error:
        raise PlanError(
            f"{option} {pattern}=... is not JSON ({error.msg} at character {error.pos + 1}); "
            f"a text needs quotes: {option} {pattern}='\"text\"'"
        ) from None
