"""The replay form: what may be changed at each step, and what the filled-in form says as rules. Pure."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Literal, Mapping, Sequence

from replay import PlanError, Rule, edit, fail, from_step, live, substitute
from replay.plan import FAULTS, ONCE, parse_rule
from tracer import format as fmt
from tracer.codec import Opaque
from tracer.model import PayloadRef, Step, Trace
from tracer.plain import plain
from web.view.contexts import Choice
from web.view.contexts_of_replays import PlanRow
from web.view.exchange import answer_text
from web.view.ordering import in_tree_order
from web.view.panel import Unreadable
from web.view.planned import Planned

#: Steps of the form, and the largest result that an editor holds.
ROW_LIMIT = 80
EDIT_LIMIT = 20_000
Load = Callable[[PayloadRef], Any]
#: The faults of the form: each on every try of a call, and on the first try only.
FAULT_CHOICES = (*FAULTS, *(fault + ONCE for fault in FAULTS))
_FIELDS = ("do", "model", "fault", "edit")


@dataclass(frozen=True, slots=True)
class Form:
    """The form as it was sent, or as a link begins it. ``opened`` is the path whose editor is open, ``chosen`` the one
    that the reader came from."""

    values: Mapping[str, str] = field(default_factory=dict)
    opened: str = ""
    chosen: str = ""

    def of(self, name: str, step: Step) -> str:
        return self.values.get(f"{name}:{step.path}", "").strip()

    @property
    def budget(self) -> str:
        return self.values.get("budget", "").strip().lstrip("$")

    @property
    def checked_budget(self) -> str:
        """Raises PlanError."""
        try:
            amount = float(self.budget or 0)
        except ValueError:
            amount = -1.0
        if not 0 <= amount < 1e9:
            raise PlanError(f"The budget {self.budget!r} is no amount of dollars, like 0.50.")
        return self.budget

    @property
    def on_divergence(self) -> Literal["stop", "live"]:
        return "live" if self.values.get("on_divergence") == "live" else "stop"

    @property
    def extra(self) -> str:
        return self.values.get("extra", "").replace("\r\n", "\n")


def plan_rows(trace: Trace, form: Form, planned: Planned | None, *, load: Load) -> tuple[tuple[PlanRow, ...], int]:
    """A row for each of the first steps below the root, and for those that the form says something of; and how many
    steps have none."""
    below = [(step, depth) for step, depth in in_tree_order(trace.steps) if step.parent_id is not None]
    shown = [pair for at, pair in enumerate(below) if at < ROW_LIMIT or _is_meant(pair[0], form)]
    return tuple(_row(trace, placed, form, planned, load) for placed in shown), len(below) - len(shown)


def _is_meant(step: Step, form: Form) -> bool:
    return step.path in (form.opened, form.chosen) or any(form.of(name, step) for name in _FIELDS)


def _row(trace: Trace, placed: tuple[Step, int], form: Form, planned: Planned | None, load: Load) -> PlanRow:
    step, depth = placed
    recorded, note = recorded_text(step, load)
    typed = form.values.get(f"edit:{step.path}", recorded)
    edited = _differs(typed, recorded)
    fault, model = form.of("fault", step), form.of("model", step)
    return PlanRow(
        step=step.step_id,
        field=step.path,
        name=f"{step.name} {fmt.attempt(step.occurrence)}".strip(),
        kind=step.kind,
        status=step.status,
        depth=depth - 1,
        model=(step.call.model or step.call.model_asked or "") if step.call else "",
        effect=step.effect,
        choices=_choices(step, form.of("do", step)),
        other_model=model if model or _calls_below(trace, step) else None,
        fault=fault,
        edit=typed,
        edit_rows=min(14, max(2, typed.count("\n") + 1)),
        edit_note=note,
        edit_type=_type_of(step, load),
        edit_problem="" if planned is None else planned.edits.get(step.path, ""),
        edit_warning=_warning(typed, recorded) if edited else "",
        edited=edited,
        touched=bool(edited or fault or model or form.of("do", step)),
        open=edited or form.opened in (step.path, step.name),
        chosen=form.chosen == step.path,
        fate=None if planned is None else planned.fates.get(step.path),
    )


def _choices(step: Step, chosen: str) -> tuple[Choice, ...]:
    again = "do it again, for real" if step.effect else "run it again"
    choices = (("", "as recorded"), ("live", again), ("from", "go live from here on"))
    return tuple(Choice(value, label, value == chosen) for value, label in choices)


def _calls_below(trace: Trace, step: Step) -> bool:
    return step.call is not None or any(
        other.call is not None and other.path.startswith(step.path + "/") for other in trace.steps
    )


def _type_of(step: Step, load: Load) -> str:
    """What the recorded result is, in a word."""
    if step.output is None or step.output.size > EDIT_LIMIT:
        return ""
    value = load(step.output)
    if step.call is not None or isinstance(value, Unreadable):
        return ""
    return fmt.type_name(value.type) if isinstance(value, Opaque) else _JSON_WORDS.get(type(value), "")


_JSON_WORDS = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _warning(typed: str, recorded: str) -> str:
    """That another kind of value is given than was recorded: allowed, since a fault may be meant."""
    try:
        given, was = json.loads(typed), json.loads(recorded)
    except ValueError:
        return ""
    words = [_JSON_WORDS[type(value)] for value in (given, was)]
    return "" if words[0] == words[1] or was is None else f"This is {words[0]}, and what was recorded is {words[1]}."


def recorded_text(step: Step, load: Load) -> tuple[str, str]:
    """The recorded result as JSON for an editor, and a note where there is none."""
    if step.output is None:
        return "", "it raised; what you write here takes the place of that" if step.failure else "it left no result"
    if step.output.size > EDIT_LIMIT:
        return "", "its result is too large for an editor"
    value = load(step.output)
    if isinstance(value, Unreadable):
        return "", value.reason
    if step.call is not None and step.input is not None:
        said = answer_text(load(step.input), value)
        if said is not None:
            return json.dumps(said, ensure_ascii=False), "the text that the model answers"
    return json.dumps(plain(value), ensure_ascii=False, indent=2), ""


def rules_of(trace: Trace, form: Form, *, load: Load) -> tuple[Rule, ...]:
    """The rules that a filled-in form says. Raises PlanError with a sentence for the reader."""
    rules: list[Rule] = []
    for step in trace.steps:
        verb, name = form.of("do", step), short_pattern(trace, step)
        if verb == "live":
            rules.append(live(name))
        elif verb == "from":
            rules.append(from_step(name))
        if model := form.of("model", step):
            rules.append(substitute(name, model=model))
        if fault := form.of("fault", step):
            rules.append(fail(name, fault))
        typed = form.values.get(f"edit:{step.path}", "").replace("\r\n", "\n")
        if typed.strip() and _differs(typed, recorded_text(step, load)[0]):
            rules.append(edit(name, _parsed(name, typed)))
    return (*rules, *_extra_rules(form.extra))


#: How the command line writes each sort of rule.
_VERBS = {
    "--model": "substitute",
    "--edit": "edit",
    "--fail": "fail",
    "--live": "live",
    "--from": "from",
    "--serve": "serve",
    "--allow": "allow",
    "--stand-in": "stand_in",
}


def _extra_rules(typed: str) -> Iterator[Rule]:
    for line in filter(None, map(str.strip, typed.split("\n"))):
        try:
            option, *rest = shlex.split(line)
        except ValueError as error:
            raise PlanError(f"{line!r} can't be read: {error}") from None
        if option not in _VERBS or len(rest) != 1:
            raise PlanError(f"{line!r} is no rule: write one a line, as {', '.join(_VERBS)} and what it takes")
        yield parse_rule(_VERBS[option], rest[0])


def _parsed(name: str, typed: str) -> Any:
    try:
        return json.loads(typed)
    except ValueError as error:
        place = (
            f"{error.msg} at line {error.lineno}, column {error.colno}"
            if isinstance(error, json.JSONDecodeError)
            else error
        )
        raise PlanError(f'The edit of {name} is not JSON: {place}. A text needs quotes: "text".') from None


def _differs(typed: str, recorded: str) -> bool:
    """Whether an editor's text says something else than the record; layout and line ends don't count."""
    if not typed.strip() or typed.split() == recorded.split():
        return False
    try:
        return bool(json.loads(typed) != json.loads(recorded))
    except ValueError:
        return True


def short_pattern(trace: Trace, step: Step) -> str:
    """What names a step in a rule: its name where no other step has it, else its path."""
    names = Counter(one.name for one in trace.steps)
    return step.name if names[step.name] == 1 else step.path


def words_of(trace_id: str, rules: Sequence[Rule], *, budget: str = "", on_divergence: str = "stop") -> list[str]:
    """The words of the command that does what the form says."""
    words = ["replay", trace_id]
    for rule in rules:
        option, _, value = str(rule).partition(" ")
        words += [option, value]
    if budget:
        words += ["--budget-usd", budget]
    if on_divergence != "stop":
        words += ["--on-divergence", on_divergence]
    return words


def command_of(trace_id: str, rules: Sequence[Rule], *, budget: str = "", on_divergence: str = "stop") -> str:
    """The same as one line to copy into a shell."""
    return shlex.join(["playhead", *words_of(trace_id, rules, budget=budget, on_divergence=on_divergence)])
