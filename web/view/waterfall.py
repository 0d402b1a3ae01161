"""A trace's steps as rows of a tree with bars to scale, and the way from the root to what failed. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Iterable, Mapping, Sequence

from tracer import format as fmt
from tracer.attempts import attempts_in, first_of, in_words
from tracer.format import Shown
from tracer.model import Failure, Kind, Status, Step, Trace

#: Rows of one page; a longer trace shows the rows around the chosen step and says so.
ROW_LIMIT = 150
#: The thinnest bar in percent, so that a short step is still seen.
_HAIR = 0.7
#: What a call's cost reads when there is no sum to it; calls that all read the same keep the word.
_NOTHING_BILLED = ({"free"}, {"not billed"}, {"…"}, {"?"})


@dataclass(frozen=True, slots=True)
class Bar:
    """A step in time, in percent of the trace. ``wait`` is the part before the first token; ``open``: no known end."""

    x: float
    width: float
    wait: float = 0.0
    open: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tree. ``rails`` has one letter per level of depth, see ``_rails``."""

    step_id: str
    name: str
    badge: str
    kind: Kind
    status: Status
    depth: int
    rails: str
    on_red_path: bool
    #: The end of the red path: the step that failed by itself.
    failing_leaf: bool
    model: str
    origin: str
    effect: bool
    bar: Bar
    time: Shown
    cost: Shown
    children: int


@dataclass(frozen=True, slots=True)
class Unreached:
    """A step that this trace did not come to; others of its workflow do."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Waterfall:
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    #: Rows left out before and after the ones shown.
    before: int = 0
    after: int = 0
    unreached: tuple[Unreached, ...] = ()


def waterfall(
    trace: Trace, *, now_ns: int, around: str = "", limit: int = ROW_LIMIT, whole: Trace | None = None
) -> Waterfall:
    """Lay a trace out as rows in tree order, at most ``limit`` of them around the step ``around``.

    ``whole`` is a completed trace of the same workflow, to tell what this one did not come to.
    """
    ordered = in_tree_order(trace.steps)
    start, end = span_of(trace, now_ns=now_ns)
    path = red_path(trace)
    red = set(path)
    families = _families(trace.steps)
    rails = _rails(ordered, families, red)
    chosen = next((i for i, (step, _) in enumerate(ordered) if step.step_id == around), 0)
    first = max(0, min(chosen - limit // 2, len(ordered) - limit))
    last = min(len(ordered), first + limit)
    calls = attempts_in(trace.steps)
    rows = tuple(
        Row(
            step_id=step.step_id,
            name=step.name,
            badge=_badge(step, calls),
            kind=step.kind,
            status=step.status,
            depth=depth,
            rails=rails[step.step_id],
            on_red_path=step.step_id in red,
            failing_leaf=step.step_id in path[-1:],
            model=(step.call.model or step.call.model_asked or "") if step.call else "",
            origin=origin_word(trace, step),
            effect=step.effect,
            bar=_bar(step, start, end),
            time=fmt.shown_duration(step.duration_ns, step.status),
            cost=rolled_up_cost(step, [] if step.call else _inside(step, families)),
            children=len(families[step.step_id]),
        )
        for step, depth in ordered[first:last]
    )
    missed = unreached(trace, whole) if whole is not None else ()
    return Waterfall(rows, ticks(end - start), before=first, after=len(ordered) - last, unreached=missed)


def _badge(step: Step, calls: Mapping[str, Sequence[Step]]) -> str:
    """Which one of its name a step is, or which attempt of its call; of a call's first attempt, how they all went."""
    if step.step_id in calls:
        return in_words(calls[step.step_id])
    return fmt.attempt(step.occurrence) if first_of(step) is None else f"attempt {step.tags['attempt']}"


def unreached(trace: Trace, whole: Trace) -> tuple[Unreached, ...]:
    """What comes in a completed trace right below the root after the last step that this trace has too."""
    if trace.root is None or whole.root is None:
        return ()
    had = {step.name for step in trace.children(trace.root.step_id)}
    path = list(whole.children(whole.root.step_id))
    common = max((index for index, step in enumerate(path) if step.name in had), default=-1)
    if had and common < 0:
        return ()
    after = {step.name: Unreached(step.name, step.kind) for step in path[common + 1 :]}
    return tuple(after.values())


def in_tree_order(steps: Sequence[Step]) -> list[tuple[Step, int]]:
    """Every step with its depth, parents before children, siblings as they began. Orphans count as roots."""
    known = {step.step_id for step in steps}
    families = _families(steps)
    stack = [(step, 0) for step in reversed(steps) if step.parent_id is None or step.parent_id not in known]
    ordered = []
    while stack:
        step, depth = stack.pop()
        ordered.append((step, depth))
        stack.extend((child, depth + 1) for child in reversed(families[step.step_id]))
    return ordered


def span_of(trace: Trace, *, now_ns: int) -> tuple[int, int]:
    """First and last nanosecond: a running trace reaches until now, an interrupted one to its last sign."""
    if not trace.steps:
        return trace.summary.started_ns, trace.summary.started_ns + 1
    start = min(step.started_ns for step in trace.steps)
    signs = [step.ended_ns or step.started_ns for step in trace.steps]
    end = max([*signs, now_ns]) if trace.summary.status == "running" else max(signs)
    return start, max(end, start + 1)


def landing(trace: Trace) -> Step | None:
    """The step that a reader wants to see first: the failing leaf, the one that was running or that asks, or else the
    root."""
    path = red_path(trace)
    if path:
        return trace.step(path[-1])
    if trace.summary.status in ("running", "interrupted"):
        unfinished = [step for step, _ in in_tree_order(trace.steps) if step.ended_ns is None]
        if unfinished:
            return unfinished[-1]
    asked = next((step for step in trace.steps if step.kind == "human" and step.status == "waiting"), None)
    return asked or trace.root or (trace.steps[0] if trace.steps else None)


def red_path(trace: Trace) -> tuple[str, ...]:
    """Step ids from the root to the deepest step that failed and took the trace with it; empty if it did not fail."""
    root = trace.root
    if root is None or root.failure is None:
        return ()
    named = trace.step(trace.summary.failed_step_id) if trace.summary.failed_step_id else None
    return _ancestry(trace, named) if named is not None else _descend(trace, root)


def same_failure(outer: Failure, inner: Failure) -> bool:
    """Whether ``outer`` is ``inner`` passing by, raised from it, or a group that holds it."""
    if (outer.type, outer.message) == (inner.type, inner.message):
        return True
    return any(same_failure(part, inner) for part in (*outer.group, *([outer.cause] if outer.cause else [])))


def source_of(trace: Trace, step: Step) -> Step | None:
    """The child whose failure this step only passed on; None where the step failed by itself."""
    if step.failure is None:
        return None
    for child in reversed(trace.children(step.step_id)):
        if child.failure is not None and same_failure(step.failure, child.failure):
            return source_of(trace, child) or child
    return None


def rolled_up_cost(step: Step, inside: Sequence[Step]) -> Shown:
    """A model call's own cost; on any other step the sum over the calls among the steps ``inside`` it."""
    if step.call is not None:
        return fmt.call_cost(step)
    calls = [one for one in inside if one.call is not None]
    words = {id(call): fmt.call_cost(call) for call in calls}
    if calls and {shown.text for shown in words.values()} in _NOTHING_BILLED:
        return words[id(calls[0])]
    billed = [call for call in calls if {words[id(call)].text} not in _NOTHING_BILLED[:3]]
    known = sum(call.call.cost.nusd for call in billed if call.call and call.call.cost)
    unpriced = sum(1 for call in billed if call.call and call.call.cost is None)
    return fmt.cost_sum(known, calls=len(calls), unpriced=unpriced)


def origin_word(trace: Trace, step: Step) -> str:
    """The origin as a word, in a replay; nothing in a recording, where everything is live."""
    if (trace.summary.replay_of or trace.summary.resume_of) is None or step.kind == "workflow":
        return ""
    return fmt.ORIGIN_WORDS[step.origin]


def ticks(total_ns: int, *, most: int = 4) -> tuple[Tick, ...]:
    """Round moments along the axis: 1, 2 or 5 times a power of ten nanoseconds, at most ``most`` after zero."""
    step = next(s for power in range(30) for s in (10**power, 2 * 10**power, 5 * 10**power) if total_ns / s <= most)
    return tuple(Tick(100 * at / total_ns, _tick(at)) for at in range(0, total_ns, step) if at / total_ns < 0.95)


def _tick(ns: int) -> str:
    if ns == 0:
        return "0"
    if ns < 60_000_000_000:
        value, unit = (
            (ns / 1e9, "s") if ns >= 1_000_000_000 else (ns / 1e6, "ms") if ns >= 100_000 else (ns / 1e3, "µs")
        )
        return f"{value:g} {unit}"
    return fmt.duration(ns)


def _bar(step: Step, start: int, end: int) -> Bar:
    total = end - start
    x = 100 * (step.started_ns - start) / total
    ended = end if step.ended_ns is None else step.ended_ns
    width = max(_HAIR, 100 * (ended - step.started_ns) / total)
    x = min(x, 100 - _HAIR)
    first = step.call.first_token_ns if step.call and step.call.streamed else None
    wait = min(width, 100 * first / total) if first is not None else 0.0
    return Bar(round(x, 2), round(min(width, 100 - x), 2), round(wait, 2), open=step.ended_ns is None)


def _families(steps: Iterable[Step]) -> dict[str, list[Step]]:
    families: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        if step.parent_id is not None:
            families[step.parent_id].append(step)
    return families


def below(steps: Iterable[Step], step: Step) -> list[Step]:
    """Every step inside this one, at any depth."""
    return _inside(step, _families(steps))


def _inside(step: Step, families: dict[str, list[Step]]) -> list[Step]:
    found: list[Step] = []
    stack = list(families.get(step.step_id, ()))
    while stack:
        found.append(stack.pop())
        stack.extend(families.get(found[-1].step_id, ()))
    return found


def _ancestry(trace: Trace, step: Step) -> tuple[str, ...]:
    by_id = {one.step_id: one for one in trace.steps}
    path: list[str] = []
    at: Step | None = step
    while at is not None and at.step_id not in path:
        path.append(at.step_id)
        at = by_id.get(at.parent_id) if at.parent_id else None
    return tuple(reversed(path))


def _descend(trace: Trace, step: Step) -> tuple[str, ...]:
    leaf = source_of(trace, step)
    return _ancestry(trace, leaf or step)


def _rails(ordered: Sequence[tuple[Step, int]], families: dict[str, list[Step]], red: set[str]) -> dict[str, str]:
    """The lines left of each name, a letter per level.

    Space is nothing, ``|`` a line passing, ``t`` a branch, ``l`` the last branch. In red: ``R`` passing, ``T`` a branch
    that ends the red, ``L`` the last one. ``Y`` is a grey branch off a red line.
    """
    rails: dict[str, str] = {}
    below: dict[str, str] = {}
    red_parents = {step.parent_id for step, _ in ordered if step.step_id in red}
    passed: set[str] = set()
    for step, depth in ordered:
        if depth == 0:
            rails[step.step_id] = below[step.step_id] = ""
            continue
        assert step.parent_id is not None
        siblings = families[step.parent_id]
        last = step is siblings[-1]
        before_red = step.parent_id in red_parents - passed and step.step_id not in red
        if step.step_id in red:
            passed.add(step.parent_id)
        branch = "Y" if before_red else ("L" if last else "T") if step.step_id in red else ("l" if last else "t")
        rails[step.step_id] = below[step.parent_id] + branch
        below[step.step_id] = below[step.parent_id] + ("R" if before_red else " " if last else "|")
    return rails
