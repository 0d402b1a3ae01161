"""The questions that waiting runs have asked: who is to answer, what was answered, and which run went on with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "escalations",
        sa.Column("trace_id", sa.String(32), primary_key=True),
        sa.Column("step_id", sa.String(16), primary_key=True),
        sa.Column("asked_ns", sa.BigInteger(), nullable=False),
        sa.Column("due_ns", sa.BigInteger()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("assignee", sa.Text()),
        sa.Column("answer", sa.Text()),
        sa.Column("closed_by", sa.Text()),
        sa.Column("closed_ns", sa.BigInteger()),
        sa.Column("resumed_as", sa.String(32)),
    )
    where = sa.text("resumed_as IS NULL AND state != 'withdrawn'")
    op.create_index("escalations_pending", "escalations", ["asked_ns"], sqlite_where=where, postgresql_where=where)
