"""Where a recorded workflow is not deterministic: what a second run of the same code would see otherwise.

The trace is replayed unchanged, twice, each time in a process of its own with another hash seed. Every body runs; calls
and effects are served, as ``--verify`` does. Looked for is what the user's own code asks of the world without recording
it (``watch``), and where the inputs of its steps differ from the record or between the two.
"""

from replay.nondeterminism.finding import Findings, Source, examine

__all__ = ["Findings", "Source", "examine"]
