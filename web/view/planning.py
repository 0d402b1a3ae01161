"""The replay form: what may be changed at each step, and what the filled-in form says as rules. Pure."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from typing import Any, Callable, Mapping, Sequence

from replay import PlanError, Rule, edit, from_step, live, substitute
from tracer import format as fmt
from tracer.model import PayloadRef, Step, Trace
from tracer.plain import plain
from web.view.contexts import Choice, PlanRow
from web.view.exchange import answer_text
from web.view.ordering import in_tree_order
from web.view.panel import Unreadable

#: Steps of the form, and the largest result that an editor holds.
ROW_LIMIT = 80
EDIT_LIMIT = 20_000
Load = Callable[[PayloadRef], Any]


def plan_rows(
    trace: Trace, *, load: Load, models: Sequence[str], filled: Mapping[str, str], opened: str = ""
) -> tuple[PlanRow, ...]:
    """A row for each step below the root. ``filled`` is the form as it was sent; ``opened`` the path to open first."""
    rows = []
    for step, depth in in_tree_order(trace.steps)[: ROW_LIMIT + 1]:
        if step.parent_id is None:
            continue
        recorded, note = recorded_text(step, load)
        typed = filled.get(f"edit:{step.path}", recorded)
        verb = filled.get(f"do:{step.path}", "")
        rows.append(
            PlanRow(
                step=step.step_id,
                field=step.path,
                name=f"{step.name} {fmt.attempt(step.occurrence)}".strip(),
                kind=step.kind,
                status=step.status,
                depth=depth - 1,
                model=(step.call.model or step.call.model_asked or "") if step.call else "",
                effect=step.effect,
                choices=_choices(trace, step, models, verb),
                edit=typed,
                edit_rows=min(14, max(2, typed.count("\n") + 1)),
                edit_note=note,
                edited=_differs(typed, recorded),
                open=opened in (step.path, step.name) or _differs(typed, recorded),
            )
        )
    return tuple(rows)


def _choices(trace: Trace, step: Step, models: Sequence[str], chosen: str) -> tuple[Choice, ...]:
    again = "do it again, for real" if step.effect else "run it again"
    choices = [("", "as recorded"), ("live", again), ("from", "run from here on")]
    if _calls_below(trace, step):
        choices += [(f"model:{name}", f"ask {name}") for name in models]
    if chosen and chosen not in dict(choices):
        choices.append((chosen, f"ask {chosen.removeprefix('model:')}"))
    return tuple(Choice(value, label, value == chosen) for value, label in choices)


def _calls_below(trace: Trace, step: Step) -> bool:
    return step.call is not None or any(
        other.call is not None and other.path.startswith(step.path + "/") for other in trace.steps
    )


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


def rules_of(trace: Trace, filled: Mapping[str, str], *, load: Load) -> tuple[Rule, ...]:
    """The rules that a filled-in form says. Raises PlanError with a sentence for the reader."""
    rules: list[Rule] = []
    for step in trace.steps:
        verb = filled.get(f"do:{step.path}", "")
        name = short_pattern(trace, step)
        if verb == "live":
            rules.append(live(name))
        elif verb == "from":
            rules.append(from_step(name))
        elif verb.startswith("model:"):
            rules.append(substitute(name, model=verb.removeprefix("model:")))
        typed = filled.get(f"edit:{step.path}", "").replace("\r\n", "\n")
        if typed.strip() and _differs(typed, recorded_text(step, load)[0]):
            rules.append(edit(name, _parsed(name, typed)))
    return tuple(rules)


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
