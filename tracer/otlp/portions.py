"""Steps of many traces as the spans of a request, read from the store: in portions, so that a request has a size."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Collection, Iterable, Iterator, Mapping, Protocol

from tracer import codec
from tracer.errors import StoreError, TraceNotFound
from tracer.model import PayloadRef, Step, Trace
from tracer.otlp.span import Span
from tracer.otlp.writing import spans_of

#: Bytes of values, as they were recorded, in one request; a single step may have more.
MOST_BYTES = 4 << 20


class Readable(Protocol):
    """What is asked of a store."""

    def trace(self, trace_id: str, only: Collection[str] | None = None) -> Trace: ...
    def payloads(self, digests: Iterable[str]) -> dict[str, bytes]: ...


@dataclass(slots=True)
class Portion:
    """What goes out together: traces with the steps that are meant, each with the trace that it replays."""

    parts: list[tuple[Trace, Trace | None]] = field(default_factory=list)
    size: int = 0

    @property
    def steps(self) -> int:
        return sum(len(trace.steps) for trace, _ in self.parts)

    def spans(self, store: Readable, resource: Mapping[str, str]) -> list[Span]:
        """Its spans, with their values. Raises StoreUnreachable."""
        refs = {ref.digest for trace, _ in self.parts for step in trace.steps for ref in _refs(step)}
        value_of = _value_of(store.payloads(refs))
        return [
            span for trace, origin in self.parts for span in spans_of(trace, value_of, origin=origin, resource=resource)
        ]


def portions(wanted: Iterable[tuple[bytes, bytes]], store: Readable) -> list[Portion]:
    """The ended ones of these (trace, step), as far as the store has them: a trace that was not to be kept is gone.
    Raises StoreUnreachable."""
    meant: dict[str, set[str]] = {}
    for trace_id, step_id in wanted:
        meant.setdefault(trace_id.hex(), set()).add(step_id.hex())
    found = [Portion()]
    for name, step_ids in meant.items():
        with contextlib.suppress(TraceNotFound):
            trace = store.trace(name, step_ids)
            steps = [step for step in trace.steps if step.ended_ns is not None]
            _deal(replace(trace, steps=()), _origin(trace, steps, store), steps, found)
    return [portion for portion in found if portion.parts]


def _deal(trace: Trace, origin: Trace | None, steps: Iterable[Step], found: list[Portion]) -> None:
    """Put the steps of one trace into the last portion, and into more behind it where that is full."""
    mine: list[Step] = []

    def close() -> None:
        if mine:
            found[-1].parts.append((replace(trace, steps=tuple(mine)), origin))
            mine.clear()

    for step in steps:
        size = sum(ref.size for ref in _refs(step))
        if found[-1].size and found[-1].size + size > MOST_BYTES:
            close()
            found.append(Portion())
        mine.append(step)
        found[-1].size += size
    close()


def _origin(trace: Trace, steps: Iterable[Step], store: Readable) -> Trace | None:
    """The trace that this one replays, where a root is among the steps: its root is linked to that one's."""
    if trace.summary.replay_of is None or all(step.parent_id is not None for step in steps):
        return None
    with contextlib.suppress(TraceNotFound):
        return store.trace(trace.summary.replay_of)
    return None


def _refs(step: Step) -> Iterator[PayloadRef]:
    yield from (ref for ref in (step.input, step.output) if ref is not None)


def _value_of(loaded: Mapping[str, bytes]) -> Callable[[PayloadRef], Any]:
    def value_of(ref: PayloadRef) -> Any:
        if ref.digest not in loaded:
            raise StoreError(f"the payload {ref.digest} was pruned")
        return codec.decode(loaded[ref.digest])

    return value_of
