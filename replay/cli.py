"""``playhead replay`` and ``playhead diff``."""

from __future__ import annotations

import sys
from typing import Any, Callable, TypeVar

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tracer import format as form
from tracer.cli import as_json, console, print_json
from tracer.plain import plain

F = TypeVar("F", bound=Callable[..., Any])


def _rules(verb: str, option: str, metavar: str, words: str) -> Callable[[F], F]:
    return click.option(option, f"rules_{verb}", metavar=metavar, multiple=True, help=words)


@click.command("replay")
@click.argument("trace")
@_rules("substitute", "--model", "STEP=MODEL", "Let this model answer the calls inside the step.")
@_rules("edit", "--edit", "STEP=JSON", "Take this as the step's result; its code does not run.")
@_rules("fail", "--fail", "STEP=FAULT", "Make the step's calls fail: timeout, rate_limited, server_error, bad_json...")
@_rules("live", "--live", "STEP", "Run this step, and what is in it, for real. Names an effect to let it happen.")
@_rules("from", "--from", "STEP", "All before this step is recorded, all from there on is live.")
@_rules("serve", "--serve", "STEP", "Serve this step from the record even where its code has changed.")
@_rules("allow", "--allow", "STEP", "Let this step act on the world unmarked: send requests, write, start processes.")
@_rules("stand_in", "--stand-in", "STEP=JSON", "A result for an effect that the record does not hold.")
@click.option("--verify", is_flag=True, help="Run every body and serve only the calls: finds what code drifted.")
@click.option("--unguarded", is_flag=True, help="Let unmarked code write, delete, start processes and connect.")
@click.option("--dry-run", is_flag=True, help="Only show what would be served and what would run.")
@click.option("--budget-usd", type=click.FloatRange(min=0), help="Stop before a live call once this much is spent.")
@click.option(
    "--on-divergence",
    type=click.Choice(["stop", "live"]),
    default="stop",
    show_default=True,
    help="What becomes of a model call that the record does not explain.",
)
@as_json
def replay_command(  # noqa: PLR0913 - the options of one command
    *,
    trace: str,
    verify: bool,
    unguarded: bool,
    dry_run: bool,
    budget_usd: float | None,
    on_divergence: Any,
    as_json: bool,
    **rules: Any,
) -> None:
    """Run a recorded workflow again. Unchanged steps are served from the record, effects never happen again.

    TRACE is an id, a unique prefix of one, or "latest". Exits with 1 if the workflow raised, with 3 if the replay
    stopped at a divergence or an effect.
    """
    from replay.plan import Plan, parse_rule  # noqa: PLC0415 - so that --help needs no database library
    from replay.run import replay  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    parsed = [parse_rule(name.removeprefix("rules_"), text) for name, texts in rules.items() for text in texts]
    with open_reading() as store:  # adopts what a killed run left, so that it can be replayed
        trace_id = store.resolve(trace)
        if dry_run:
            from replay.preview import preview  # noqa: PLC0415
            from replay.record import Record  # noqa: PLC0415

            plan, recorded = Plan(tuple(parsed), on_divergence, None, verify), store.trace(trace_id)
            plan.check(recorded)
            _show_preview(preview(Record(recorded, store.payloads), plan), as_json=as_json)
            return
    done = replay(
        trace_id,
        *parsed,
        on_divergence=on_divergence,
        budget_usd=budget_usd,
        verify=verify,
        guarded=not unguarded,
    )
    if as_json:
        print_json(replay_as_json(done))
    else:
        _show_replay(done)
    sys.exit(3 if done.stopped is not None else 1 if done.error is not None else 0)


def replay_as_json(done: Any) -> dict[str, Any]:
    """What came of a replay, for a program."""
    stopped = None if done.stopped is None else str(done.stopped)
    return {
        "trace_id": done.trace_id,
        "replay_of": done.replay_of,
        "outcome": "stopped" if stopped else "failed" if done.error is not None else "completed",
        "output": plain(done.output),
        "error": None if done.error is None else f"{type(done.error).__name__}: {done.error}",
        "stopped": stopped,
        "served": done.served,
        "live": done.live,
        "served_steps": done.served_steps,
        "cost_usd": done.cost_usd,
        "saved_usd": done.saved_usd,
        "unpriced": list(done.unpriced),
        "divergences": [plain(divergence) for divergence in done.divergences],
        "unused_rules": list(done.unused),
    }


def _show_replay(done: Any) -> None:
    out = console()
    if done.stopped is not None:
        out.print(Text(f"■ stopped  {done.stopped}", style="yellow"), soft_wrap=True)
    elif done.error is not None:
        out.print(Text(f"✗ raised {type(done.error).__name__}: {done.error}", style="red"), soft_wrap=True)
    else:
        out.print(Text("● completed", style="green"), Text(str(plain(done.output))[:300]))
    cost = "unknown" if done.cost_usd is None else form.dollars(round(done.cost_usd * 1e9))
    saved = form.dollars(round(done.saved_usd * 1e9))
    out.print(
        f"{form.plural(done.served, 'call')} served from the record, {form.plural(done.live, 'call')} ran; "
        f"cost {cost}, saved {saved}"
    )
    for divergence in done.divergences:
        out.print(Text(f"  ≠ {divergence}", style="dim"), soft_wrap=True)
    for rule in done.unused:
        out.print(Text(f"  ! {rule} met no step", style="yellow"))
    out.print(f"new trace {done.trace_id}\ncompare   playhead diff {done.replay_of[:16]} {done.trace_id[:16]}")


def _show_preview(rows: Any, *, as_json: bool) -> None:
    if as_json:
        print_json([plain(row) for row in rows])
        return
    for row in rows:
        reason = f"  {row.reason}" if row.reason else ""
        click.echo(f"{row.word:<8} {'  ' * row.depth}{row.path.rsplit('/', 1)[-1]} ({row.kind}){reason}")


@click.command("diff")
@click.argument("before")
@click.argument("after")
@as_json
def diff_command(*, before: str, after: str, as_json: bool) -> None:
    """Compare two traces: where they part, and what differs in each step. Exits with 1 if they differ."""
    from replay.diff import diff  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    with open_reading() as store:
        found = diff(store.trace(store.resolve(before)), store.trace(store.resolve(after)), store.value)
    if as_json:
        print_json(diff_as_json(found))
    else:
        console().print(diff_text(found))
    sys.exit(0 if found.same else 1)


def diff_as_json(found: Any) -> dict[str, Any]:
    """A diff for a program: only the rows that differ."""

    def row_as_json(row: Any) -> dict[str, Any]:
        return {
            "path": row.step.path,
            "word": row.word,
            "origin": None if row.after is None else row.after.origin,
            **{side: [plain(change) for change in getattr(row, side)] for side in ("inputs", "outputs", "facts")},
        }

    return {
        "before": found.before.trace_id,
        "after": found.after.trace_id,
        "same": found.same,
        "first": None if found.first is None else row_as_json(found.first),
        "cost_delta_nusd": found.cost_delta_nusd,
        "duration_delta_ns": found.duration_delta_ns,
        "token_delta": found.token_delta,
        "changed": [row_as_json(row) for row in found.rows if row.word != "same"],
    }


def diff_text(found: Any) -> Group:
    """A diff for a terminal: the first divergence as a sentence, then the aligned tree."""
    head = _sentence(found)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("", "step", found.before.trace_id[:16], found.after.trace_id[:16]):
        table.add_column(name, overflow="fold")
    for row in found.rows:
        table.add_row(*_row_cells(row))
    deltas = Text(_deltas(found), style="dim")
    return Group(head, Text(), table, Text(), deltas)


_SIGNS = {"same": (" ", "dim"), "changed": ("≠", "yellow"), "added": ("+", "green"), "removed": ("-", "red")}


def _sentence(found: Any) -> Text:
    if found.first is None:
        return Text("The two traces are the same.", style="green")
    row = found.first
    if row.word != "changed":
        where = "the second" if row.word == "added" else "the first"
        return Text(f"They part at {row.step.path}, which only {where} has.", style="bold")
    change = row.changes[0]
    side = "input" if row.inputs else "output" if row.outputs else "result"
    return Text(f"They part at {row.step.path}: its {side} differs at {change.path}.", style="bold")


def _row_cells(row: Any) -> tuple[Text, Text, Text, Text]:
    sign, style = _SIGNS[row.word]
    name = Text("  " * row.depth + row.step.path.rsplit("/", 1)[-1], style="" if row.word != "same" else "dim")
    if row.after is not None and row.after.origin != "live":
        name.append(f" {form.ORIGIN_WORDS[row.after.origin].lower()}", style="magenta")
    before = Text("" if row.before is None else form.duration(row.before.duration_ns), style="dim")
    after = Text("" if row.after is None else form.duration(row.after.duration_ns), style="dim")
    for change in row.changes[:3]:
        before.append(f"\n{change.path} {_short(change.before)}", style="red")
        after.append(f"\n{change.path} {_short(change.after)}", style="green")
    if len(row.changes) > 3:
        after.append(f"\nand {len(row.changes) - 3} more", style="dim")
    return Text(sign, style=style), name, before, after


def _short(value: Any) -> str:
    from tracer.render import one_line  # noqa: PLC0415

    return one_line(value if isinstance(value, str) else str(plain(value)), 70)


def _deltas(found: Any) -> str:
    duration = found.duration_delta_ns
    parts = [f"cost {form.dollars(found.cost_delta_nusd)}", f"tokens {found.token_delta:+,}"]
    if duration is not None:
        parts.insert(0, f"time {'+' if duration > 0 else ''}{form.duration(duration)}")
    return "second less first: " + " · ".join(parts)
