"""Contracts read by five models in a row, within guardrails, and held against what lawyers marked in them."""
