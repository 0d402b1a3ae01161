"""``playhead export`` and ``playhead import``."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Iterator

import click

from tracer.cli import as_json, print_json
from tracer.terminal import inert

#: Of one trace, or of all that --search finds.
_OF_MANY = ("jsonl", "csv", "parquet")
_FORMATS = ("cassette", "jsonl", "pytest", "otlp", "chrome", "csv", "parquet")
_AT_ONCE = 50


@click.command("export")
@click.argument("trace", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="cassette",
    show_default=True,
    help="cassette: for reviews and tests; jsonl: a copy with ids and times; pytest: a test and its cassette; "
    "otlp: spans for OpenTelemetry's collectors, as JSON; chrome: a timeline for Perfetto; csv, parquet: a row a step.",
)
@click.option("--search", help="Instead of TRACE: all that this finds, as in playhead ls. For jsonl, csv and parquet.")
@click.option("--values/--no-values", default=True, show_default=True, help="csv, parquet: inputs and outputs too.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write; for pytest, the folder of the test. Without it: standard output; for pytest, here.",
)
@as_json
def export_command(  # noqa: PLR0913 - an option is an argument
    *, trace: str | None, form: str, search: str | None, values: bool, output: Path | None, as_json: bool
) -> None:
    """Write a trace to a file: to be reviewed, kept under version control, imported elsewhere, or run as a test; or the
    steps of many traces as a table.

    TRACE is an id, a unique prefix of one, or "latest". Secrets were taken out when it was recorded.
    """
    from tracer.reading import open_reading  # noqa: PLC0415 - so that --help needs no database library

    if (trace is None) == (search is None):
        raise click.UsageError("say which: a TRACE (an id, a prefix, or latest), or --search")
    if search is not None and form not in _OF_MANY:
        raise click.UsageError(f"{form} is of one trace: name it, or take --format {', '.join(_OF_MANY)}")
    with open_reading() as store:
        ids = [store.resolve(trace)] if trace is not None else _found(store, search or "")
        if form in {"csv", "parquet"}:
            _write_rows(store, ids, form, output, values=values)
            written = [] if output is None else [output]
        elif form == "pytest":
            written = _test_of(store, ids[0], output or Path())
        else:
            texts = (_text_of(store, name, form) for name in ids)
            if output is None:
                for text in texts:
                    click.echo(text, nl=False)
                return
            written = _write(output, "".join(texts))
    if as_json:
        print_json({"trace_id": ids[0] if trace else ids, "written": [str(path) for path in written]})
        return
    for path in written:
        click.echo(inert(f"wrote {path}"))
    if form == "pytest":
        click.echo(inert(f"run it: pytest {written[0]}"))


def _found(store: Any, search: str) -> list[str]:
    from tracer.store import Filter  # noqa: PLC0415

    found: list[str] = []
    before = None
    while rows := store.traces(Filter.parse({"q": search}), limit=_AT_ONCE, before=before):
        found += [row.trace_id for row in rows]
        before = (rows[-1].started_ns, rows[-1].trace_id)
    return found


def _write_rows(store: Any, ids: list[str], form: str, output: Path | None, *, values: bool) -> None:
    from tracer.export.files import write_csv, write_parquet  # noqa: PLC0415
    from tracer.export.rows import rows_of  # noqa: PLC0415

    portions = (rows_of(store.trace(name), store.value if values else None) for name in ids)
    if output is None:
        if form == "parquet":
            raise click.UsageError("Parquet is no text: say where with -o")
        write_csv(sys.stdout, portions)
        return
    with _whole(output) as made:
        if form == "parquet":
            with made.open("wb") as file:
                write_parquet(file, portions)
        else:
            with made.open("w", encoding="utf-8", newline="") as text:
                write_csv(text, portions)


def _test_of(store: Any, trace_id: str, folder: Path) -> list[Path]:
    from replay.cassette.document import document  # noqa: PLC0415
    from replay.cassette.files import cassette_text  # noqa: PLC0415
    from replay.record import Record  # noqa: PLC0415

    found = store.trace(trace_id)
    said = document(found, store.payloads, timed=False)
    return _write_test(Record(found, store.payloads), cassette_text(said), folder)


def _text_of(store: Any, trace_id: str, form: str) -> str:
    from replay.cassette.document import document  # noqa: PLC0415
    from replay.cassette.files import cassette_text, jsonl_text  # noqa: PLC0415
    from tracer.export import chrome  # noqa: PLC0415

    found = store.trace(trace_id)
    if form == "otlp":
        return _spans(store, found)
    if form == "chrome":
        return json.dumps(chrome.document(found), ensure_ascii=False) + "\n"
    said = document(found, store.payloads, timed=form == "jsonl")
    return cassette_text(said) if form == "cassette" else jsonl_text(said)


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
    from replay.cassette.files import write  # noqa: PLC0415

    with _said_where(path):
        write(path, text)
    return [path]


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A file beside this one, which takes its place once all is written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _said_where(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _said_where(path: Path) -> Iterator[None]:
    from replay.cassette.files import CassetteError  # noqa: PLC0415

    try:
        yield
    except OSError as error:
        raise CassetteError(f"{path} can't be written: {error.strerror or error}; say another place with -o") from None


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
