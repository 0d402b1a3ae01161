"""Thresholds tuned from recorded cascades: what each would have cost, and how often it would have been right."""
