"""Two traces beside each other, first difference first: a replay.Diff in the words of the diff page. Pure."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Mapping

from replay.compare import Change, Missing
from replay.diff import Diff
from replay.diff import DiffRow as Pair
from replay.words import Span, spans
from tracer import format as fmt
from tracer.codec import Opaque
from tracer.format import Shown
from tracer.model import Kind, PayloadRef, Status, Step, Trace
from web.view.exchange import answer_text
from web.view.payload import Limits, block
from web.view.text import one_line

ROW_LIMIT = 300
MINUS = chr(0x2212)
_FIELDS_SHOWN = 8
_FIELD_LIMITS = Limits(lines=30, characters=1_500, depth=6, string=1_200, clamp=30)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value that differs: where, and what each side holds (empty where that side lacks it)."""

    path: str
    before: tuple[Span, ...]
    after: tuple[Span, ...]
    before_type: str = ""
    after_type: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One side of a row: the step's result in a line, with its time and cost."""

    href: str
    status: Status
    text: str
    failed: bool
    model: str
    time: Shown
    cost: Shown


@dataclass(frozen=True, slots=True)
class DiffRow:
    """An aligned pair of steps. ``word`` is FREE, SAME, RE-RUN, CHANGED, NEW or GONE; ``first``: here the two part."""

    name: str
    badge: str
    kind: Kind
    depth: int
    word: str
    tone: str
    before: Cell | None
    after: Cell | None
    changes: tuple[FieldChange, ...] = ()
    more_changes: int = 0
    #: "3 differences", for the fold that holds them.
    summary: str = ""
    first: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    label: str
    href: str
    name: str
    status: Status
    plan: str


@dataclass(frozen=True, slots=True)
class Delta:
    """A total of both sides, and the difference in words."""

    label: str
    before: Shown
    after: Shown
    change: str


@dataclass(frozen=True, slots=True)
class DiffView:
    before: Side
    after: Side
    same: bool
    sentence: str
    detail: str
    first_href: str
    #: Word, its tone, number of steps.
    tally: tuple[tuple[str, str, int], ...]
    deltas: tuple[Delta, ...]
    rows: tuple[DiffRow, ...]
    #: The row where the two part.
    first: DiffRow | None = None
    omitted: int = 0


def diff_view(diff: Diff, *, load: Callable[[PayloadRef], Any]) -> DiffView:
    """The page's words for a Diff. ``load`` decodes a payload, for the results shown in a line."""
    is_replay = diff.after.summary.replay_of == diff.before.trace_id
    rows = tuple(_row(diff, pair, is_replay=is_replay, load=load) for pair in diff.rows[:ROW_LIMIT])
    tally = Counter((row.word, row.tone) for row in rows)
    return DiffView(
        before=side_of("recorded" if is_replay else "left", diff.before),
        after=side_of("replay" if is_replay else "right", diff.after),
        same=diff.same,
        sentence=_sentence(diff, is_replay=is_replay),
        detail=_detail(diff),
        first_href="#first" if diff.first is not None else "",
        tally=tuple((word, tone, number) for (word, tone), number in tally.items()),
        deltas=tuple(_deltas(diff)),
        rows=rows,
        first=next((row for row in rows if row.first), None),
        omitted=max(0, len(diff.rows) - ROW_LIMIT),
    )


def opened(value: Any) -> Any:
    """A value with classes that are not imported here replaced by their parts: those are what can be compared."""
    if isinstance(value, Opaque):
        return opened(value.value)
    if type(value) is dict:
        return {key: opened(item) for key, item in value.items()}
    return type(value)(map(opened, value)) if type(value) in (list, tuple) else value


def side_of(label: str, trace: Trace) -> Side:
    plan = (trace.plan or {}).get("rules") or ()
    words = " ".join(str(rule) for rule in plan) if isinstance(plan, (list, tuple)) else str(plan)
    name = f"{trace.summary.workflow} {fmt.short_id(trace.trace_id)}"
    return Side(label, f"/t/{trace.trace_id}", name, trace.summary.status, words)


def _sentence(diff: Diff, *, is_replay: bool) -> str:
    if diff.first is None:
        return "The replay gave the same as the record." if is_replay else "The two traces are the same, step for step."
    place = diff.first.step.path.partition("/")[2] or diff.first.step.path
    before, after = diff.before.summary.status, diff.after.summary.status
    sides = ("record", "replay") if is_replay else ("left one", "right one")
    ends = f" The {sides[0]} {_ended(before)}, the {sides[1]} {_ended(after)}."
    if diff.first.word == "added":
        return f"First difference: {place} is new.{ends}"
    if diff.first.word == "removed":
        return f"First difference: {place} is not reached any more.{ends}"
    return f"First difference: {place}, {_what(diff.first)}.{ends}"


def _ended(status: Status) -> str:
    return _ENDED.get(status, status)


#: How a trace ended, as a verb.
_ENDED: Mapping[Status, str] = {
    "running": "is still running",
    "interrupted": "was interrupted",
    "stopped": "was stopped",
    "waiting": "waits for a human",
}


def _what(pair: Pair) -> str:
    """What differs in a pair of steps, in a few words with the values where they are short."""
    changes = _changes(pair)
    if not changes:
        return "changed"
    first = changes[0]
    if first.path == "error":
        return "which raised before and does not now" if first.after is None else "which raises now"
    before, after = (_in_line(value, 40) for value in (first.before, first.after))
    more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
    return f"{first.path} {before} → {after}{more}"


def _detail(diff: Diff) -> str:
    changed = sum(1 for row in diff.rows if row.word != "same")
    return f"{fmt.plural(changed, 'step')} of {len(diff.rows)} differ." if changed else ""


def _deltas(diff: Diff) -> Iterator[Delta]:
    one, other = diff.before.summary, diff.after.summary
    ns = diff.duration_delta_ns
    yield Delta(
        "time",
        fmt.shown_duration(one.duration_ns, one.status),
        fmt.shown_duration(other.duration_ns, other.status),
        _signed(ns, fmt.duration, one.duration_ns),
    )
    known = not (one.unpriced or other.unpriced)
    yield Delta(
        "cost",
        fmt.trace_cost(one),
        fmt.trace_cost(other),
        _signed(diff.cost_delta_nusd, fmt.dollars, one.cost_nusd) if known else "not known",
    )
    yield Delta(
        "tokens",
        fmt.tokens(one.input_tokens, one.output_tokens),
        fmt.tokens(other.input_tokens, other.output_tokens),
        _signed(diff.token_delta, fmt.count, one.input_tokens + one.output_tokens),
    )
    yield Delta("model calls", Shown(str(one.model_calls)), Shown(str(other.model_calls)), "")


def _signed(delta: int | None, write: Callable[[int], str], base: int | None) -> str:
    if delta is None or not base:
        return "" if not delta else ("+" if delta > 0 else MINUS) + write(abs(delta))
    if delta == 0:
        return "the same"
    sign = "+" if delta > 0 else MINUS
    return f"{sign}{write(abs(delta))} ({sign}{abs(delta) * 100 / base:.0f} %)"


def _row(diff: Diff, pair: Pair, *, is_replay: bool, load: Callable[[PayloadRef], Any]) -> DiffRow:
    word, tone = word_of(pair, is_replay=is_replay)
    changes = _changes(pair)
    step = pair.step
    return DiffRow(
        name=step.name,
        badge=fmt.attempt(step.occurrence),
        kind=step.kind,
        depth=pair.depth,
        word=word,
        tone=tone,
        before=_cell(pair.before, load),
        after=_cell(pair.after, load),
        changes=tuple(field_change(change) for change in changes[:_FIELDS_SHOWN]),
        more_changes=max(0, len(changes) - _FIELDS_SHOWN),
        summary=fmt.plural(len(changes), "difference") if changes else "",
        first=pair is diff.first,
    )


def _changes(pair: Pair) -> list[Change]:
    """What differs, the result before its reasons; an error says more than the outcome it leads to."""
    outputs = [_at("output", one) for one in pair.outputs]
    raised = any(one.path == "error" for one in outputs)
    facts = [one for one in pair.facts if not (raised and one.path == "outcome")]
    model = any(one.path == "model" for one in facts)
    inputs = [one for one in pair.inputs if not (model and one.path == "$.body.model")]
    return [*facts, *outputs, *(_at("input", one) for one in inputs)]


def _at(side: str, change: Change) -> Change:
    if change.path == "error":
        return change
    return dataclasses.replace(change, path=f"{side} {change.path.removeprefix('$.').removeprefix('$')}".strip())


def word_of(pair: Pair, *, is_replay: bool) -> tuple[str, str]:
    """FREE: served from the record. RE-RUN: ran again, with the same result. CHANGED, NEW and GONE say themselves."""
    if pair.after is None:
        return "GONE", "gone"
    if pair.before is None:
        return "NEW", "new"
    if pair.word == "changed":
        return "CHANGED", "changed"
    if not is_replay:
        return "SAME", "same"
    return ("FREE", "free") if pair.after.origin == "recorded" else ("RE-RUN", "rerun")


def _cell(step: Step | None, load: Callable[[PayloadRef], Any]) -> Cell | None:
    if step is None:
        return None
    return Cell(
        href=f"/t/{step.trace_id}?step={step.step_id}",
        status=step.status,
        text=result_of(step, load),
        failed=step.failure is not None,
        model=(step.call.model or step.call.model_asked or "") if step.call else "",
        time=fmt.shown_duration(step.duration_ns, step.status),
        cost=fmt.call_cost(step),
    )


def result_of(step: Step, load: Callable[[PayloadRef], Any]) -> str:
    if step.failure is not None:
        return one_line(f"{fmt.type_name(step.failure.type)}: {step.failure.message}", 160)
    if step.output is None or step.output.size > 100_000:
        return ""
    value = load(step.output)
    request = load(step.input) if step.call is not None and step.input is not None else None
    said = answer_text(request, value)
    return _in_line(value if said is None else said, 160)


def _in_line(value: Any, limit: int) -> str:
    """A value in a few words: the text of its lines, one after another."""
    if isinstance(value, Missing):
        return "nothing"
    if isinstance(value, str):
        return one_line(value, limit)
    lines = block(value, limits=_FIELD_LIMITS).head
    parts = (f"{line.key}: {line.text}" if line.key and line.text else line.key or line.text for line in lines)
    return one_line(", ".join(part for part in parts if part), limit)


def field_change(change: Change) -> FieldChange:
    """A change as a reader sees it: both sides as bounded text, word by word."""
    sides = [_text(change.before), _text(change.after)]
    before, after = spans(*sides)
    names = [_type_of(value) for value in (change.before, change.after)]
    same = names[0] == names[1]
    return FieldChange(change.path, before, after, "" if same else names[0], "" if same else names[1])


def _type_of(value: Any) -> str:
    """The type's name, where the text alone would not tell it."""
    return "" if isinstance(value, (str, bool, Missing, type(None))) else type(value).__name__


def _text(value: Any) -> str:
    """A value as text of several lines, bounded."""
    if isinstance(value, Missing):
        return ""
    if isinstance(value, str):
        return value[: _FIELD_LIMITS.string]
    lines = []
    for line in block(value, limits=_FIELD_LIMITS).head:
        label = f"{line.key}: " if line.key else ""
        lines.append("  " * line.depth + label + (line.text or line.type))
    return "\n".join(lines)
