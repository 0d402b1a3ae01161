"""Questions to humans: the list of them, what may be answered, and the run that goes on with the answer."""
