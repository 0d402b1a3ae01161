"""How a served step is written down in the new trace: by the addresses of the recorded one, nothing repeated.

The steps below a served one did not run; they are shown all the same, as copies of origin ``recorded``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Iterator, Sequence

from tracer import codec
from tracer.events import Event, Finished, Noted, Started
from tracer.ids import new_step_id

if TYPE_CHECKING:
    from tracer.model import Step


def ending(source: Step) -> dict[str, Any]:
    """The attributes that a served step ends with: the recorded tags and model call, marked as served."""
    attrs: dict[str, Any] = {}
    if source.tags:
        attrs["tags"] = dict(source.tags)
    if source.call is not None:
        call = asdict(source.call)
        del call["cost"], call["unpriced_because"]
        attrs["call"] = {**call, "served": True}
    return attrs


def below(source_id: str, subtree: Sequence[Step], trace_id: bytes, parent: bytes, at_ns: int) -> Iterator[Event]:
    """The events that copy the recorded steps below ``source_id`` under ``parent``."""
    copies = {source_id: parent}
    for step in subtree:
        if step.parent_id not in copies:
            continue
        copy = copies[step.step_id] = new_step_id()
        yield _started(step, trace_id, copy, copies[step.parent_id], at_ns)
        for note in step.notes:
            yield Noted(trace_id, copy, note.kind, note.name, note.occurrence, at_ns, codec.encode(note.value).data)
        if step.outcome is not None:
            yield _finished(step, trace_id, copy, at_ns)


def _started(step: Step, trace_id: bytes, copy: bytes, parent: bytes, at_ns: int) -> Started:
    ref = step.input
    attrs: dict[str, Any] = {"origin": "recorded", "source": step.step_id}
    if step.effect:
        attrs["effect"] = True
    return Started(
        trace_id,
        copy,
        parent,
        step.name,
        step.kind,
        step.path,
        step.occurrence,
        at_ns,
        None if ref is None else ref.digest,
        [] if ref is None else list(ref.lossy),
        step.identity,
        step.fingerprint,
        attrs,
    )


def _finished(step: Step, trace_id: bytes, copy: bytes, at_ns: int) -> Finished:
    ref = step.output
    failure = None if step.failure is None else codec.encode(step.failure).data
    outcome = step.outcome or "ok"
    digest, lossy = (None, []) if ref is None else (ref.digest, list(ref.lossy))
    return Finished(trace_id, copy, at_ns, outcome, digest, lossy, failure, ending(step))
