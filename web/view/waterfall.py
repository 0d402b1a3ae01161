"""A trace's steps as rows of a tree with bars to scale, and the way from the root to what failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Mapping, Sequence

from tracer import format as fmt
from tracer.attempts import attempts_in, first_of, in_words
from tracer.format import NOTHING, Shown
from tracer.model import Kind, Status, Step, Trace
from web.view.blame import ancestry, red_path
from web.view.deciding import taken
from web.view.folding import LONG, Line, lines_of
from web.view.laid import Laid
from web.view.looking import MOST_OPEN
from web.view.minimap import Minimap, minimap
from web.view.rails import rails
from web.view.rollup import Totals

#: Rows of one page; a longer trace shows the rows around the chosen step and says so.
ROW_LIMIT = 300
#: The thinnest bar in percent, so that a short step is still seen.
_HAIR = 0.7
#: Stretches of the critical path that one row shows, and the shortest of them, in percent.
_PIECES, _LEAST = 8, 0.1


@dataclass(frozen=True, slots=True)
class Bar:
    """A step in time, in percent of the trace. ``wait`` is the part before the first token; ``open``: no known end."""

    x: float
    width: float
    wait: float = 0.0
    open: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tree: a step, or several of one name in a row. ``rails`` has one letter per level."""

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
    #: Of the model calls inside it.
    tokens: Shown = NOTHING
    models: Shown = NOTHING
    #: Where the run waited for this step itself: (x, width) in percent.
    critical: tuple[tuple[float, float], ...] = ()
    #: What a fold holds, or a closed step hides: "p50 31 ms", "12 inside".
    remark: str = ""
    #: "3 failed", of a fold.
    failures: str = ""
    is_run: bool = False
    is_open: bool = False
    #: For the address: the keys that are open once this row is opened, or closed. None where there is nothing to open.
    toggle: str | None = None


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
    minimap: Minimap | None = None
    #: Where one is: the moment at which the chosen step began, in percent.
    playhead: float | None = None


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What every row of one trace is drawn by."""

    laid: Laid
    path: tuple[str, ...]
    attempts: Mapping[str, Sequence[Step]]
    opened: tuple[str, ...]


def waterfall(
    laid: Laid,
    *,
    around: str = "",
    limit: int = ROW_LIMIT,
    whole: Trace | None = None,
    opened: Sequence[str] = (),
) -> Waterfall:
    """A trace as rows in tree order, at most ``limit`` of them around the step ``around``.

    ``whole`` is a completed trace of the same workflow, to tell what this one did not come to. ``opened`` are the keys
    of what a long trace folds away and a reader has opened, see ``folding``.
    """
    trace, ordered, start, end = laid.trace, laid.ordered, laid.start, laid.end
    path = red_path(trace)
    chosen = trace.step(around)
    kept = {*path, *(ancestry(trace, chosen) if chosen else ())}
    roots = [step for step, depth in ordered if depth == 0]
    lines = lines_of(roots, laid.families, kept=kept, opened=opened, is_long=len(ordered) > LONG)
    first, last = _window(lines, around, limit)
    drawing = _Drawing(laid, path, attempts_in(trace.steps), tuple(opened))
    railed = rails(lines, path)
    rows = tuple(_row(drawing, lines[at], railed[at]) for at in range(first, last))
    places = {step.step_id: place for place, (step, _) in enumerate(ordered)}
    shown = (places[rows[0].step_id], places[lines[last - 1].step.step_id]) if rows else (0, 0)
    return Waterfall(
        rows,
        ticks(end - start),
        before=first,
        after=len(lines) - last,
        unreached=unreached(trace, whole) if whole is not None else (),
        minimap=minimap(ordered, laid.families, start=start, end=end, shown=shown),
        playhead=round(100 * (chosen.started_ns - start) / (end - start), 2) if chosen else None,
    )


def _window(lines: Sequence[Line], around: str, limit: int) -> tuple[int, int]:
    chosen = next((at for at, line in enumerate(lines) if line.step.step_id == around and not line.run), 0)
    first = max(0, min(chosen - limit // 2, len(lines) - limit))
    return first, min(len(lines), first + limit)


def _row(drawing: _Drawing, line: Line, railed: str) -> Row:
    if line.run:
        return _run_row(drawing, line, railed)
    step = line.step
    totals = drawing.laid.totals[step.step_id]
    return Row(
        step_id=step.step_id,
        name=step.name,
        badge=_badge(step, drawing.attempts),
        kind=step.kind,
        status=step.status,
        depth=line.depth,
        rails=railed,
        on_red_path=step.step_id in drawing.path,
        failing_leaf=step.step_id in drawing.path[-1:],
        model=(step.call.model or step.call.model_asked or "") if step.call else taken(step),
        origin=origin_word(drawing.laid.trace, step),
        effect=step.effect,
        bar=_bar(step, drawing.laid.start, drawing.laid.end),
        time=fmt.shown_duration(step.duration_ns, step.status),
        cost=totals.cost,
        children=len(drawing.laid.families.get(step.step_id, ())),
        tokens=totals.tokens,
        models=totals.model,
        critical=tuple(_pieces(drawing, (step,))),
        remark=f"{totals.steps - 1:,} inside" if line.key and not line.is_open else "",
        is_open=line.is_open,
        toggle=_toggled(drawing.opened, line) if line.key else None,
    )


def _run_row(drawing: _Drawing, line: Line, railed: str) -> Row:
    """Several steps of one name: how long they took, how many failed, what they cost together."""
    run, totals = line.run, Totals()
    for step in reversed(run):
        totals.add(drawing.laid.totals[step.step_id])
    took = [step.duration_ns for step in run if step.duration_ns is not None]
    failed = sum(step.failure is not None for step in run)
    bars = [_bar(step, drawing.laid.start, drawing.laid.end) for step in run]
    left, right = min(bar.x for bar in bars), max(bar.x + bar.width for bar in bars)
    is_calls = run[0].call is not None
    return Row(
        step_id=run[0].step_id,
        name=f"{len(run)} \u00d7 {run[0].name}",
        badge="",
        kind=run[0].kind,
        status="failed" if failed == len(run) else "completed",
        depth=line.depth,
        rails=railed,
        on_red_path=False,
        failing_leaf=False,
        model=totals.model.text if is_calls else "",
        origin="",
        effect=run[0].effect,
        bar=Bar(left, round(right - left, 2)),
        time=Shown(fmt.duration(sum(took)), f"{sum(took):,} ns, all {len(run)} added up") if took else NOTHING,
        cost=totals.cost,
        children=len(run),
        tokens=totals.tokens,
        models=totals.model,
        critical=tuple(_pieces(drawing, run)),
        remark=f"p50 {fmt.duration(int(median(took)))}" if took else "",
        failures=f"{failed} failed" if failed else "",
        is_run=True,
        is_open=line.is_open,
        toggle=_toggled(drawing.opened, line),
    )


def _pieces(drawing: _Drawing, steps: Sequence[Step]) -> list[tuple[float, float]]:
    """The stretches that the run waited for these steps, in percent: near ones joined, of many the longest."""
    start, total = drawing.laid.start, drawing.laid.end - drawing.laid.start
    joined: list[tuple[float, float]] = []
    for one, other in sorted(stretch for step in steps for stretch in drawing.laid.critical.get(step.step_id, ())):
        x, until = 100 * (one - start) / total, 100 * (other - start) / total
        if joined and x - joined[-1][1] < _LEAST:
            joined[-1] = (joined[-1][0], until)
        else:
            joined.append((x, until))
    longest = sorted(joined, key=lambda piece: piece[0] - piece[1])[:_PIECES]
    return [(round(x, 2), round(until - x, 2)) for x, until in sorted(longest) if until - x >= _LEAST]


def _toggled(opened: Sequence[str], line: Line) -> str:
    others = [key for key in opened if key != line.key]
    return ",".join(others if line.is_open else [*others[-MOST_OPEN + 1 :], line.key])


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
