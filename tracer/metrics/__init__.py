"""What the store and the recorders say to Prometheus."""
