"""Several traces beside each other: a replay.Several in the words of its page. Pure."""

from __future__ import annotations

from typing import Any, Callable

from replay.diff import Diff
from replay.diff import DiffRow as Pair
from replay.several import Row, Several
from tracer import format as fmt
from tracer.model import PayloadRef, Step, Trace
from web.view.compare import result_of, side_of, word_of
from web.view.contexts_of_lists import BesideCell, BesideRow, BesideSide

ROW_LIMIT = 300
Load = Callable[[PayloadRef], Any]


def beside_of(found: Several, *, load: Load) -> tuple[str, tuple[BesideSide, ...], tuple[BesideRow, ...], int]:
    """The sentence, a head for each trace, the rows, and how many more there are."""
    base, *others = found.traces
    sides = [_side(base, "", "")]
    sides += [
        _side(other, _verdict(diff), f"/diff/{base.trace_id}/{other.trace_id}")
        for other, diff in zip(others, found.diffs, strict=True)
    ]
    rows = tuple(_row(row, found, load) for row in found.rows[:ROW_LIMIT])
    return _sentence(found), tuple(sides), rows, max(0, len(found.rows) - ROW_LIMIT)


def _sentence(found: Several) -> str:
    if found.first is None:
        return f"All {len(found.traces)} traces are the same, step for step."
    place = found.first.step.path.partition("/")[2] or found.first.step.path
    same = sum(diff.same for diff in found.diffs)
    others = "none of the others is" if not same else f"{same} of the others {'is' if same == 1 else 'are'}"
    return f"First difference: {place}. The first trace is what the others are held against; {others} the same."


def _verdict(diff: Diff) -> str:
    if diff.same:
        return "the same"
    return f"{fmt.plural(sum(row.word != 'same' for row in diff.rows), 'step')} of {len(diff.rows)} differ"


def _side(trace: Trace, verdict: str, diff_href: str) -> BesideSide:
    told, summary = side_of("", trace), trace.summary
    return BesideSide(
        name=told.name,
        href=told.href,
        status=summary.status,
        plan=told.plan,
        time=fmt.shown_duration(summary.duration_ns, summary.status),
        cost=fmt.trace_cost(summary),
        tokens=fmt.tokens(summary.input_tokens, summary.output_tokens),
        verdict=verdict,
        diff_href=diff_href,
    )


def _row(row: Row, found: Several, load: Load) -> BesideRow:
    step = row.step
    base = None if row.base is None else _cell(row.base, "", "", load)
    others = (None if cell is None else _compared(cell, load) for cell in row.cells)
    return BesideRow(step.name, fmt.attempt(step.occurrence), step.kind, row.depth, row is found.first, (base, *others))


def _compared(pair: Pair, load: Load) -> BesideCell | None:
    step = pair.after or pair.before
    assert step is not None
    word, tone = word_of(pair, is_replay=False)
    return _cell(step, word, tone, load) if pair.after is not None else BesideCell(word, tone, "", "", "", failed=False)


def _cell(step: Step, word: str, tone: str, load: Load) -> BesideCell:
    text = result_of(step, load)
    href = f"/t/{step.trace_id}?step={step.step_id}"
    return BesideCell(word, tone, text, text if len(text) > 30 else "", href, step.failure is not None)
