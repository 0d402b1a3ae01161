"""The words of recorded steps, for the search box: brought up to date by who searches, and by nobody else.

A writer only leaves a row that says which steps came; decoding their values is the reader's work. Rows are taken one
by one, newest first, each in a transaction of its own, so that a writer never waits long.
"""

from __future__ import annotations

from typing import Any, Iterable, Iterator

import ormsgpack
from sqlalchemy import Connection, Engine, delete, select, tuple_

from tracer.model import Failure
from tracer.store.bodies import fetch
from tracer.store.engine import reading, writing
from tracer.store.packs import Reader
from tracer.store.rows import decoded, failure_in
from tracer.store.statements import Row, upsert
from tracer.store.tables import step_texts, steps, unsearched
from tracer.store.texts import plain, searchable

#: Values above this size are stored, but not looked through for words: that would hold up whoever searches.
_SEARCHED_BYTES = 256 * 1024
#: Steps whose values are held in memory at once.
_STEPS = 100
_PARTS = {"input": steps.c.input, "output": steps.c.output, "error": steps.c.failure}


def catch_up(engine: Engine) -> None:
    """Bring the index up to date with everything that was committed before this call."""
    while _any_waiting(engine):
        with writing(engine) as connection:
            # Who waits here for another process, finds the row gone, and asks again.
            newest = select(unsearched).order_by(unsearched.c.id.desc()).limit(1).with_for_update()
            row = connection.execute(newest).one_or_none()
            if row is not None:
                upsert(connection, step_texts, list(_texts(connection, row.body)), change=("text",))
                connection.execute(delete(unsearched).where(unsearched.c.id == row.id))


def _any_waiting(engine: Engine) -> bool:
    with reading(engine) as connection:
        return connection.execute(select(unsearched.c.id).limit(1)).scalar() is not None


def unindexed(connection: Connection, words: Iterable[str]) -> dict[str, set[str]]:
    """By word, the traces that say it in steps of which the index does not know yet."""
    looked_for = {word: plain(word).casefold() for word in words}
    found: dict[str, set[str]] = {word: set() for word in looked_for}
    for row in connection.execute(select(unsearched.c.body)).all():
        for text in _texts(connection, row.body):
            for word, low in looked_for.items():
                if low in text["text"]:
                    found[word].add(text["trace_id"])
    return found


def _texts(connection: Connection, body: bytes) -> Iterator[Row]:
    """The rows of step_texts for the steps that a row of the queue names."""
    reader = Reader(connection)
    named = [
        (trace.hex(), ids[at : at + 8].hex()) for trace, ids in ormsgpack.unpackb(body) for at in range(0, len(ids), 8)
    ]
    for start in range(0, len(named), _STEPS):
        query = select(steps.c.trace_id, steps.c.step_id, *_PARTS.values())
        some = tuple_(steps.c.trace_id, steps.c.step_id).in_(named[start : start + _STEPS])
        found = connection.execute(query.where(some)).all()
        wanted = {digest for row in found for digest in row[2:] if digest}
        values = fetch(connection, wanted, most_bytes=_SEARCHED_BYTES, reader=reader)
        for row in found:
            for part, digest in zip(_PARTS, row[2:], strict=True):
                text = searchable(_said(part, values[digest])) if digest in values else ""
                if text:
                    yield {"trace_id": row.trace_id, "step_id": row.step_id, "part": part, "text": text}


def _said(part: str, data: bytes) -> Any:
    if part != "error":
        return decoded(data)
    failure: Failure = failure_in(data)
    return [failure.type, failure.message]
