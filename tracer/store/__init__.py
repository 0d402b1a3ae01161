"""Where traces are kept and found again: SQLite or Postgres, through one door."""

from __future__ import annotations

from tracer.store.deleting import Deleted
from tracer.store.facets import Facets
from tracer.store.facts import StoreFacts
from tracer.store.hits import Hit
from tracer.store.query import Filter, Problem
from tracer.store.store import Store, open_store

__all__ = ["Deleted", "Facets", "Filter", "Hit", "Problem", "Store", "StoreFacts", "open_store"]
