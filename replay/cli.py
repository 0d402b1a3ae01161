"""``playhead replay``."""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.text import Text

from replay.cli_rules import parsed_rules, rule_options
from tracer import format as form
from tracer.cli import as_json, console, print_json
from tracer.plain import plain


@click.command("replay")
@click.argument("trace")
@rule_options()
@click.option("--verify", is_flag=True, help="Run every body and serve only the calls: finds what code drifted.")
@click.option("--unguarded", is_flag=True, help="Let unmarked code write, delete, start processes and connect.")
@click.option("--dry-run", is_flag=True, help="Only show what would be served and what would run.")
@click.option("--budget-usd", type=click.FloatRange(min=0), help="Stop before a live call once this much is spent.")
@click.option("--max-live-calls", type=click.IntRange(min=0), help="Stop before more calls than this have run.")
@click.option(
    "--on-divergence",
    type=click.Choice(["stop", "live"]),
    default="stop",
    show_default=True,
    help="What becomes of a model call that the record does not explain.",
)
@click.option("--real-time", is_flag=True, help="Wait what the workflow waits, instead of skipping it.")
@click.option(
    "--stream-pace",
    type=click.Choice(["at-once", "recorded"]),
    default="at-once",
    show_default=True,
    help="How served streams come: all chunks at once, or as long after one another as they were recorded.",
)
@click.option(
    "--order",
    type=click.Choice(["at-once", "recorded", "shuffled"]),
    default="at-once",
    show_default=True,
    help="In which order served steps that run at once come to their ends.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="What draws the order, if it is shuffled.")
@as_json
def replay_command(  # noqa: PLR0913 - the options of one command
    *,
    trace: str,
    verify: bool,
    unguarded: bool,
    dry_run: bool,
    budget_usd: float | None,
    max_live_calls: int | None,
    on_divergence: Any,
    real_time: bool,
    stream_pace: Any,
    order: Any,
    seed: int,
    as_json: bool,
    **rules: Any,
) -> None:
    """Run a recorded workflow again. Unchanged steps are served from the record, effects never happen again.

    TRACE is an id, a unique prefix of one, or "latest". Exits with 1 if the workflow raised, with 3 if the replay
    stopped at a divergence or an effect.
    """
    from replay.plan import Plan  # noqa: PLC0415 - so that --help needs no database library
    from replay.run import replay  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    parsed = parsed_rules(rules)
    with open_reading() as store:  # adopts what a killed run left, so that it can be replayed
        trace_id = store.resolve(trace)
        if dry_run:
            from replay.preview import preview  # noqa: PLC0415
            from replay.record import Record  # noqa: PLC0415

            plan, recorded = Plan(tuple(parsed), on_divergence, verify=verify), store.trace(trace_id)
            plan.check(recorded)
            _show_preview(preview(Record(recorded, store.payloads), plan), as_json=as_json)
            return
    done = replay(
        trace_id,
        *parsed,
        on_divergence=on_divergence,
        budget_usd=budget_usd,
        max_live_calls=max_live_calls,
        verify=verify,
        guarded=not unguarded,
        clock="real" if real_time else "virtual",
        streams=stream_pace,
        order=order,
        seed=seed,
    )
    if as_json:
        print_json(replay_as_json(done))
    else:
        show_replay(done)
    sys.exit(3 if done.stopped is not None else 1 if done.error is not None else 0)


def replay_as_json(done: Any) -> dict[str, Any]:
    """What came of a replay, for a program."""
    stopped = None if done.stopped is None else str(done.stopped)
    return {
        "trace_id": done.trace_id,
        ("resume_of" if done.resumed else "replay_of"): done.replay_of,
        "outcome": outcome_word(done),
        "output": plain(done.output),
        "error": None if done.error is None else f"{type(done.error).__name__}: {done.error}",
        "stopped": stopped,
        "waiting": None if done.waiting is None else done.waiting.question,
        "served": done.served,
        "live": done.live,
        "served_steps": done.served_steps,
        "cost_usd": done.cost_usd,
        "saved_usd": done.saved_usd,
        "virtual_s": done.virtual_s,
        "unpriced": list(done.unpriced),
        "divergences": [plain(divergence) for divergence in done.divergences],
        "unused_rules": list(done.unused),
    }


def outcome_word(done: Any) -> str:
    """How a replay ended, in the word for its trace."""
    if done.stopped is not None:
        return "stopped"
    if done.waiting is not None:
        return "waiting"
    return "failed" if done.error is not None else "completed"


def show_replay(done: Any) -> None:
    """What came of a replay, for a terminal."""
    out = console()
    if done.stopped is not None:
        out.print(Text(f"■ stopped  {done.stopped}", style="yellow"), soft_wrap=True)
    elif done.waiting is not None:
        out.print(Text(f"? waiting  {done.waiting}", style="cyan"), soft_wrap=True)
    elif done.error is not None:
        out.print(Text(f"✗ raised {type(done.error).__name__}: {done.error}", style="red"), soft_wrap=True)
    else:
        out.print(Text("● completed", style="green"), Text(str(plain(done.output))[:300]))
    cost = "unknown" if done.cost_usd is None else form.dollars(round(done.cost_usd * 1e9))
    saved = form.dollars(round(done.saved_usd * 1e9))
    out.print(
        f"{form.plural(done.served, 'call')} served from the record, {form.plural(done.live, 'call')} ran; "
        f"cost {cost}, saved {saved}{_skipped(done.virtual_s)}"
    )
    for divergence in done.divergences:
        out.print(Text(f"  ≠ {divergence}", style="dim"), soft_wrap=True)
        if divergence.accept:
            out.print(Text(f"    accept: {', '.join(divergence.accept)}", style="dim"), soft_wrap=True)
    for rule in done.unused:
        out.print(Text(f"  ! {rule} met no step", style="yellow"))
    out.print(f"new trace {done.trace_id}\ncompare   playhead diff {done.replay_of[:16]} {done.trace_id[:16]}")


def _skipped(seconds: float) -> str:
    return f"; {form.duration(round(seconds * 1e9))} of waiting skipped" if seconds >= 0.001 else ""


def _show_preview(rows: Any, *, as_json: bool) -> None:
    if as_json:
        print_json([plain(row) for row in rows])
        return
    for row in rows:
        reason = f"  {row.reason}" if row.reason else ""
        click.echo(f"{row.word:<8} {'  ' * row.depth}{row.path.rsplit('/', 1)[-1]} ({row.kind}){reason}")
