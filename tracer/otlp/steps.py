"""Spans as events of the store: what a recorder would have written, had it been there.

The same spans again give the same events. What playhead recorded itself, under the same trace (it went on in a service
that is instrumented otherwise, or came back to where it was exported from), is never written over.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterable, Iterator, Mapping, Sequence

from tracer import codec
from tracer.declared import Capture, Declared
from tracer.events import Event, Finished, Noted, Started
from tracer.failures import wordless
from tracer.keeping import NO_VALUE, Keeper, Kept
from tracer.key import NO_INPUT
from tracer.model import Step
from tracer.otlp.places import Node, Place, places
from tracer.otlp.reading import MARK, Told, told
from tracer.otlp.span import LAST_NS, Span

#: The tag that holds the parent which a span named, where its step stands elsewhere; empty where it named none.
PARENT = "otlp.parent"


def by_trace(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """The spans of each trace, by its id."""
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(span.trace_id.hex(), []).append(span)
    return found


def events_of(spans: Sequence[Span], known: Sequence[Step], keeper: Keeper, key: bytes) -> list[Event]:
    """The events of one trace's spans. ``known`` are the steps of it that the store has; those of them that stand
    elsewhere now begin anew there. ``key`` is the store's, by which identities are made."""
    own = {step.step_id for step in known if MARK not in step.tags}
    read = {span.span_id.hex(): (span, told(span)) for span in spans if span.span_id.hex() not in own}
    nodes = {step.step_id: _node_of(step) for step in known}
    nodes |= {step_id: _node(span, said) for step_id, (span, said) in read.items()}
    found = places(nodes.values())
    root_last = sorted(read, key=lambda step_id: found[step_id].parent_id is None)
    events: list[Event] = [
        _moved(step, nodes[step.step_id], found[step.step_id], bytes.fromhex(spans[0].trace_id.hex()))
        for step in known
        if step.step_id not in own and step.step_id not in read and _stands_elsewhere(step, found[step.step_id])
    ]
    for step_id in root_last:
        span, said = read[step_id]
        events += _Story(span, said, (nodes[step_id], found[step_id]), keeper, key).events()
    return events


def _node(span: Span, said: Told) -> Node:
    parent = None if span.parent_id is None else span.parent_id.hex()
    return Node(span.span_id.hex(), parent, said.name, span.start_ns)


def _node_of(step: Step) -> Node:
    own = MARK not in step.tags
    parent = (step.tags.get(PARENT) or None) if PARENT in step.tags else step.parent_id
    return Node(step.step_id, parent, step.name, step.started_ns, own, step.path, step.occurrence)


def _stands_elsewhere(step: Step, place: Place) -> bool:
    return (step.parent_id, step.path, step.occurrence) != (place.parent_id, place.path, place.occurrence)


def _moved(step: Step, node: Node, place: Place, trace_id: bytes) -> Started:
    """A step that the store has, begun anew where it stands now."""
    tags = {name: value for name, value in step.tags.items() if name != PARENT}
    return Started(
        trace_id=trace_id,
        step_id=bytes.fromhex(step.step_id),
        parent_id=None if place.parent_id is None else bytes.fromhex(place.parent_id),
        name=step.name,
        kind=step.kind,
        path=place.path,
        occurrence=place.occurrence,
        at_ns=step.started_ns,
        input=None if step.input is None else step.input.digest,
        input_lossy=() if step.input is None else step.input.lossy,
        identity=step.identity,
        fingerprint=step.fingerprint,
        attrs={"tags": tags | _named_parent(node, place), **_of_root(place, step.name)},
    )


def _named_parent(node: Node, place: Place) -> dict[str, str]:
    return {} if node.parent_id == place.parent_id else {PARENT: node.parent_id or ""}


def _of_root(place: Place, workflow: str) -> dict[str, Any]:
    return {"workflow": workflow} if place.parent_id is None else {}


class _Story:
    """The events of one span."""

    def __init__(self, span: Span, said: Told, stands: tuple[Node, Place], keeper: Keeper, key: bytes) -> None:
        node, place = stands
        self._span, self._said, self._place = span, said, place
        self._keeper, self._key = keeper, key
        self._capture = max(keeper.level(Declared(said.name, said.kind)), Capture.METADATA)
        self._tags = self._clean({**(said.tags or {}), **_named_parent(node, place)})

    def events(self) -> list[Event]:
        begins = self._started()
        notes = list(self._scores())
        return [begins, *notes, self._finished()] if self._span.end_ns else [begins, *notes]

    def _scores(self) -> Iterator[Noted]:
        """What was said of how good it is."""
        said: Counter[str] = Counter()
        for event in self._span.events:
            name, value = (event.attributes.get(f"gen_ai.evaluation.{word}") for word in ("name", "score.value"))
            if event.name == "gen_ai.evaluation.result" and isinstance(name, str) and isinstance(value, int | float):
                at_ns, data = min(event.at_ns, LAST_NS), codec.encode(value).data
                yield Noted(self._span.trace_id, self._span.span_id, "score", name, said[name], at_ns, data)
                said[name] += 1

    def _started(self) -> Started:
        span, said, place = self._span, self._said, self._place
        clear, stored, lossy = self._kept(said.input)
        attrs = {**said.attrs, "tags": self._tags, **_of_root(place, said.workflow or said.name)}
        if said.call is not None and "model_asked" in said.call:
            attrs["model"] = said.call["model_asked"]
        return Started(
            trace_id=span.trace_id,
            step_id=span.span_id,
            parent_id=None if place.parent_id is None else bytes.fromhex(place.parent_id),
            name=said.name,
            kind=said.kind,
            path=place.path,
            occurrence=place.occurrence,
            at_ns=span.start_ns,
            input=stored,
            input_lossy=lossy,
            identity=codec.identity(clear or NO_INPUT, self._key),
            fingerprint=None,
            attrs=attrs,
        )

    def _finished(self) -> Finished:
        span, said = self._span, self._said
        _, stored, lossy = self._kept(said.output)
        return Finished(
            trace_id=span.trace_id,
            step_id=span.span_id,
            # where clocks were set, a span may end before it began
            at_ns=max(span.end_ns, span.start_ns),
            outcome=said.outcome,
            output=stored,
            output_lossy=lossy,
            failure=self._failure(),
            attrs={} if said.call is None else {"call": self._clean(said.call)},
        )

    def _failure(self) -> bytes | None:
        failure = self._said.failure
        if failure is None:
            return None
        shown = failure if self._capture is Capture.FULL else wordless(failure)
        return self._keeper.redactor.redact(codec.encode(shown).data).data

    def _kept(self, value: Any) -> Kept:
        return NO_VALUE if value is None else self._keeper.keep(value, self._capture)

    def _clean(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Without credentials: an attribute may hold whatever its writer put there."""
        found: dict[str, Any] = codec.decode(self._keeper.redactor.redact(codec.encode(dict(said)).data).data)
        return found
