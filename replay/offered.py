"""``playhead models``: the models that a replay of a trace may name."""

from __future__ import annotations

import click

from tracer.cli import as_json, print_json


@click.command("models")
@click.argument("trace")
@as_json
def models_command(*, trace: str, as_json: bool) -> None:
    """List the models that a replay of TRACE may put in: the catalogue of its workflow's module.

    Loads that module, as a replay would, and runs nothing.
    """
    from replay.entry import find  # noqa: PLC0415 - so that --help needs no database library
    from tracer import recorder  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    with open_reading() as store:
        entry = store.trace(store.resolve(trace)).entry
    find(entry)
    targets = sorted(recorder.catalogue(), key=lambda target: target.name)
    if as_json:
        print_json(
            [{"name": target.name, "url": target.url, "callable": target.call is not None} for target in targets]
        )
    elif not targets:
        click.echo("No models: name them in the workflow's module with tracer.configure(models=[...]).")
    for target in () if as_json else targets:
        click.echo(f"{target.name:<24} {'a Python function' if target.call is not None else target.url or ''}")
