"""The first schema: traces, steps, model calls, payloads, notes, search texts, processes and journal positions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _traces() -> None:
    op.create_table(
        "traces",
        sa.Column("trace_id", sa.String(32), primary_key=True),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("version", sa.Text()),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("entry", sa.Text()),
        sa.Column("replay_of", sa.String(32)),
        sa.Column("plan", sa.Text()),
        sa.Column("end_plan", sa.Text()),
        sa.Column("preview", sa.Text(), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger()),
        sa.Column("outcome", sa.Text()),
        sa.Column("tags", sa.Text()),
        sa.Column("failed_step", sa.Text()),
        sa.Column("failed_step_id", sa.String(16)),
        sa.Column("error_type", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("steps", sa.BigInteger(), nullable=False),
        sa.Column("model_calls", sa.BigInteger(), nullable=False),
        sa.Column("models", sa.Text(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_nusd", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        sa.Column("escalations", sa.BigInteger(), nullable=False),
    )
    op.create_index("traces_by_workflow", "traces", ["workflow", "started_ns", "trace_id"])
    where = sa.text("outcome = 'failed'")
    op.create_index("traces_failed", "traces", ["started_ns", "trace_id"], sqlite_where=where, postgresql_where=where)
    op.create_index("traces_newest", "traces", ["started_ns", "trace_id"])
    where = sa.text("outcome IS NULL")
    op.create_index("traces_open", "traces", ["owner"], sqlite_where=where, postgresql_where=where)
    where = sa.text("replay_of IS NOT NULL")
    op.create_index("traces_replays", "traces", ["replay_of", "started_ns"], sqlite_where=where, postgresql_where=where)


def _steps() -> None:
    op.create_table(
        "steps",
        sa.Column("trace_id", sa.String(32), primary_key=True),
        sa.Column("step_id", sa.String(16), primary_key=True),
        sa.Column("parent_id", sa.String(16)),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("occurrence", sa.BigInteger(), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("effect", sa.Boolean(), nullable=False),
        sa.Column("input", sa.Text()),
        sa.Column("input_lossy", sa.Text()),
        sa.Column("identity", sa.Text()),
        sa.Column("fingerprint", sa.Text()),
        sa.Column("tags", sa.Text()),
        sa.Column("source_step_id", sa.String(16)),
        sa.Column("ended_ns", sa.BigInteger()),
        sa.Column("outcome", sa.Text()),
        sa.Column("output", sa.Text()),
        sa.Column("output_lossy", sa.Text()),
        sa.Column("failure", sa.Text()),
        sa.Column("error_type", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("end_tags", sa.Text()),
    )


def _model_calls() -> None:
    op.create_table(
        "model_calls",
        sa.Column("trace_id", sa.String(32), primary_key=True),
        sa.Column("step_id", sa.String(16), primary_key=True),
        sa.Column("provider", sa.Text()),
        sa.Column("model_asked", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("input_tokens", sa.BigInteger()),
        sa.Column("output_tokens", sa.BigInteger()),
        sa.Column("cache_read_tokens", sa.BigInteger()),
        sa.Column("cache_write_tokens", sa.BigInteger()),
        sa.Column("reasoning_tokens", sa.BigInteger()),
        sa.Column("input_audio_tokens", sa.BigInteger()),
        sa.Column("output_audio_tokens", sa.BigInteger()),
        sa.Column("raw_usage", sa.Text()),
        sa.Column("cost_nusd", sa.BigInteger()),
        sa.Column("price", sa.Text()),
        sa.Column("unpriced_because", sa.Text()),
        sa.Column("first_token_ns", sa.BigInteger()),
        sa.Column("finish_reason", sa.Text()),
        sa.Column("response_id", sa.Text()),
        sa.Column("status_code", sa.BigInteger()),
        sa.Column("streamed", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_model_calls_model", "model_calls", ["model"])


def _payloads() -> None:
    op.create_table(
        "payloads",
        sa.Column("digest", sa.Text(), primary_key=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("encoding", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )


def _notes() -> None:
    op.create_table(
        "notes",
        sa.Column("trace_id", sa.String(32), primary_key=True),
        sa.Column("step_id", sa.String(16), primary_key=True),
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("occurrence", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
    )


def _step_texts() -> None:
    op.create_table(
        "step_texts",
        sa.Column("trace_id", sa.String(32), primary_key=True),
        sa.Column("step_id", sa.String(16), primary_key=True),
        sa.Column("part", sa.Text(), primary_key=True),
        sa.Column("text", sa.Text(), nullable=False),
    )


def _processes() -> None:
    op.create_table(
        "processes",
        sa.Column("owner", sa.Text(), primary_key=True),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("closed_ns", sa.BigInteger()),
    )


def _journal_positions() -> None:
    op.create_table(
        "journal_positions",
        sa.Column("owner", sa.Text(), primary_key=True),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger(), nullable=False),
    )


def upgrade() -> None:
    _traces()
    _steps()
    _model_calls()
    _payloads()
    _notes()
    _step_texts()
    _processes()
    _journal_positions()
