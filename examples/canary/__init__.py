"""A canary behind a rate limit: its breaker trips, its work falls back, and it is taken back by itself."""
