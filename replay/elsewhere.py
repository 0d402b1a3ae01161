"""What the same step was answered in other traces: where ``wrong_but_valid`` takes its answers from."""

from __future__ import annotations

from typing import Any, Iterator

from replay.record import not_restored
from tracer import codec
from tracer.errors import CodecError, StoreError
from tracer.model import Step, Trace
from tracer.store import Filter, Store

#: Other traces that are looked into, the newest first.
MOST_TRACES = 30


class Elsewhere:
    """The other recorded traces of one trace's workflow, replays left out; each is read once, when first needed."""

    def __init__(self, trace: Trace, store: Store) -> None:
        self._trace = trace
        self._store = store
        self._others: list[Trace] = []
        self._ids: list[str] | None = None

    def answers(self, step: Step) -> Iterator[tuple[Any, Any]]:
        """(input, result) of the steps at the same path that ended well with another result, newest first."""
        own = None if step.output is None else step.output.digest
        for trace in self._traces():
            for other in trace.steps:
                if other.path != step.path or other.outcome != "ok" or other.output is None or not other.output.exact:
                    continue
                if other.output.digest != own and (pair := self._pair(other)) is not None:
                    yield pair

    def _traces(self) -> Iterator[Trace]:
        if self._ids is None:
            found = self._store.traces(
                Filter(workflow=self._trace.summary.workflow, replays=False), limit=MOST_TRACES + 1
            )
            self._ids = [each.trace_id for each in found if each.trace_id != self._trace.trace_id][:MOST_TRACES]
        for at, trace_id in enumerate(self._ids):
            if at == len(self._others):
                self._others.append(self._store.trace(trace_id))
            yield self._others[at]

    def _pair(self, step: Step) -> tuple[Any, Any] | None:
        refs = [ref for ref in (step.input, step.output) if ref is not None]
        try:
            found = self._store.payloads([ref.digest for ref in refs])
            value = codec.decode(found[refs[-1].digest])
            asked = codec.decode(found[refs[0].digest]) if len(refs) == 2 else None
        except (StoreError, CodecError, KeyError):
            return None
        return None if not_restored(value) is not None else (asked, value)
