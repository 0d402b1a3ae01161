"""The tables, as SQLAlchemy Core metadata; one schema for SQLite and Postgres.

Ids are lower-case hex text, times are integer nanoseconds, money is integer nano-dollars. Keys are led by the trace id,
so that a trace lies together and a cluster can shard by it. No foreign keys are declared: events arrive in any order
and from several processes, and a child that comes before its parent is not an error.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

#: The Alembic revision that these tables are at. A test holds it to the newest script.
REVISION = "0001"


class Json(TypeDecorator[Any]):
    """A JSON value in a text column, for values that are read whole and never searched inside the database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        # skipkeys and default: a tag of a strange type must not stop the journal behind it
        return None if value is None else json.dumps(value, skipkeys=True, default=str)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any | None:  # noqa: ARG002
        return None if value is None else json.loads(value)


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
)
_failed = traces.c.outcome == "failed"
_open = traces.c.outcome.is_(None)
_replays = traces.c.replay_of.is_not(None)
Index("traces_newest", traces.c.started_ns, traces.c.trace_id)
Index("traces_by_workflow", traces.c.workflow, traces.c.started_ns, traces.c.trace_id)
Index("traces_failed", traces.c.started_ns, traces.c.trace_id, sqlite_where=_failed, postgresql_where=_failed)
Index("traces_open", traces.c.owner, sqlite_where=_open, postgresql_where=_open)
Index("traces_replays", traces.c.replay_of, traces.c.started_ns, sqlite_where=_replays, postgresql_where=_replays)

steps = Table(
    "steps",
    metadata,
    Column("trace_id", String(32), primary_key=True),
    Column("step_id", String(16), primary_key=True),
    # what its beginning says; an empty path marks a step of which only the end has arrived so far
    Column("parent_id", String(16)),
    Column("seq", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("occurrence", BigInteger, nullable=False),
    Column("started_ns", BigInteger, nullable=False),
    Column("origin", Text, nullable=False),
    Column("effect", Boolean, nullable=False),
    Column("input", Text),
    Column("input_lossy", Json),
    Column("identity", Text),
    Column("fingerprint", Text),
    Column("tags", Json),
    Column("source_step_id", String(16)),
    # what its end says
    Column("ended_ns", BigInteger),
    Column("outcome", Text),
    Column("output", Text),
    Column("output_lossy", Json),
    Column("failure", Text),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("end_tags", Json),
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
)

payloads = Table(
    "payloads",
    metadata,
    Column("digest", Text, primary_key=True),
    # the size stands before the body, so that reading it does not walk a large body's pages
    Column("size", BigInteger, nullable=False),
    Column("encoding", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
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
