"""``playhead prune``, ``playhead pin`` and ``playhead unpin``."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Iterator

import click

from tracer.cli import as_json, print_json
from tracer.terminal import inert

if TYPE_CHECKING:
    from tracer.retention.policy import Going
    from tracer.retention.pruning import Pruned
    from tracer.retention.rules import Retention


@click.command("prune")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option("--older-than", metavar="AGE", help="In place of the rules: traces older than 12h, 30d, 8w.")
@click.option("--all", "of_all", is_flag=True, help="With --older-than: also those that are kept longer.")
@click.option("--workflow", default="*", help="Only traces of this workflow; a pattern like support* will do.")
@click.option("--rules", metavar="FILE", help="The rules in this file.  [default: retention.toml in the project]")
@as_json
def prune_command(  # noqa: PLR0913 - the options of one command
    *, dry_run: bool, older_than: str | None, of_all: bool, workflow: str, rules: str | None, as_json: bool
) -> None:
    """Delete the traces that have had their time, and what nothing uses any more.

    How long traces stay is said in retention.toml, or as PLAYHEAD_RETENTION_DAYS. Failed, scored, escalated and
    replayed ones stay longer; pinned and running ones, and those that wait for an answer, stay. Others may record
    meanwhile.
    """
    from tracer.reading import open_reading  # noqa: PLC0415
    from tracer.retention import pruning  # noqa: PLC0415 - so that --help needs no database library

    retention, said_by = _rules(older_than, rules, of_all=of_all)
    with open_reading() as store:
        act = pruning.foreseen if dry_run else pruning.prune
        done = act(store, retention, now_ns=time.time_ns(), only=workflow)
    if as_json:
        print_json(pruning.as_json(done, is_dry=dry_run, said_by=said_by))
        return
    if retention.is_empty:
        click.echo("No rule says which traces may go: write a retention.toml, or give --older-than 30d.")
    for line in _lines(done, is_dry=dry_run):
        click.echo(inert(line))


def _rules(older_than: str | None, rules: str | None, *, of_all: bool) -> tuple[Retention, str]:
    from tracer import recorder  # noqa: PLC0415
    from tracer.retention import pruning  # noqa: PLC0415
    from tracer.retention.rules import DAY_NS, Retention  # noqa: PLC0415
    from tracer.store.query import parse_since  # noqa: PLC0415

    if older_than is None:
        if of_all:
            raise click.UsageError("--all needs an age: --older-than 30d")
        return pruning.file_of(rules) if rules else pruning.rules_in_force(recorder.current_config())
    if rules:
        raise click.UsageError("give --older-than or --rules, not both")
    days = parse_since(older_than) / DAY_NS
    return (Retention.of_age if of_all else Retention.of_days)(days), "--older-than"


def _lines(done: Pruned, *, is_dry: bool) -> Iterator[str]:
    from tracer import format as fmt  # noqa: PLC0415

    groups: dict[tuple[str, str], list[Going]] = defaultdict(list)
    for each in done.traces:
        groups[each.subject.workflow, each.why].append(each)
    for (workflow, why), some in sorted(groups.items()):
        oldest = fmt.exact_time(some[0].subject.started_ns)
        yield f"{workflow}: {fmt.plural(len(some), 'trace')}, {why}, the oldest of {oldest}"
    number = fmt.plural(len(done.traces), "trace")
    if done.spared:
        yield f"{fmt.plural(done.spared, 'trace')} spared: running again, pinned or gone meanwhile"
    told = done.collected
    if told is None:
        yield f"{number} deleted; another prune has begun meanwhile, and collects what nothing uses any more"
    elif is_dry:
        yield (
            f"{number} would go, and {told.bodies:,} stored values or parts of them that nothing else uses "
            f"({fmt.size(told.body_size)} unpacked). Nothing was changed."
        )
    else:
        yield (
            f"{number} deleted, and {told.bodies:,} stored values or parts of them that nothing used any more "
            f"({fmt.size(told.body_size)} unpacked): {fmt.size(told.freed)} less as it lies"
        )


@click.command("pin")
@click.argument("trace", required=False)
def pin_command(*, trace: str | None) -> None:
    """Keep a trace, and all that replays it or went on from it, whatever the rules of retention say.

    TRACE is an id, a unique prefix of one, or "latest"; without it the pinned ones are listed.
    """
    from tracer.reading import open_reading  # noqa: PLC0415

    with open_reading() as store:
        if trace is None:
            for trace_id in store.upkeep.pins():
                click.echo(trace_id)
            return
        trace_id = store.resolve(trace)
        pinned = store.upkeep.pin(trace_id)
    click.echo(f"{trace_id} {'is pinned' if pinned else 'was pinned already'}")


@click.command("unpin")
@click.argument("trace")
def unpin_command(*, trace: str) -> None:
    """Let the rules of retention say again how long a trace stays."""
    from tracer.reading import open_reading  # noqa: PLC0415

    with open_reading() as store:
        trace_id = store.resolve(trace)
        was_pinned = store.upkeep.unpin(trace_id)
    click.echo(f"{trace_id} {'is pinned no more' if was_pinned else 'was not pinned'}")
