"""The cards of the inbox: each a question to a human, with what one needs to answer it. Pure."""

from __future__ import annotations

import json
from typing import Iterator
from urllib.parse import quote

from replay.answering.question import Question
from tracer import format as fmt
from tracer.format import Shown
from tracer.model import Escalation
from web.view.contexts import AskedRow, Choice, Link
from web.view.payload import block
from web.view.text import one_line


def asked_row(  # noqa: PLR0913 - a question, and the form as it was sent
    one: Escalation, question: Question, *, now_ns: int, csrf: str, filled: str = "", problem: str = ""
) -> AskedRow:
    """``filled`` is the answer as it was sent, where it was refused for ``problem``."""
    trace = quote(one.trace_id)
    return AskedRow(
        trace_id=one.trace_id,
        step_id=one.step_id,
        question=question.text,
        workflow=one.workflow,
        trace_href=f"/t/{trace}?step={quote(one.step_id)}",
        facts=tuple(_facts(one, question, now_ns)),
        assignee=one.assignee or "",
        options=tuple(Choice(option, option, option == filled) for option in question.options),
        schema="" if question.schema is None else json.dumps(question.schema, indent=1, ensure_ascii=False),
        text=filled,
        context=block(question.context) if question.context else None,
        refused=question.refused,
        unreadable=question.unreadable,
        closed=one.state != "open",
        gone_on=None if one.resumed_as is None else Link(fmt.short_id(one.resumed_as), f"/t/{quote(one.resumed_as)}"),
        csrf=csrf,
        action=f"/escalations/{trace}/{quote(one.step_id)}",
        problem=problem,
    )


def _facts(one: Escalation, question: Question, now_ns: int) -> Iterator[Shown]:
    asked = fmt.relative_time(one.asked_ns, now_ns=now_ns)
    yield Shown(f"asked {asked.text}", asked.title)
    if one.state == "open" and one.due_ns is not None:
        yield _due(one.due_ns, question, now_ns)
    if one.assignee:
        yield Shown(f"for {one_line(one.assignee, 40)}")
    if one.state in {"answered", "defaulted"}:
        word = "answered" if one.state == "answered" else "took the default"
        yield Shown(f"{word} {one_line(_words(one.answer), 80)} by {one_line(one.closed_by or '', 40)}", "", "strong")
    elif one.state != "open":
        yield Shown(f"{one.state} by {one_line(one.closed_by or '', 40)}", "", "strong")


def _due(due_ns: int, question: Question, now_ns: int) -> Shown:
    then = f"then: {_words(question.default)}" if question.has_default else "then it expires"
    left_ns = due_ns - now_ns
    if left_ns > 0:
        return Shown(f"due in {fmt.duration(left_ns)}", f"{fmt.exact_time(due_ns)}, {then}")
    return Shown(f"overdue by {fmt.duration(-left_ns)}", f"{then}, when `playhead escalations due` runs", "warn")


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
