"""What ran inside a step, as boxes and arrows: a box per name, an arrow where one began after another ended. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from statistics import median
from typing import Iterator, Mapping, Sequence

from tracer import format as fmt
from tracer.drawing import Box, Edge, Graph, Kind, svg
from tracer.format import Shown
from tracer.model import Kind as StepKind
from tracer.model import Step, Trace
from web.view.ordering import families_of, in_tree_order
from web.view.rollup import Totals, totals_of

#: Steps that are looked at, and boxes that are drawn: more is no picture.
_STEPS = 1_000
_BOXES = 40
#: Ids of the two boxes that are no steps; those of steps begin with an n.
_IN, _OUT = "in", "out"
_KINDS: Mapping[StepKind, Kind] = {
    "llm": "model",
    "embedding": "model",
    "router": "decision",
    "guardrail": "decision",
    "human": "person",
}


@dataclass(frozen=True, slots=True)
class Boxed:
    """One box in words: what the picture shows, with a way to its first step."""

    name: str
    kind: StepKind
    step_id: str
    count: int
    failed: int
    time: Shown
    cost: Shown
    #: Whether there is a picture of its inside.
    has_inside: bool


@dataclass(frozen=True, slots=True)
class Pictured:
    """``drawing`` is SVG of our own making, every recorded text in it escaped."""

    inside: str
    step_id: str
    drawing: str
    boxes: tuple[Boxed, ...]
    omitted: int = 0


def pictured(trace: Trace, chosen: Step | None) -> Pictured | None:
    """The inside of the chosen step, or of the nearest around it that has one; None for a trace of one step."""
    families = families_of(trace.steps)
    by_id = {step.step_id: step for step in trace.steps}
    at = chosen or trace.root
    while at is not None and at.step_id not in families:
        at = by_id.get(at.parent_id or "")
    if at is None:
        return None
    children = families[at.step_id][:_STEPS]
    named: dict[str, list[Step]] = {}
    for step in children:
        named.setdefault(step.name, []).append(step)
    kept = dict(list(named.items())[:_BOXES])
    totals = totals_of(in_tree_order(trace.steps))
    boxes = tuple(_boxed(name, steps, totals, families) for name, steps in kept.items())
    drawn = [_box(name, steps, totals) for name, steps in kept.items()]
    edges = _edges([step for step in children if step.name in kept])
    ends = (Box(_IN, "input", "start"), Box(_OUT, "output" if at.failure is None else "failed", "end"))
    graph = Graph(
        at.name,
        (ends[0], *drawn, ends[1]),
        tuple(edges),
        f"What ran inside {at.name}: {fmt.plural(len(children), 'step')} of {fmt.plural(len(named), 'name')}.",
    )
    return Pictured(at.name, at.step_id, svg(graph, styled=False), boxes, len(named) - len(kept))


def _boxed(
    name: str, steps: Sequence[Step], totals: Mapping[str, Totals], families: Mapping[str, Sequence[Step]]
) -> Boxed:
    together = Totals()
    for step in reversed(steps):
        together.add(totals[step.step_id])
    took = [step.duration_ns for step in steps if step.duration_ns is not None]
    return Boxed(
        name=name,
        kind=steps[0].kind,
        step_id=steps[0].step_id,
        count=len(steps),
        failed=sum(step.failure is not None for step in steps),
        time=Shown(fmt.duration(sum(took)), f"{sum(took):,} ns, added up") if took else Shown("…", "not ended", "dim"),
        cost=together.cost,
        has_inside=any(step.step_id in families for step in steps),
    )


def _box(name: str, steps: Sequence[Step], totals: Mapping[str, Totals]) -> Box:
    together = Totals()
    for step in reversed(steps):
        together.add(totals[step.step_id])
    took = [step.duration_ns for step in steps if step.duration_ns is not None]
    failed = sum(step.failure is not None for step in steps)
    each = fmt.duration(int(median(took))) if took else ""
    lines = [
        together.model.text,
        " ".join(filter(None, [f"{len(steps)} times, p50" if len(steps) > 1 else "", each])),
        f"{failed} failed" if failed else "",
    ]
    kind: Kind = "action" if steps[0].effect else _KINDS.get(steps[0].kind, "model" if together.calls else "code")
    return Box(f"n{name}", name, kind, tuple(line for line in lines if line))


def _edges(steps: Sequence[Step]) -> Iterator[Edge]:
    """An arrow from the steps that had just ended to the one that began then. A name that follows itself is said in
    its box."""
    ended = sorted((step.ended_ns, step.started_ns, step.name) for step in steps if step.ended_ns is not None)
    moments = [one[0] for one in ended]
    latest: list[int] = []
    for _, started, _ in ended:
        latest.append(max(started, latest[-1] if latest else started))
    found: dict[tuple[str, str], None] = {}
    for step in steps:
        until = bisect_right(moments, step.started_ns)
        if not until:
            found[_IN, f"n{step.name}"] = None
            continue
        since = bisect_right(moments, latest[until - 1])
        before = {f"n{name}" for _, _, name in ended[min(since, until - 1) : until]}
        for name in sorted(before - {f"n{step.name}"}):
            found[name, f"n{step.name}"] = None
    last = {f"n{step.name}" for step in steps} - {source for (source, _) in found}
    for source, target in found:
        yield Edge(source, target)
    if steps:
        for name in sorted(last or {f"n{steps[-1].name}"}):
            yield Edge(name, _OUT)
