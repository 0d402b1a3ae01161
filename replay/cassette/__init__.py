"""Cassettes: one trace as one reviewable, redacted, versioned file; and the tests that are played from them."""
