"""``playhead breakers``."""

from __future__ import annotations

from dataclasses import asdict

import click

from tracer.cli import as_json, console, print_json


@click.command("breakers")
@click.option("--since", default="1d", show_default=True, help="Look at traces this young: 30m, 12h, 7d.")
@click.option("--workflow", help="Only traces of this workflow.")
@as_json
def breakers_command(*, since: str, workflow: str | None, as_json: bool) -> None:
    """List circuit breakers: what each became last and when, how often it opened, and why the last time.

    Read from the steps in which they changed; of a breaker that processes share, the state is the one they share.
    """
    from router.breaker.history import known, transitions  # noqa: PLC0415 - so that --help needs no database library
    from router.breaker.sharing import PREFIX  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415
    from tracer.store import Filter  # noqa: PLC0415
    from tracer.store.query import parse_since  # noqa: PLC0415

    parse_since(since)
    with open_reading() as store:
        changes = transitions(store, Filter(workflow=workflow, since=since, replays=False))
        breakers = known(changes, store.shared(PREFIX))
    if as_json:
        shown = [{**asdict(each), "is_trip": each.is_trip} for each in changes]
        print_json({"breakers": [asdict(each) for each in breakers], "transitions": shown})
    elif not breakers:
        click.echo(f"No breaker changed within {since}, and none is shared.")
    else:
        from router.breaker.table import table  # noqa: PLC0415

        console().print(table(breakers))
