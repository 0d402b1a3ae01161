"""The tables, as SQLAlchemy Core metadata; one schema for SQLite and Postgres.

Ids are lower-case hex text, times are integer nanoseconds, money is integer nano-dollars. Keys are led by the trace id,
so that a trace lies together and a cluster can shard by it. No foreign keys are declared: events arrive in any order
and from several processes, and a child that comes before its parent is not an error.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    event,
)

#: The Alembic revision that these tables are at. A test holds it to the newest script.
REVISION = "0005"


# skipkeys and default: a tag of a strange type must not stop the journal behind it
_JSON = json.JSONEncoder(skipkeys=True, default=str)


def to_json(value: Any | None) -> str | None:
    """A value as a column of JSON holds it."""
    return None if value is None else _JSON.encode(value)


class Json(TypeDecorator[Any]):
    """A JSON value in a text column, for values that are read whole and never searched inside the database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return to_json(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any | None:  # noqa: ARG002
        return None if value is None else json.loads(value)


#: On SQLite only the type INTEGER makes the key the row's own number, so that no second index is kept.
_Number = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

traces = Table(
    "traces",
    metadata,
    Column("trace_id", String(32), primary_key=True),
    # what the root says
    Column("workflow", Text, nullable=False),
    Column("version", Text),
    Column("owner", Text, nullable=False),
    Column("entry", Json),
    Column("replay_of", String(32)),
    Column("resume_of", String(32)),
    Column("plan", Json),
    Column("end_plan", Json),
    Column("preview", Text, nullable=False),
    # what is summed up from the steps: a cache, which verify_totals() can make again
    Column("started_ns", BigInteger, nullable=False),
    Column("ended_ns", BigInteger),
    Column("outcome", Text),
    Column("tags", Json),
    Column("failed_step", Text),
    Column("failed_step_id", String(16)),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("steps", BigInteger, nullable=False),
    Column("model_calls", BigInteger, nullable=False),
    Column("models", Json, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_nusd", BigInteger, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
    Column("escalations", BigInteger, nullable=False),
    Column("root_id", String(16)),
    # how many steps have come, and how many had when it was summed up last: a long trace is not counted every time
    Column("seq", BigInteger, nullable=False, server_default="0"),
    Column("counted", BigInteger, nullable=False, server_default="0"),
)
_failed = traces.c.outcome == "failed"
_open = traces.c.outcome.is_(None)
_replays = traces.c.replay_of.is_not(None)
_resumes = traces.c.resume_of.is_not(None)
_behind = traces.c.counted < traces.c.seq
Index("traces_newest", traces.c.started_ns, traces.c.trace_id)
Index("traces_by_workflow", traces.c.workflow, traces.c.started_ns, traces.c.trace_id)
Index("traces_failed", traces.c.started_ns, traces.c.trace_id, sqlite_where=_failed, postgresql_where=_failed)
Index("traces_open", traces.c.owner, sqlite_where=_open, postgresql_where=_open)
Index("traces_behind", traces.c.owner, sqlite_where=_behind, postgresql_where=_behind)
Index("traces_replays", traces.c.replay_of, traces.c.started_ns, sqlite_where=_replays, postgresql_where=_replays)
Index("traces_resumes", traces.c.resume_of, traces.c.started_ns, sqlite_where=_resumes, postgresql_where=_resumes)

steps = Table(
    "steps",
    metadata,
    Column("trace_id", String(32), primary_key=True),
    Column("step_id", String(16), primary_key=True),
    # the order in which steps first came, for those that began in the same nanosecond
    Column("seq", BigInteger, nullable=False),
    # what its beginning says; an empty path marks a step of which only the end has arrived so far
    Column("parent_id", String(16)),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("occurrence", BigInteger, nullable=False),
    Column("started_ns", BigInteger, nullable=False),
    Column("origin", Text, nullable=False),
    Column("effect", BigInteger, nullable=False),  # 0 or 1: sqlite3 takes nine times as long for a bool
    Column("input", LargeBinary),
    Column("input_lossy", Json),
    Column("identity", Text),
    Column("fingerprint", Text),
    Column("tags", Json),
    Column("source_step_id", String(16)),
    # what its end says
    Column("ended_ns", BigInteger),
    Column("outcome", Text),
    Column("output", LargeBinary),
    Column("output_lossy", Json),
    Column("failure", LargeBinary),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("end_tags", Json),
    sqlite_with_rowid=False,
)

model_calls = Table(
    "model_calls",
    metadata,
    Column("trace_id", String(32), primary_key=True),
    Column("step_id", String(16), primary_key=True),
    Column("provider", Text),
    Column("model_asked", Text),
    Column("model", Text, index=True),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cache_read_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("input_audio_tokens", BigInteger),
    Column("output_audio_tokens", BigInteger),
    Column("raw_usage", Json),
    Column("cost_nusd", BigInteger),
    Column("price", Text),
    Column("unpriced_because", Text),
    Column("first_token_ns", BigInteger),
    Column("finish_reason", Text),
    Column("response_id", Text),
    Column("status_code", BigInteger),
    Column("streamed", Boolean, nullable=False),
    Column("cache_write_1h_tokens", BigInteger),
    Column("cache_audio_tokens", BigInteger),
    Column("web_searches", BigInteger),
    Column("declared_price", Json),
    # the provider's own word for what went wrong; steps.error_type is the exception that the client raised
    Column("error_type", Text),
    Column("retry_after_s", Double),
    Column("request_id", Text),
)

#: Where a body lies: the bytes ``start`` to ``start + length`` of its unpacked pack. packs.py says what the forms are.
payloads = Table(
    "payloads",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("pack", BigInteger, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("form", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: Bodies side by side, compressed together. ``size`` is unpacked; it stands before the body, so that it is read alone.
packs = Table(
    "packs",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("encoding", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
# Its bodies are compressed already.
event.listen(
    packs,
    "after_create",
    DDL("ALTER TABLE packs ALTER COLUMN body SET STORAGE EXTERNAL").execute_if(dialect="postgresql"),  # type: ignore[no-untyped-call]
)

#: Traces that tail sampling took out, for a day: what still comes of them is not kept either.
dropped = Table(
    "dropped",
    metadata,
    Column("trace_id", String(32), primary_key=True),
    Column("at_ns", BigInteger, nullable=False),
)

notes = Table(
    "notes",
    metadata,
    Column("trace_id", String(32), primary_key=True),
    Column("step_id", String(16), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("occurrence", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("value", LargeBinary, nullable=False),
)

#: The beginnings of the human text in a step's input, output and error, casefolded: what the search box looks through.
step_texts = Table(
    "step_texts",
    metadata,
    Column("trace_id", String(32), primary_key=True),
    Column("step_id", String(16), primary_key=True),
    Column("part", Text, primary_key=True),
    Column("text", Text, nullable=False),
)

#: Steps that step_texts does not cover yet, a row for each batch: MessagePack, {trace id: its step ids, side by side}.
unsearched = Table(
    "unsearched",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

#: What processes share beside the traces; shared.py says how it is changed.
shared_values = Table(
    "shared_values",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("value", Json, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
)

#: The questions that waiting runs have asked, and what became of each; escalations.py says how it is changed.
escalations = Table(
    "escalations",
    metadata,
    Column("trace_id", String(32), primary_key=True),
    Column("step_id", String(16), primary_key=True),
    Column("asked_ns", BigInteger, nullable=False),
    Column("due_ns", BigInteger),
    Column("state", Text, nullable=False),
    Column("assignee", Text),
    Column("answer", Json),
    Column("closed_by", Text),
    Column("closed_ns", BigInteger),
    Column("resumed_as", String(32)),
)
_pending = escalations.c.resumed_as.is_(None) & (escalations.c.state != "withdrawn")
Index("escalations_pending", escalations.c.asked_ns, sqlite_where=_pending, postgresql_where=_pending)

processes = Table(
    "processes",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("started_ns", BigInteger, nullable=False),
    Column("closed_ns", BigInteger),
)

journal_positions = Table(
    "journal_positions",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("segment", BigInteger, nullable=False),
    Column("offset_bytes", BigInteger, nullable=False),
)
