"""Bodies move into packs, digests become binary, and the search index is filled by those who search.

What is stored stays under its address; long payloads that were recorded before stay in one piece.
"""

from __future__ import annotations

import itertools
from hashlib import blake2b
from typing import Any, Iterator

import sqlalchemy as sa
import zstandard
from alembic import op

revision = "0002"
down_revision = "0001"

_ROWS = 500
_PACK_BYTES = 256 * 1024
_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _add_to_traces() -> None:
    for column in (
        sa.Column("root_id", sa.String(16)),
        sa.Column("seq", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("counted", sa.BigInteger(), nullable=False, server_default="0"),
    ):
        op.add_column("traces", column)
    op.execute("UPDATE traces SET seq = (SELECT count(*) FROM steps WHERE steps.trace_id = traces.trace_id)")
    op.execute(
        "UPDATE traces SET counted = seq, root_id = (SELECT min(step_id) FROM steps"
        " WHERE steps.trace_id = traces.trace_id AND parent_id IS NULL AND path <> '')"
    )
    where = sa.text("counted < seq")
    op.create_index("traces_behind", "traces", ["owner"], sqlite_where=where, postgresql_where=where)


def _make_steps() -> sa.Table:
    return op.create_table(
        "steps",
        sa.Column("trace_id", sa.String(32), primary_key=True),
        sa.Column("step_id", sa.String(16), primary_key=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.String(16)),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("occurrence", sa.BigInteger(), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("effect", sa.BigInteger(), nullable=False),
        sa.Column("input", sa.LargeBinary()),
        sa.Column("input_lossy", sa.Text()),
        sa.Column("identity", sa.Text()),
        sa.Column("fingerprint", sa.Text()),
        sa.Column("tags", sa.Text()),
        sa.Column("source_step_id", sa.String(16)),
        sa.Column("ended_ns", sa.BigInteger()),
        sa.Column("outcome", sa.Text()),
        sa.Column("output", sa.LargeBinary()),
        sa.Column("output_lossy", sa.Text()),
        sa.Column("failure", sa.LargeBinary()),
        sa.Column("error_type", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("end_tags", sa.Text()),
        sqlite_with_rowid=False,
    )


def _make_payloads() -> tuple[sa.Table, sa.Table]:
    payloads = op.create_table(
        "payloads",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column("pack", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("form", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    packs = op.create_table(
        "packs",
        sa.Column("id", _number, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("encoding", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # compressed already: Postgres need not try again
        op.execute("ALTER TABLE packs ALTER COLUMN body SET STORAGE EXTERNAL")
    return payloads, packs


def _rows(table: sa.Table, *keys: sa.Column[Any]) -> Iterator[list[dict[str, Any]]]:
    """All rows of a table, some hundred at a time, in the order of their keys."""
    last: tuple[Any, ...] | None = None
    while True:
        query = sa.select(table).order_by(*keys).limit(_ROWS)
        if last is not None:
            query = query.where(sa.tuple_(*keys) > last)
        rows = [dict(row) for row in op.get_bind().execute(query).mappings()]
        if not rows:
            return
        yield rows
        last = tuple(rows[-1][key.name] for key in keys)


def _digest(address: str | None) -> bytes | None:
    if address is None:
        return None
    try:
        found = bytes.fromhex(address.removeprefix("b2:"))
    except ValueError:
        found = b""
    return found if len(found) == 16 else blake2b(address.encode(), digest_size=16).digest()


def _move_steps() -> None:
    op.rename_table("steps", "steps_before")
    old = sa.Table("steps_before", sa.MetaData(), autoload_with=op.get_bind())
    new = _make_steps()
    for rows in _rows(old, old.c.trace_id, old.c.step_id):
        for row in rows:
            row["effect"] = int(row["effect"])
            row |= {name: _digest(row[name]) for name in ("input", "output", "failure")}
        op.get_bind().execute(new.insert(), rows)
    op.drop_table("steps_before")


def _move_payloads() -> None:
    op.rename_table("payloads", "payloads_before")
    old = sa.Table("payloads_before", sa.MetaData(), autoload_with=op.get_bind())
    payloads, packs = _make_payloads()
    numbers = itertools.count(1)
    filled: list[tuple[bytes, bytes]] = []

    def write() -> None:
        number, start, rows = next(numbers), 0, []
        for digest, data in filled:
            size = len(data)
            rows.append({"digest": digest, "pack": number, "start": start, "length": size, "size": size, "form": 0})
            start += size
        encoding, body = _packed(b"".join(data for _, data in filled))
        op.get_bind().execute(packs.insert(), {"id": number, "size": start, "encoding": encoding, "body": body})
        op.get_bind().execute(payloads.insert(), rows)
        filled.clear()

    for rows in _rows(old, old.c.digest):
        for row in rows:
            if filled and sum(len(data) for _, data in filled) + row["size"] > _PACK_BYTES:
                write()
            filled.append((_digest(row["digest"]) or b"", _data(row)))
    if filled:
        write()
    op.drop_table("payloads_before")


def _data(row: dict[str, Any]) -> bytes:
    if row["encoding"] == "raw":
        return bytes(row["body"])
    try:
        return zstandard.ZstdDecompressor().decompress(row["body"], max_output_size=row["size"])
    except zstandard.ZstdError:
        # torn already; under this address nothing but a torn payload may be found
        return bytes(row["body"])


def _packed(data: bytes) -> tuple[str, bytes]:
    packed = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(data)
    return ("zstd", packed) if len(packed) < len(data) else ("raw", data)


def upgrade() -> None:
    op.create_table(
        "dropped",
        sa.Column("trace_id", sa.String(32), primary_key=True),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "unsearched",
        sa.Column("id", _number, primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    _add_to_traces()
    _move_steps()
    _move_payloads()
