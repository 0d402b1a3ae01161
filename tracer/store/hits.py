"""Where a search struck: which step of a trace says the words, in its input, its output, its error or its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Collection, Iterator, Literal, Sequence

from sqlalchemy import Connection, and_, func, or_, select

from tracer.store.tables import step_texts, steps
from tracer.store.texts import plain

Part = Literal["input", "output", "error", "name"]
#: An error says more than the output before it; a step's name least of all.
_ORDER: tuple[Part, ...] = ("name", "input", "output", "error")


@dataclass(frozen=True, slots=True)
class Hit:
    """A step that says one of the words. ``text`` is what was searched, in small letters: the beginning of the
    input's, output's or error's human text, or the name."""

    step_id: str
    name: str
    part: Part
    text: str


def hits(connection: Connection, trace_ids: Collection[str], words: Sequence[str]) -> dict[str, Hit]:
    """The best hit of each of these traces, by trace id: the one with most of the words; of several
    errors or outputs the last, of several inputs the first, since later ones repeat it among instructions."""
    low = [plain(word).casefold() for word in words]
    found: dict[str, tuple[tuple[int, int, int], Hit]] = {}
    for trace_id, started_ns, hit in (*_said(connection, trace_ids, low), *_named(connection, trace_ids, low)):
        when = -started_ns if hit.part == "input" else started_ns
        rank = (sum(word in hit.text for word in low), _ORDER.index(hit.part), when)
        if trace_id not in found or rank > found[trace_id][0]:
            found[trace_id] = rank, hit
    return {trace_id: hit for trace_id, (_, hit) in found.items()}


def _said(connection: Connection, trace_ids: Collection[str], low: Sequence[str]) -> Iterator[tuple[str, int, Hit]]:
    texts = step_texts.c
    same = and_(steps.c.trace_id == texts.trace_id, steps.c.step_id == texts.step_id)
    query = select(*step_texts.columns, steps.c.name, steps.c.started_ns).join_from(step_texts, steps, same)
    says = or_(*(texts.text.contains(word, autoescape=True) for word in low))
    for row in connection.execute(query.where(texts.trace_id.in_(trace_ids), says)):
        yield row.trace_id, row.started_ns, Hit(row.step_id, row.name, row.part, row.text)


def _named(connection: Connection, trace_ids: Collection[str], low: Sequence[str]) -> Iterator[tuple[str, int, Hit]]:
    names = or_(*(func.lower(steps.c.name).contains(word, autoescape=True) for word in low))
    query = select(steps.c.trace_id, steps.c.step_id, steps.c.name, steps.c.started_ns)
    for row in connection.execute(query.where(steps.c.trace_id.in_(trace_ids), names)):
        yield row.trace_id, row.started_ns, Hit(row.step_id, row.name, "name", row.name.casefold())
