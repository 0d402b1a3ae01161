"""How long traces stay: rules, what they say of a store's traces, and the prune that does it."""
