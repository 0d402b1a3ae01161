"""``playhead doctor TRACE``: what tracer's command calls for a trace."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from replay.nondeterminism.finding import Findings, Source, examine
from tracer.cli import console, print_json
from tracer.terminal import inert


def doctor(trace: str, *, as_json: bool) -> int:
    """Show what makes a trace's workflow non-deterministic; the exit code: 1 where anything found matters, else 0."""
    found = examine(trace)
    if as_json:
        sources = [{**asdict(source), "matters": source.matters} for source in found.sources]
        print_json(
            {
                "trace_id": found.trace_id,
                "replays": list(found.replays),
                "stopped": found.stopped,
                "sources": sources,
            }
        )
    else:
        _show(found)
    return found.exit_code


def _show(found: Findings) -> None:
    out = console()
    matters = [source for source in found.sources if source.matters]
    harmless = [source for source in found.sources if not source.matters]
    if matters:
        out.print(_table(matters))
    else:
        click.echo("Nothing found that makes two runs of this workflow differ.")
    if harmless:
        click.echo("\nAlso asked for, without any step's input differing by it:")
        out.print(_table(harmless))
    if found.stopped:
        click.echo(f"\nThe replays stopped early, what comes after was not seen: {inert(found.stopped)}")
    click.echo(f"\nreplayed twice, as {' and '.join(each[:16] for each in found.replays)}")


def _table(sources: list[Source]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("where", "kind", "what", "step"):
        table.add_column(name, overflow="fold")
    for source in sources:
        times = f" ({source.times} times)" if source.times > 1 else ""
        where = f"{_shown(source.file)}:{source.line}" if source.file else ""
        table.add_row(*(inert(text) for text in (where, source.kind, source.what + times, source.step)))
    return table


def _shown(file: str) -> str:
    """Relative where it lies below the current folder."""
    here = Path.cwd().resolve()
    return os.path.relpath(file, here) if Path(file).is_relative_to(here) else file
