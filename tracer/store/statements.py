"""Rows into tables by the hundred: each statement is compiled once, and run with plain tuples."""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import Any, Sequence

from sqlalchemy import ClauseElement, Connection, Dialect, Table, bindparam, func, update
from sqlalchemy.dialects import postgresql, sqlite

from tracer.store.tables import Json, to_json


Row = dict[str, Any]


def put(
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
        connection.exec_driver_sql(_insertion(type(connection.dialect), table, columns, change, fill), rows)


def upsert(
    connection: Connection, table: Table, rows: Sequence[Row], *, change: tuple[str, ...], fill: tuple[str, ...] = ()
) -> None:
    """The same for rows that are mappings, in any order, with values as the table's types take them."""
    if rows:
        columns = tuple(column.name for column in table.columns if column.name in rows[0])
        # keys are the first columns of every table
        keys = itemgetter(*range(len(table.primary_key)))
        put(connection, table, sorted(_tuples(table, rows, columns), key=keys), columns=columns, change=change, fill=fill)


def change_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Set the same columns in several rows, which are named by the columns of the primary key."""
    if rows:
        named = [column for column in table.columns if column.name in rows[0]]
        columns = tuple(column.name for column in sorted(named, key=lambda column: column.primary_key))
        connection.exec_driver_sql(_change(type(connection.dialect), table, columns), _tuples(table, rows, columns))


def _tuples(table: Table, rows: Sequence[Row], columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    encoded = [name for name in columns if isinstance(table.c[name].type, Json)]
    if any(row[name] is not None for row in rows for name in encoded):
        rows = [row | {name: to_json(row[name]) for name in encoded} for row in rows]
    return list(map(itemgetter(*columns), rows))


@cache
def _insertion(
    dialect: type[Dialect], table: Table, columns: tuple[str, ...], change: tuple[str, ...], fill: tuple[str, ...]
) -> str:
    named = columns or tuple(column.name for column in table.columns)
    make = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    insert = make(table).values({name: bindparam(name) for name in named})
    keys = [column.name for column in table.primary_key]
    told = {name: insert.excluded[name] for name in change}
    known = {name: func.coalesce(insert.excluded[name], table.c[name]) for name in fill}
    if change:
        statement = insert.on_conflict_do_update(index_elements=keys, set_={**told, **known})
    else:
        statement = insert.on_conflict_do_nothing(index_elements=keys)
    return _compiled(dialect, statement, named)


@cache
def _change(dialect: type[Dialect], table: Table, columns: tuple[str, ...]) -> str:
    keys = {column.name for column in table.primary_key}
    # a value that is set must bear its column's name, and so those to compare with bear another
    statement = update(table).values({name: bindparam(name) for name in columns if name not in keys})
    for name in columns:
        if name in keys:
            statement = statement.where(table.c[name] == bindparam(f"of_{name}"))
    return _compiled(dialect, statement, tuple(f"of_{name}" if name in keys else name for name in columns))


def _compiled(dialect: type[Dialect], statement: ClauseElement, columns: tuple[str, ...]) -> str:
    style: Any = "qmark" if dialect.name == "sqlite" else "format"
    compiled: Any = statement.compile(dialect=dialect(paramstyle=style))
    if tuple(compiled.positiontup) != columns:
        raise ValueError(f"columns out of order: {columns}")
    return str(compiled)
