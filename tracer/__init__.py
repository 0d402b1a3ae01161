"""Record every step of an AI pipeline, and read it back.

    from tracer import workflow, step, effect

    @workflow
    def answer(question: str) -> str:
        return draft(question, search(question))

Every name below is documented where it is defined; docs/architecture.md is the map.
"""

from tracer.capture import instrument
from tracer.catalogue import FREE, Catalogue, Price, Target
from tracer.decorators import effect, step, workflow
from tracer.errors import TracerError
from tracer.propagation import continued, headers
from tracer.recorder import configure, flush, shutdown
from tracer.spans import current, now, random, recorded, span, uuid4
from tracer.tail import Keep

__all__ = [
    "FREE",
    "Catalogue",
    "Keep",
    "Price",
    "Target",
    "TracerError",
    "configure",
    "continued",
    "current",
    "effect",
    "flush",
    "headers",
    "instrument",
    "now",
    "random",
    "recorded",
    "shutdown",
    "span",
    "step",
    "uuid4",
    "workflow",
]
