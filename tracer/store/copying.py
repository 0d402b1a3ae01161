"""A whole store into another place: from SQLite to Postgres, or back.

Row by row and as it is: the same ids, the same bodies, the same prices. All of it in one transaction on either side,
so that a copy is of one moment, is read back before it counts, and is there whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Iterator

from ormsgpack import packb
from sqlalchemy import URL, Connection, Engine, Table, Text, column, func, select, table

from tracer.errors import StoreError
from tracer.store import engine as engines
from tracer.store import upgrade
from tracer.store.tables import Json, metadata, traces

#: Rows that are held in memory at once: of packs, which are large, and of all else.
_PACKS, _ROWS = 16, 500
#: What a digest of rows is counted in.
_BITS = 128


@dataclass(frozen=True, slots=True)
class Copied:
    """A table that was copied. ``digest``, 32 hex digits, is of its rows whatever their order: it is the same on both
    databases, as long as the rows are."""

    table: str
    rows: int
    digest: str


def copy_store(source: str | Path, target: str | Path) -> tuple[Copied, ...]:
    """Copy the store at one path or URL into another one, which must have no traces yet; it is made if need be.

    Others may go on writing to the source: what they commit meanwhile is not in the copy. Raises StoreUnreachable,
    StoreNewer, and StoreError where the target has traces or did not take a row as it was; it is then as it had been.
    """
    if engines.locate(source) == engines.locate(target):
        raise StoreError("a store can't be copied onto itself: name another place")
    _must_be_there(engines.locate(source))
    with (
        _opened(source) as from_,
        _opened(target) as to,
        _of_one_moment(from_) as read,
        engines.writing(to) as write,
    ):
        if write.execute(select(func.count()).select_from(traces)).scalar():
            raise StoreError(f"{engines.shown(to.url)} has traces: copy into a place that has none")
        copied = tuple(_copied(read, write, each) for each in metadata.sorted_tables)
        for each, made in zip(metadata.sorted_tables, copied, strict=True):
            if _seen(write, each) != made:
                raise StoreError(f"{engines.shown(to.url)} did not take all of {each.name} as it is; nothing was kept")
    return copied


def _must_be_there(url: URL) -> None:
    """Opening makes a store where there is none, and a copy of that would say that all is well."""
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise StoreError(
            f"there is no store at {engines.shown(url)}: name the file, .playhead/playhead.db for instance"
        )


class _opened:  # noqa: N801 - read as a function
    """An engine at a place, its schema brought up to date."""

    def __init__(self, place: str | Path) -> None:
        self._engine = engines.connect(engines.locate(place))

    def __enter__(self) -> Engine:
        try:
            upgrade.upgrade(self._engine)
        except BaseException:
            self._engine.dispose()
            raise
        return self._engine

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()


def _of_one_moment(engine: Engine) -> Any:
    # On SQLite a transaction sees one state anyway.
    level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    return engines.reading(engine.execution_options(**level))


def _copied(read: Connection, write: Connection, each: Table) -> Copied:
    into = _plain(each)
    rows, digest = 0, 0
    write.execute(each.delete())
    for some in _rows(read, each):
        write.execute(into.insert(), some)
        rows += len(some)
        digest += sum(map(_digest, some))
    return _told(each, rows, digest)


def _seen(connection: Connection, each: Table) -> Copied:
    rows, digest = 0, 0
    for some in _rows(connection, each):
        rows += len(some)
        digest += sum(map(_digest, some))
    return _told(each, rows, digest)


def _told(each: Table, rows: int, digest: int) -> Copied:
    return Copied(each.name, rows, f"{digest % (1 << _BITS):0{_BITS // 4}x}")


def _rows(connection: Connection, each: Table) -> Iterator[list[dict[str, Any]]]:
    most = _PACKS if each.name == "packs" else _ROWS
    with connection.execute(select(_plain(each)), execution_options={"yield_per": most}) as found:
        for some in found.mappings().partitions():
            yield [{name: _bytes(value) for name, value in row.items()} for row in some]


def _plain(each: Table) -> Any:
    """The table with the text of its JSON, which need not be read to be copied."""
    return table(each.name, *(column(c.name, Text() if isinstance(c.type, Json) else c.type) for c in each.columns))


def _bytes(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview | bytearray) else value


def _digest(row: dict[str, Any]) -> int:
    packed = packb([_hashed(value) for value in row.values()])
    return int.from_bytes(blake2b(packed, digest_size=_BITS // 8).digest())


def _hashed(value: Any) -> Any:
    # a text may hold half of a surrogate pair, which MessagePack has no word for
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
