"""Rows into tables by the hundred: each statement is compiled once, and run with plain tuples."""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import Any, Sequence, TypeVar

from sqlalchemy import ClauseElement, Column, Connection, LargeBinary, Table, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from tracer.store.tables import Json, to_json

Row = dict[str, Any]
V = TypeVar("V", str, bytes)
#: Values in one question; well below what any SQLite takes.
_AT_ONCE = 512
#: Dialects that number their parameters, for rows that are tuples.
_POSITIONAL = {"sqlite": sqlite.dialect(paramstyle="qmark"), "postgresql": PGDialect_psycopg(paramstyle="format")}  # type: ignore[no-untyped-call]


def put(  # noqa: PLR0913 - what an upsert consists of
    connection: Connection,
    table: Table,
    rows: list[tuple[Any, ...]],
    *,
    columns: tuple[str, ...] = (),
    change: tuple[str, ...] = (),
    fill: tuple[str, ...] = (),
) -> None:
    """Insert rows, best in the order of their keys. They hold ``columns`` (if none are named, all), in the table's own
    order and as the driver takes them. Where a row is there already, its ``change`` columns are set, and its ``fill``
    columns if we know better."""
    if rows:
        named = columns or tuple(column.name for column in table.columns)
        if connection.dialect.name == "sqlite":
            named, rows = _light(table, named, rows)
        connection.exec_driver_sql(_insertion(connection.dialect.name, table, named, change, fill), rows)


def which(connection: Connection, column: Column[V], values: list[V]) -> set[V]:
    """Which of these values the column has: all digests, or all texts."""
    found: set[Any] = set()
    is_binary = isinstance(column.type, LargeBinary)
    for start in range(0, len(values), _AT_ONCE):
        part: list[Any] = values[start : start + _AT_ONCE]
        # a statement for each power of two: the last value fills what is left
        count = 1 << (len(part) - 1).bit_length()
        part += [part[-1]] * (count - len(part))
        if is_binary and connection.dialect.name == "sqlite":
            part = list(map(bytearray, part))
        rows = connection.exec_driver_sql(_selection(connection.dialect.name, column, count), tuple(part))
        found.update(bytes(row[0]) if is_binary else row[0] for row in rows)
    return found


@cache
def _selection(dialect: str, column: Column[Any], count: int) -> str:
    names = tuple(f"value_{number}" for number in range(count))
    return _compiled(dialect, select(column).where(column.in_([bindparam(name) for name in names])), names)


def _light(
    table: Table, names: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """The same rows as sqlite3 takes them fastest: it asks around for an adapter of each None and each bytes, which
    costs ten times what a number costs. A column that is not named is NULL, also where a row is changed."""
    kept: list[str] = []
    values: list[Any] = []
    for (name, nullable, binary), column in zip(_kinds(table, names), zip(*rows, strict=True), strict=True):
        if nullable and column.count(None) == len(column):
            continue
        kept.append(name)
        values.append([each if each is None else bytearray(each) for each in column] if binary else column)
    return tuple(kept), list(zip(*values, strict=True))


@cache
def _kinds(table: Table, names: tuple[str, ...]) -> list[tuple[str, bool, bool]]:
    columns = [table.c[name] for name in names]
    return [(each.name, bool(each.nullable), isinstance(each.type, LargeBinary)) for each in columns]


def upsert(
    connection: Connection, table: Table, rows: Sequence[Row], *, change: tuple[str, ...], fill: tuple[str, ...] = ()
) -> None:
    """The same for rows that are mappings, in any order, with values as the table's types take them."""
    if rows:
        columns = tuple(column.name for column in table.columns if column.name in rows[0])
        # keys are the first columns of every table
        ordered = sorted(_tuples(table, rows, columns), key=itemgetter(*range(len(table.primary_key))))
        put(connection, table, ordered, columns=columns, change=change, fill=fill)


def change_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Set the same columns in several rows, which are named by the columns of the primary key."""
    if rows:
        named = [column for column in table.columns if column.name in rows[0]]
        columns = tuple(column.name for column in sorted(named, key=lambda column: column.primary_key))
        connection.exec_driver_sql(_change(connection.dialect.name, table, columns), _tuples(table, rows, columns))


def _tuples(table: Table, rows: Sequence[Row], columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    encoded = [name for name in columns if isinstance(table.c[name].type, Json)]
    encoded = [name for name in encoded if any(row[name] is not None for row in rows)]
    if encoded:
        rows = [row | {name: to_json(row[name]) for name in encoded} for row in rows]
    return list(map(itemgetter(*columns), rows))


@cache
def _insertion(
    dialect: str, table: Table, columns: tuple[str, ...], change: tuple[str, ...], fill: tuple[str, ...]
) -> str:
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    insert = make(table).values({name: bindparam(name) for name in columns})
    keys = [column.name for column in table.primary_key]
    told = {name: insert.excluded[name] for name in change}
    known = {name: func.coalesce(insert.excluded[name], table.c[name]) for name in fill}
    if change:
        statement = insert.on_conflict_do_update(index_elements=keys, set_={**told, **known})
    else:
        statement = insert.on_conflict_do_nothing(index_elements=keys)
    return _compiled(dialect, statement, columns)


@cache
def _change(dialect: str, table: Table, columns: tuple[str, ...]) -> str:
    keys = {column.name for column in table.primary_key}
    # a value that is set must bear its column's name, and so those to compare with bear another
    statement = update(table).values({name: bindparam(name) for name in columns if name not in keys})
    for name in columns:
        if name in keys:
            statement = statement.where(table.c[name] == bindparam(f"of_{name}"))
    return _compiled(dialect, statement, tuple(f"of_{name}" if name in keys else name for name in columns))


def _compiled(dialect: str, statement: ClauseElement, columns: tuple[str, ...]) -> str:
    compiled: Any = statement.compile(dialect=_POSITIONAL[dialect])
    if tuple(compiled.positiontup) != columns:
        raise ValueError(f"columns out of order: {columns}")
    return str(compiled)
