"""A customer-support system, recorded step by step: the example that ``playhead demo`` runs."""
