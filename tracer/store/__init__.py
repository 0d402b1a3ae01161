"""Where traces are kept and found again: SQLite or Postgres, through one door."""

from __future__ import annotations

from tracer.store.query import Filter
from tracer.store.store import StatusCounts, Store, StoreFacts, open_store

__all__ = ["Filter", "StatusCounts", "Store", "StoreFacts", "open_store"]
