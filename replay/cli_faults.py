"""``playhead faults``: every fault at every model call and tool of one trace, as a matrix."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tracer import format as form
from tracer.cli import as_json, console, print_json
from tracer.plain import plain

#: Outcome -> its sign, its style, and the words of the legend.
_SIGNS = {
    "same": ("=", "green", "same result"),
    "degraded": ("~", "green", "degraded: a retry, a fallback or another decision answered"),
    "escalated": ("?", "cyan", "escalated to a human"),
    "failed": ("x", "yellow", "failed loudly"),
    "different": ("!", "bold red", "silently different"),
    "needs-live": (">", "magenta", "needs live: it came to a call that the record does not hold (--allow-live)"),
    "stopped": ("#", "magenta", "stopped"),
    "not-applicable": ("-", "dim", "has no meaning there"),
}
#: What the list below the matrix spells out.
_SPELT_OUT = ("different", "needs-live", "stopped")
#: Characters of a note that the list shows.
_MOST = 200


@click.command("faults")
@click.argument("trace")
@click.option("--step", "steps", metavar="STEP", multiple=True, help="Only at this step, or the calls in it.")
@click.option("--fault", "kinds", metavar="FAULT", multiple=True, help="Only this fault: timeout, bad_json, refusal...")
@click.option("--once", is_flag=True, help="Strike only the first try of a call: a retry gets the recorded answer.")
@click.option("--allow-live", is_flag=True, help="Let model calls and tools that the record does not hold go live.")
@click.option("--budget-usd", type=click.FloatRange(min=0), help="With --allow-live: stop before this much is spent.")
@click.option("--unguarded", is_flag=True, help="Let unmarked code write, delete, start processes and connect.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write the matrix there as JUnit XML.")
@as_json
def faults_command(  # noqa: PLR0913 - the options of one command
    *,
    trace: str,
    steps: tuple[str, ...],
    kinds: tuple[str, ...],
    once: bool,
    allow_live: bool,
    budget_usd: float | None,
    unguarded: bool,
    junit: Path | None,
    as_json: bool,
) -> None:
    """Fail on purpose: play TRACE once for each fault at each model call and tool, and show what came of it.

    Offline and on a virtual clock, unless --allow-live. Every cell is a replay that can be opened; effects happen in
    none. Exits with 1 if a fault slipped through: the result is another, and nothing in the trace says so; with 3 if
    the trace can't even be replayed without a fault.
    """
    from replay.junit import junit as as_junit  # noqa: PLC0415 - so that --help needs no database library
    from replay.matrix import faults  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    if budget_usd is not None and not allow_live:
        raise click.UsageError("--budget-usd is for --allow-live: without it nothing is spent")
    with open_reading() as store:  # adopts what a killed run left, so that it can be replayed
        trace_id = store.resolve(trace)
    matrix = faults(
        trace_id,
        steps=steps,
        faults=kinds,
        once=once,
        allow_live=allow_live,
        budget_usd=budget_usd,
        guarded=not unguarded,
    )
    if junit is not None:
        try:
            junit.write_text(as_junit(matrix), encoding="utf-8")
        except OSError as error:
            raise click.UsageError(f"--junit {junit} can't be written: {error.strerror}") from None
    if as_json:
        print_json(matrix_as_json(matrix))
    else:
        console().print(matrix_text(matrix))
    sys.exit(3 if matrix.stopped is not None else 1 if matrix.silent else 0)


def matrix_as_json(matrix: Any) -> dict[str, Any]:
    """A matrix for a program."""
    return {
        "trace_id": matrix.trace_id,
        "workflow": matrix.workflow,
        "base_id": matrix.base_id,
        "stopped": matrix.stopped,
        "once": matrix.once,
        "steps": list(matrix.steps),
        "faults": list(matrix.faults),
        "counts": dict(matrix.counts),
        "cost_usd": matrix.cost_usd,
        "virtual_s": matrix.virtual_s,
        "cells": [plain(cell) for cell in matrix.cells],
    }


def matrix_text(matrix: Any) -> Group:
    """A matrix for a terminal: one sign for each cell, the legend, and what is worth reading."""
    if matrix.stopped is not None:
        head = Text(f"■ stopped without any fault  {matrix.stopped}", style="yellow")
        return Group(head, Text(f"replay {matrix.base_id}"))
    if not matrix.steps:
        return Group(Text(f"{matrix.workflow} has no model call and no tool: there is nothing to fail."))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    table.add_column("step", overflow="fold", vertical="bottom")
    for fault in matrix.faults:
        table.add_column(fault.replace("_", "\n"), justify="center", vertical="bottom")
    for path in matrix.steps:
        row = [matrix.cell(path, fault) for fault in matrix.faults]
        signs = (_SIGNS[cell.outcome] for cell in row)
        shown = path.removeprefix(f"{matrix.workflow}/")
        table.add_row(shown, *(Text(sign, style=style) for sign, style, _ in signs))
    return Group(table, Text(), *_legend(matrix), *_notes(matrix), Text(), _summary(matrix))


def _legend(matrix: Any) -> list[Text]:
    counts = matrix.counts
    lines = []
    for outcome, (sign, style, words) in _SIGNS.items():
        if counts[outcome]:
            lines.append(Text.assemble((f"{sign} ", style), (f"{counts[outcome]:>3}  {words}", "dim")))
    return lines


def _notes(matrix: Any) -> list[Text]:
    from tracer.render import one_line  # noqa: PLC0415

    lines = []
    for outcome in _SPELT_OUT:
        sign, style, words = _SIGNS[outcome]
        cells = [cell for cell in matrix.cells if cell.outcome == outcome]
        if cells:
            lines += [Text(), Text(words.partition(":")[0].capitalize(), style=style)]
        for cell in cells:
            line = Text.assemble((f"{sign} ", style), f"{cell.path}  {cell.fault}  ")
            lines.append(line.append(one_line(cell.note, _MOST)).append(f"  {(cell.trace_id or '')[:16]}", style="dim"))
    return lines


def _summary(matrix: Any) -> Text:
    silent = len(matrix.silent)
    cost = "unknown" if matrix.cost_usd is None else form.dollars(round(matrix.cost_usd * 1e9))
    played = sum(cell.trace_id is not None for cell in matrix.cells)
    words = f"{form.plural(silent, 'fault')} slipped through" if silent else "No fault slipped through"
    left = form.duration(round(matrix.virtual_s * 1e9))
    return Text(f"{words}. {form.plural(played, 'replay')}; cost {cost}; {left} of waiting skipped")
