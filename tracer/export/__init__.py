"""Traces in the formats of other tools: a row for each step (CSV, Parquet), a timeline (Chrome's trace events)."""
