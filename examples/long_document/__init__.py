"""A contract that is longer than a model's window: noted chunk by chunk, brought together, and cited."""
