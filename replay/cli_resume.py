"""``playhead resume``."""

from __future__ import annotations

import sys
from typing import Any

import click

from replay.cli import replay_as_json, show_replay
from replay.cli_rules import parsed_rules, rule_options
from tracer.cli import as_json, print_json


@click.command("resume")
@click.argument("trace")
@rule_options("live", "stand_in", "edit", "substitute")
@click.option("--budget-usd", type=click.FloatRange(min=0), help="Stop before a live call once this much is spent.")
@click.option("--max-live-calls", type=click.IntRange(min=0), help="Stop before more calls than this have run.")
@click.option("--again", is_flag=True, help="Resume once more what was resumed already.")
@as_json
def resume_command(
    *,
    trace: str,
    budget_usd: float | None,
    max_live_calls: int | None,
    again: bool,
    as_json: bool,
    **rules: Any,
) -> None:
    """Go on with a run that failed or was killed, where it stopped. What finished is served; the rest happens, effects
    included.

    TRACE is an id, a unique prefix of one, or "latest". Exits with 1 if the workflow raised, with 3 if an effect that
    may have happened already needs a decision.
    """
    from replay.run import resume  # noqa: PLC0415 - so that --help needs no database library
    from tracer.reading import open_reading  # noqa: PLC0415

    parsed = parsed_rules(rules)
    with open_reading() as store:  # adopts what a killed run left, so that it can be resumed
        trace_id = store.resolve(trace)
    done = resume(trace_id, *parsed, budget_usd=budget_usd, max_live_calls=max_live_calls, again=again)
    if as_json:
        print_json(replay_as_json(done))
    else:
        show_replay(done)
    sys.exit(3 if done.stopped is not None else 1 if done.error is not None else 0)
