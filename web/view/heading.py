"""The strip above a trace: how it ended, when, how long, at what price, and what it is tied to. Pure."""

from __future__ import annotations

from typing import Iterator, Sequence
from urllib.parse import quote

from tracer import format as fmt
from tracer.format import Shown
from tracer.model import Escalation, Trace, TraceSummary
from web.view.contexts import Header, Link
from web.view.text import one_line

_REPLAYS_SHOWN = 50


def origin_of(summary: TraceSummary) -> Link | None:
    """The trace that this one replays or resumes, if it does."""
    origin = summary.replay_of or summary.resume_of
    if origin is None:
        return None
    return Link(
        f"{'replay of' if summary.replay_of else 'resumes'} {fmt.short_id(origin)}", f"/t/{quote(origin)}", origin
    )


def header_of(
    trace: Trace,
    replays: Sequence[TraceSummary],
    resumes: Sequence[TraceSummary] = (),
    asked: Sequence[Escalation] = (),
    *,
    now_ns: int,
) -> Header:
    """``asked`` are the questions to a human that a waiting trace has on the list."""
    summary = trace.summary
    origin = summary.replay_of or summary.resume_of
    return Header(
        trace_id=summary.trace_id,
        workflow=summary.workflow,
        version=summary.version or "",
        status=summary.status,
        started=fmt.relative_time(summary.started_ns, now_ns=now_ns),
        facts=tuple(_facts(trace)),
        tags=tuple((name, one_line(str(value), 60)) for name, value in summary.tags.items()),
        origin=origin_of(summary),
        replays=tuple(map(_link, replays[:_REPLAYS_SHOWN])),
        resumes=tuple(map(_link, resumes)),
        compare_href=f"/diff/{origin}/{summary.trace_id}" if origin else "",
        note=_note(trace, resumes, asked),
        note_link=_to_answer(trace, resumes, asked),
    )


def _link(other: TraceSummary) -> Link:
    told = f"{other.status}, {fmt.duration(other.duration_ns)}"
    return Link(fmt.short_id(other.trace_id), f"/t/{other.trace_id}", told)


def _facts(trace: Trace) -> Iterator[Shown]:
    summary = trace.summary
    yield fmt.shown_duration(summary.duration_ns, summary.status)
    yield Shown(fmt.plural(summary.steps, "step"), fmt.plural(summary.model_calls, "model call"))
    if summary.model_calls:
        tokens = fmt.tokens(summary.input_tokens, summary.output_tokens)
        if summary.input_tokens or summary.output_tokens:
            yield Shown(f"{tokens.text} tokens", tokens.title)
        cost = fmt.trace_cost(summary)
        yield Shown(cost.text, cost.title, cost.tone)
    if summary.models:
        yield Shown(one_line(", ".join(summary.models), 60), ", ".join(summary.models))
    if summary.escalations:
        yield Shown("escalated", fmt.plural(summary.escalations, "escalation"), "warn")


def _to_answer(trace: Trace, resumes: Sequence[TraceSummary], asked: Sequence[Escalation]) -> Link | None:
    if resumes or not any(one.state == "open" for one in asked):
        return None
    return Link("answer it", f"/escalations#{trace.trace_id}")


def _note(trace: Trace, resumes: Sequence[TraceSummary], asked: Sequence[Escalation]) -> str:
    """A sentence where the status word alone leaves a question open."""
    match trace.summary.status:
        case "running":
            return "Still running: this page shows what had happened when it was loaded."
        case "interrupted":
            return "Interrupted: its process ended before the workflow did. Everything up to that moment is here."
        case "stopped":
            why = next(
                (step.failure for step in reversed(trace.steps) if step.outcome == "stopped" and step.failure), None
            )
            return (
                f"Stopped: {one_line(why.message, 400)}"
                if why
                else "Stopped: the replay ended before the workflow did."
            )
        case "waiting" if trace.summary.replay_of:
            return "The replay ends where the workflow asks a human: replays ask nobody."
        case "waiting":
            if resumes:
                return "It asked a human, and went on with the answer."
            if asked and all(one.state == "withdrawn" for one in asked):
                return "It asked a human, and the question was withdrawn."
            return "Waiting for a human's answer."
        case "cancelled":
            return "Cancelled from outside before it ended."
    return ""
