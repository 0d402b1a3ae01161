"""``playhead verify``: whether everything that was recorded can still be given back, byte for byte."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from tracer.cli import as_json, print_json
from tracer.terminal import inert


@click.command("verify")
@as_json
def verify_command(*, as_json: bool) -> None:
    """Hash every stored payload again, and count every trace's totals.

    Exits with 0 if all is as it was recorded, with 1 if something is damaged or missing, which is then named.
    """
    from tracer.reading import open_reading  # noqa: PLC0415 - so that --help needs no database library

    with open_reading() as store:
        checked, drifts = store.check(), store.verify_totals()
    if as_json:
        print_json({**asdict(checked), "drifts": [asdict(drift) for drift in drifts]})
    else:
        for damage in checked.damaged:
            used = f" (used by {', '.join(damage.used_by)})" if damage.used_by else ""
            click.echo(f"{damage.address}: {damage.problem}{used}")
        for drift in drifts:
            told = f"{drift.column} is {drift.cached!r} and adds up to {drift.counted!r}"
            click.echo(inert(f"trace {drift.trace_id}: {told}"))
        click.echo(f"{checked.bodies} checked, {len(checked.damaged)} damaged, {len(drifts)} totals wrong")
    sys.exit(1 if checked.damaged or drifts else 0)
