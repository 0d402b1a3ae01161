"""Rows into a file, as they come: CSV, or Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
from typing import IO, Any, Iterable, Sequence

from tracer.errors import TracerError
from tracer.export.rows import FIELDS, Row

#: With what a cell begins that a spreadsheet would take for a formula, and run.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NAMES = [each.name for each in FIELDS]


class NotInstalled(TracerError):
    """What a format is written with is not there."""


def write_csv(file: IO[str], rows: Iterable[Sequence[Row]]) -> int:
    """Write portions of rows as CSV with a head; how many. Where a spreadsheet would take a recorded text for a formula
    an apostrophe stands before it."""
    written = csv.writer(file)
    written.writerow(_NAMES)
    number = 0
    for some in rows:
        written.writerows([_cell(row[name]) for name in _NAMES] for row in some)
        number += len(some)
    return number


def write_parquet(file: IO[bytes], rows: Iterable[Sequence[Row]]) -> int:
    """Write portions of rows as Parquet, each as a row group; how many. Raises NotInstalled."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow.parquet import ParquetWriter  # noqa: PLC0415
    except ImportError:
        raise NotInstalled('Parquet needs pyarrow: pip install "playhead[parquet]"') from None
    types = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    columns = [pa.field(each.name, types[each.type], metadata={"about": each.about}) for each in FIELDS]
    schema = pa.schema(columns)
    number = 0
    with ParquetWriter(file, schema, compression="zstd") as written:
        for some in rows:
            told = [{name: _text(value) for name, value in row.items()} for row in some]
            written.write_table(pa.Table.from_pylist(told, schema=schema))
            number += len(some)
    return number


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return f"'{_text(value)}" if value.startswith(_FORMULA) else _text(value)


def _text(value: Any) -> Any:
    # half of a surrogate pair can't be written
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
