"""``playhead export`` and ``playhead import``."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import click

from tracer.cli import as_json, print_json
from tracer.terminal import inert


@click.command("export")
@click.argument("trace")
@click.option(
    "--format",
    "form",
    type=click.Choice(["cassette", "jsonl", "pytest", "otlp"]),
    default="cassette",
    show_default=True,
    help="cassette: for reviews and tests; jsonl: a copy with ids and times; pytest: a test and its cassette; "
    "otlp: spans for OpenTelemetry's collectors, as JSON.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write; for pytest, the folder of the test. Without it: standard output; for pytest, here.",
)
@as_json
def export_command(*, trace: str, form: str, output: Path | None, as_json: bool) -> None:
    """Write a trace to a file: to be reviewed, kept under version control, imported elsewhere, or run as a test.

    TRACE is an id, a unique prefix of one, or "latest". Secrets were taken out when it was recorded.
    """
    from replay.cassette.document import document  # noqa: PLC0415 - so that --help needs no database library
    from replay.cassette.files import cassette_text, jsonl_text  # noqa: PLC0415
    from replay.record import Record  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    with open_reading() as store:
        found = store.trace(store.resolve(trace))
        if form == "pytest":
            said = document(found, store.payloads, timed=False)
            written = _write_test(Record(found, store.payloads), cassette_text(said), output or Path())
        else:
            if form == "otlp":
                text = _spans(store, found)
            else:
                said = document(found, store.payloads, timed=form == "jsonl")
                text = cassette_text(said) if form == "cassette" else jsonl_text(said)
            if output is None:
                click.echo(text, nl=False)
                return
            written = _write(output, text)
    if as_json:
        print_json({"trace_id": found.trace_id, "written": [str(path) for path in written]})
        return
    for path in written:
        click.echo(inert(f"wrote {path}"))
    if form == "pytest":
        click.echo(inert(f"run it: pytest {written[0]}"))


def _spans(store: Any, trace: Any) -> str:
    """A line of OTLP in JSON, which collectors read from files and take at /v1/traces."""
    from tracer.errors import TraceNotFound  # noqa: PLC0415
    from tracer.otlp import documents  # noqa: PLC0415
    from tracer.otlp.writing import spans_of  # noqa: PLC0415

    origin = None
    if trace.summary.replay_of is not None:
        with contextlib.suppress(TraceNotFound):
            origin = store.trace(trace.summary.replay_of)
    return json.dumps(documents.write(spans_of(trace, store.value, origin=origin)), ensure_ascii=False) + "\n"


def _write_test(record: Any, cassette: str, folder: Path) -> list[Path]:
    from replay.cassette.testfile import module_text, name_of  # noqa: PLC0415

    name = name_of(record.trace)
    file, beside = folder / f"test_{name}.py", f"cassettes/{name}.json"
    text = module_text(record, file=file.name, cassette=beside)
    return [*_write(file, text), *_write(folder / beside, cassette)]


def _write(path: Path, text: str) -> list[Path]:
    from replay.cassette.files import CassetteError, write  # noqa: PLC0415

    try:
        write(path, text)
    except OSError as error:
        raise CassetteError(f"{path} can't be written: {error.strerror or error}; say another place with -o") from None
    return [path]


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@as_json
def import_command(*, files: tuple[Path, ...], as_json: bool) -> None:
    """Bring the traces in these files into the store, to show, compare and replay them.

    FILE is what playhead export wrote: a cassette, or JSON Lines with any number of traces. A trace keeps its id where
    the file holds one that is free here.
    """
    from replay.cassette.files import read  # noqa: PLC0415
    from replay.cassette.load import put  # noqa: PLC0415
    from tracer import recorder  # noqa: PLC0415
    from tracer.key import store_key  # noqa: PLC0415
    from tracer.reading import open_reading  # noqa: PLC0415

    found = [(path, source) for path in files for source in read(path)]
    with open_reading() as store:
        key = store_key(recorder.current_config().home)
        put_in = [(path, source, put(source, store, key)) for path, source in found]
    if as_json:
        print_json([{"file": str(path), "trace_id": trace_id} for path, _, trace_id in put_in])
        return
    for path, source, trace_id in put_in:
        click.echo(inert(f"{source.document.get('workflow', 'trace')} from {path} is trace {trace_id}"))
