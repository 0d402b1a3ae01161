"""A model call keeps what its provider said of an error and of the exchange, all buckets of its usage, and the price
that was declared for it.

The buckets of calls that were recorded before are read out of the provider's own usage object, which was kept.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Iterator

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ROWS = 500
_COUNTS = ("cache_write_1h_tokens", "cache_audio_tokens", "web_searches")
#: One of these words is in every usage object that holds one of the counts.
_WORDS = ("ephemeral_1h_input_tokens", "cacheDetails", "cacheTokensDetails", "web_search_requests")


def upgrade() -> None:
    for column in (
        *(sa.Column(name, sa.BigInteger()) for name in _COUNTS),
        sa.Column("declared_price", sa.Text()),
        sa.Column("error_type", sa.Text()),
        sa.Column("retry_after_s", sa.Double()),
        sa.Column("request_id", sa.Text()),
    ):
        op.add_column("model_calls", column)
    # A run that goes on where another had stopped.
    op.add_column("traces", sa.Column("resume_of", sa.String(32)))
    where = sa.text("resume_of IS NOT NULL")
    op.create_index("traces_resumes", "traces", ["resume_of", "started_ns"], sqlite_where=where, postgresql_where=where)
    calls = sa.table("model_calls", *map(sa.column, ("trace_id", "step_id", "raw_usage", *_COUNTS)))
    key = (calls.c.trace_id == sa.bindparam("of_trace")) & (calls.c.step_id == sa.bindparam("of_step"))
    change = calls.update().where(key).values({name: sa.bindparam(name) for name in _COUNTS})
    for rows in _rows(calls):
        told = [
            {"of_trace": row.trace_id, "of_step": row.step_id, **counts}
            for row in rows
            if (counts := _counts(row.raw_usage))
        ]
        if told:
            op.get_bind().execute(change, told)


def _rows(calls: sa.TableClause) -> Iterator[list[Any]]:
    """The calls whose usage object may hold a count, some hundred at a time, in the order of their keys."""
    key = (calls.c.trace_id, calls.c.step_id)
    wanted = sa.select(*key, calls.c.raw_usage).where(sa.or_(*(calls.c.raw_usage.contains(word) for word in _WORDS)))
    last = ("", "")
    while rows := list(op.get_bind().execute(wanted.where(sa.tuple_(*key) > last).order_by(*key).limit(_ROWS))):
        yield rows
        last = (rows[-1].trace_id, rows[-1].step_id)


def _counts(text: str) -> dict[str, int | None]:
    """The counts in a provider's usage object; none where it is not what it looks like."""
    raw = _object(json.loads(text))
    created, tools = _object(raw.get("cache_creation")), _object(raw.get("server_tool_use"))
    hours = _sum(raw.get("cacheDetails"), "inputTokens", lambda part: part.get("ttl") == "1h")
    heard = _sum(raw.get("cacheTokensDetails"), "tokenCount", lambda part: part.get("modality") == "AUDIO")
    hour = _count(created.get("ephemeral_1h_input_tokens"))
    counts = (hours if hour is None else hour, heard, _count(tools.get("web_search_requests")))
    return dict(zip(_COUNTS, counts, strict=True)) if any(each is not None for each in counts) else {}


def _sum(parts: Any, name: str, wanted: Callable[[dict[str, Any]], bool]) -> int | None:
    found = [_count(part.get(name)) for part in map(_object, parts if isinstance(parts, list) else ()) if wanted(part)]
    known = [each for each in found if each is not None]
    return sum(known) if known else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None
