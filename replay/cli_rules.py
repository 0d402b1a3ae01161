"""The rules of a plan as options, for every command that takes them."""

from __future__ import annotations

from typing import Any, Callable, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

#: By verb: the option, the form of its value, and its help.
_RULES = {
    "substitute": ("--model", "STEP=MODEL", "Let this model answer the calls inside the step."),
    "edit": ("--edit", "STEP=JSON", "Take this as the step's result; its code does not run."),
    "fail": ("--fail", "STEP=FAULT", "Make the step's calls fail: timeout, rate_limited, server_error, bad_json..."),
    "live": ("--live", "STEP", "Run this step, and what is in it, for real. Names an effect to let it happen."),
    "from": ("--from", "STEP", "All before this step is recorded, all from there on is live."),
    "serve": ("--serve", "STEP", "Serve this step from the record even where its code has changed."),
    "allow": ("--allow", "STEP", "Let this step act on the world unmarked: send requests, write, start processes."),
    "stand_in": ("--stand-in", "STEP=JSON", "A result for an effect that the record does not hold."),
}


def rule_options(*verbs: str) -> Callable[[F], F]:
    """The options of these verbs, of all where none is named; ``parsed_rules`` reads what they were given."""

    def decorated(command: F) -> F:
        for verb in reversed(verbs or tuple(_RULES)):
            option, metavar, words = _RULES[verb]
            command = click.option(option, f"rules_{verb}", metavar=metavar, multiple=True, help=words)(command)
        return command

    return decorated


def parsed_rules(rules: dict[str, Any]) -> list[Any]:
    """The rules that were given. Raises PlanError, which shows the form."""
    from replay.plan import parse_rule  # noqa: PLC0415 - so that --help needs no database library

    return [parse_rule(name.removeprefix("rules_"), text) for name, texts in rules.items() for text in texts]
