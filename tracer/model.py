"""The common language: frozen values that every floor speaks and that know nothing of storage.

Units are in the names: ``_ns`` is nanoseconds (times: since the epoch, UTC), ``_nusd`` is billionths of a US dollar.
``None`` always means unknown, never zero.

What only a reader meets (``Trace``, ``Step`` and their parts) stands in ``tracer.records`` and is named here as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Mapping

if TYPE_CHECKING:
    from tracer.records import Cost, Entry, Escalation, ModelCall, Note, PayloadRef, Step, Trace, TraceSummary

__all__ = [
    "Cost",
    "Entry",
    "Escalation",
    "Failure",
    "Frame",
    "Kind",
    "ModelCall",
    "Note",
    "Origin",
    "Outcome",
    "PayloadRef",
    "Status",
    "Step",
    "Trace",
    "TraceSummary",
    "Usage",
]

Kind = Literal[
    "workflow",
    "step",
    "llm",
    "embedding",
    "tool",
    "retriever",
    "reranker",
    "agent",
    "guardrail",
    "evaluator",
    "router",
    "human",
    "http",
    "attempt",
]
#: How a step ended, as its own process wrote it; ``None`` while nothing was written.
Outcome = Literal["ok", "failed", "cancelled", "stopped", "waiting"]
#: What a reader sees. The last two are derived from the outcome and from whether the recording process still lives.
Status = Literal["completed", "failed", "cancelled", "stopped", "waiting", "running", "interrupted"]
#: Where a step's result came from.
Origin = Literal["live", "recorded", "substituted", "edited", "injected", "stood-in"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a traceback, innermost last. ``own`` is false for code of an installed library."""

    file: str
    line: int
    function: str
    own: bool
    source: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as data: its class, its words, its frames, and what caused it."""

    type: str
    message: str
    module: str = ""
    frames: tuple[Frame, ...] = ()
    notes: tuple[str, ...] = ()
    cause: Failure | None = None
    cause_is_explicit: bool = False
    group: tuple[Failure, ...] = ()
    #: How many frames were cut out of the middle of a very deep traceback.
    frames_omitted: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. ``input_tokens`` and ``output_tokens`` are inclusive totals; the others are parts of them. Disjoint
    are what was read from and written to a cache, and what was reasoned. ``cache_write_1h_tokens`` is that part of the
    writes which is kept for an hour and costs more, ``cache_audio_tokens`` is audio that was read from a cache.

    ``web_searches`` counts searches, which some providers bill beside the tokens. ``raw`` is the provider's own usage
    object, kept because every normalisation forgets something.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    raw: Mapping[str, Any] | None = None
    cache_write_1h_tokens: int | None = None
    cache_audio_tokens: int | None = None
    web_searches: int | None = None

    @property
    def fresh_input_tokens(self) -> int | None:
        """Input that was neither read from nor written to a cache; negative means the provider's parts don't add up."""
        if self.input_tokens is None:
            return None
        return self.input_tokens - (self.cache_read_tokens or 0) - (self.cache_write_tokens or 0)


def __getattr__(name: str) -> Any:
    # Making these classes takes longer than most of what a recording process imports, and it never needs them.
    if name in __all__:
        from tracer import records  # noqa: PLC0415

        return getattr(records, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
