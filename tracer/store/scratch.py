"""What a collection has to remember: which bodies are used and where all of them lie, in a temporary file of its own.

It may be as much as a tenth of the store. A temporary database of SQLite holds it whatever the store's database is, in
little memory, and is gone with the process.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import contextmanager
from typing import Iterable, Iterator

from tracer.errors import StoreError
from tracer.store.packs import LIST, NODE, Place

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -65536;
CREATE TABLE used (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE bodies (digest BLOB PRIMARY KEY, pack, start, length, size, form) WITHOUT ROWID;
CREATE TABLE lists (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE packs (id INTEGER PRIMARY KEY, size INTEGER, packed INTEGER);
CREATE TABLE due (digest BLOB, pack INTEGER);
CREATE VIEW filled AS SELECT pack, sum(length) AS used FROM bodies JOIN used USING (digest) GROUP BY pack;
"""


@contextmanager
def scratch() -> Iterator[Scratch]:
    """An empty one. Raises StoreError where the temporary folder has no room for it."""
    connection = sqlite3.connect("", isolation_level=None)
    try:
        connection.executescript(_TABLES)
        yield Scratch(connection)
    except sqlite3.Error as error:
        why = f"{error}; what is in use is put down there meanwhile: make room, or name another folder in TMPDIR"
        raise StoreError(f"the temporary folder {tempfile.gettempdir()} can't be used: {why}") from error
    finally:
        connection.close()


class Scratch:
    """Bodies and packs as they lay when they were noted; what is used may be said at any time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def use(self, digests: Iterable[bytes]) -> None:
        rows = ((digest,) for digest in sorted(digests))
        self._connection.executemany("INSERT OR IGNORE INTO used VALUES (?)", rows)

    def note(self, places: Iterable[Place]) -> None:
        some = list(places)
        rows = ((each.digest, each.pack, each.start, each.length, each.size, each.form) for each in some)
        self._connection.executemany("INSERT OR REPLACE INTO bodies VALUES (?, ?, ?, ?, ?, ?)", rows)
        lists = ((each.digest,) for each in some if each.form in (LIST, NODE))
        self._connection.executemany("INSERT OR IGNORE INTO lists VALUES (?)", lists)

    def note_packs(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Their ids, and their sizes unpacked and as they lie."""
        self._connection.executemany("INSERT OR REPLACE INTO packs VALUES (?, ?, ?)", rows)

    def unfollowed(self, at_once: int) -> Iterator[list[Place]]:
        """The lists that are used, some at a time in the order of their packs, until there are no others. Between two
        portions their contents are to be said to be in use."""
        run = self._connection.execute
        while True:
            run("DELETE FROM due")
            run("INSERT INTO due SELECT digest, pack FROM lists JOIN used USING (digest) JOIN bodies USING (digest)")
            run("DELETE FROM lists WHERE digest IN (SELECT digest FROM due)")
            found = run("SELECT bodies.* FROM due JOIN bodies USING (digest) ORDER BY due.pack")
            some = found.fetchmany(at_once)
            if not some:
                return
            while some:
                yield [Place(*row) for row in some]
                some = found.fetchmany(at_once)

    def unused(self) -> Iterator[bytes]:
        """The bodies that nothing uses, in the order of their digests."""
        dead = "SELECT digest FROM bodies WHERE digest NOT IN (SELECT digest FROM used) ORDER BY digest"
        return (row[0] for row in self._connection.execute(dead))

    def unused_total(self) -> tuple[int, int]:
        """How many bodies nothing uses, and how many bytes that is, unpacked."""
        dead = "SELECT count(*), coalesce(sum(length), 0) FROM bodies WHERE digest NOT IN (SELECT digest FROM used)"
        count, size = self._connection.execute(dead).fetchone()
        return count, size

    def empty_packs(self) -> Iterator[tuple[int, int]]:
        """The packs in which nothing is used, and their sizes as they lie."""
        empty = "SELECT id, packed FROM packs WHERE id NOT IN (SELECT pack FROM filled) ORDER BY id"
        return iter(self._connection.execute(empty))

    def sparse_packs(self) -> Iterator[tuple[int, int]]:
        """The packs of which less than half is used, and their sizes as they lie."""
        sparse = "SELECT id, packed FROM packs JOIN filled ON id = pack WHERE filled.used * 2 < size ORDER BY id"
        return iter(self._connection.execute(sparse).fetchall())

    def index_packs(self) -> None:
        """Make ``used_in`` fast: once everything is noted."""
        self._connection.execute("CREATE INDEX bodies_by_pack ON bodies (pack, start)")

    def used_in(self, pack: int) -> list[Place]:
        """What is used of a pack, as it lies."""
        used = "SELECT bodies.* FROM bodies JOIN used USING (digest) WHERE pack = ? ORDER BY start"
        return [Place(*row) for row in self._connection.execute(used, (pack,))]
