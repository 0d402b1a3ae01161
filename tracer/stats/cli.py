"""``playhead stats``."""

from __future__ import annotations

import click

from tracer.cli import as_json, console, print_json
from tracer.stats.measure import BY


@click.command("stats")
@click.option("--by", type=click.Choice(BY), default="workflow", show_default=True, help="A row for each of these.")
@click.option("--workflow", help="Only runs of this workflow.")
@click.option("--since", help="Only runs this young: 30m, 12h, 7d.")
@click.option("--compare", metavar="SIDES", help="Two sides: before:DATE, version:A,B, arm:ROLE or arm:ROLE,A,B.")
@click.option("--passing", type=float, default=0.5, show_default=True, help="A score is right from this number on.")
@as_json
def stats_command(  # noqa: PLR0913 - the options of one command
    *, by: str, workflow: str | None, since: str | None, compare: str | None, passing: float, as_json: bool
) -> None:
    """Say how often runs complete, fail, fall back, escalate and retry; how long they take and what of that is the
    models'; what they cost. With 95 % intervals. Replays are left out.

    With --compare: the same on two sides, and whether they differ.
    """
    from tracer.stats.reading import read_stats  # noqa: PLC0415 - so that --help needs no database library
    from tracer.stats.table import stats_text  # noqa: PLC0415

    found = read_stats(by=by, workflow=workflow, since=since, compare=compare, passing=passing)
    if as_json:
        print_json(found.as_json())
    else:
        console().print(stats_text(found))
