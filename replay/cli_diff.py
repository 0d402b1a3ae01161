"""``playhead diff``: two traces or more, where they part and what differs."""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tracer import format as form
from tracer.cli import as_json, console, print_json
from tracer.plain import plain

#: Characters of a value that a cell shows.
_MOST = 90


@click.command("diff")
@click.argument("traces", metavar="BEFORE AFTER [MORE...]", nargs=-1, required=True)
@as_json
def diff_command(*, traces: tuple[str, ...], as_json: bool) -> None:
    """Compare traces: where they part, and what differs in each step. Exits with 1 if they differ.

    Of more than two, each is held against the first.
    """
    from replay.diff import diff  # noqa: PLC0415 - so that --help needs no database library
    from replay.several import several  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    if len(traces) < 2:
        raise click.UsageError("give two traces or more to compare")
    with open_reading() as store:
        read = [store.trace(store.resolve(trace)) for trace in traces]
        found: Any = diff(read[0], read[1], store.value) if len(read) == 2 else several(read, store.value)
    if as_json:
        print_json(diff_as_json(found) if len(read) == 2 else several_as_json(found))
    else:
        console().print(diff_text(found) if len(read) == 2 else several_text(found))
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
        one, other = _in_words(change)
        before.append_text(one)
        after.append_text(other)
    if len(row.changes) > 3:
        after.append(f"\nand {len(row.changes) - 3} more", style="dim")
    return Text(sign, style=style), name, before, after


def _in_words(change: Any) -> tuple[Text, Text]:
    """Both sides of a change in a line each; of two texts the words that differ stand out."""
    from replay.words import around, spans  # noqa: PLC0415
    from tracer.render import one_line  # noqa: PLC0415
    from tracer.terminal import inert  # noqa: PLC0415

    sides = [Text(f"\n{change.path} ", style="dim") for _ in range(2)]
    if isinstance(change.before, str) and isinstance(change.after, str):
        for side, pieces, style in zip(sides, spans(change.before, change.after), ("red", "green"), strict=True):
            for piece in around(pieces, _MOST):
                side.append(inert(piece.text), style=f"bold {style}" if piece.changed else style)
    else:
        for side, value, style in zip(sides, (change.before, change.after), ("red", "green"), strict=True):
            side.append(one_line(value if isinstance(value, str) else str(plain(value)), _MOST), style=style)
    return sides[0], sides[1]


def _deltas(found: Any) -> str:
    duration = found.duration_delta_ns
    parts = [f"cost {form.dollars(found.cost_delta_nusd)}", f"tokens {found.token_delta:+,}"]
    if duration is not None:
        parts.insert(0, f"time {'+' if duration > 0 else ''}{form.duration(duration)}")
    return "second less first: " + " · ".join(parts)


def several_as_json(found: Any) -> dict[str, Any]:
    """The comparison of several traces for a program: only the rows that differ."""
    return {
        "traces": [trace.trace_id for trace in found.traces],
        "same": found.same,
        "first": None if found.first is None else found.first.step.path,
        "diffs": [diff_as_json(each) for each in found.diffs],
        "changed": [
            {"path": row.step.path, "words": [None if cell is None else cell.word for cell in row.cells]}
            for row in found.rows
            if not row.same
        ],
    }


def several_text(found: Any) -> Group:
    """The comparison of several traces for a terminal: where they part first, then one tree with a column for each."""
    words = "The traces are all the same." if found.first is None else f"They part first at {found.first.step.path}."
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("step", *(trace.trace_id[:16] for trace in found.traces)):
        table.add_column(name, overflow="fold")
    for row in found.rows:
        name = Text("  " * row.depth + row.step.path.rsplit("/", 1)[-1], style="dim" if row.same else "")
        base = Text("" if row.base is None else form.duration(row.base.duration_ns), style="dim")
        table.add_row(name, base, *(_several_cell(cell) for cell in row.cells))
    deltas = [
        Text(f"{each.after.trace_id[:16]}: {_deltas(each).removeprefix('second less first: ')}", style="dim")
        for each in found.diffs
    ]
    return Group(Text(words, style="green" if found.first is None else "bold"), Text(), table, Text(), *deltas)


def _several_cell(cell: Any) -> Text:
    if cell is None:
        return Text("")
    sign, style = _SIGNS[cell.word]
    shown = Text(f"{sign} ", style=style)
    if cell.after is not None:
        shown.append(form.duration(cell.after.duration_ns), style="dim")
    if cell.changes:
        shown.append_text(_in_words(cell.changes[0])[1])
    return shown
