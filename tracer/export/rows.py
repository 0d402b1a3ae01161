"""A step as one flat row, for a spreadsheet, a notebook or a query. Pure.

Money is whole nano-dollars, times are epoch nanoseconds, values are JSON text: exact in every tool, whatever it makes
of fractions and dates. Empty means: not known, or played no part.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Literal, Mapping, NamedTuple

from tracer.model import PayloadRef, Step, Trace
from tracer.plain import plain

Row = dict[str, Any]
ValueOf = Callable[[PayloadRef], Any]


class Field(NamedTuple):
    """A column. ``type`` is of its values, where there are any."""

    name: str
    type: Literal["text", "integer", "number", "boolean"]
    about: str


#: In this order, and none is ever taken out: a reader may count on them.
FIELDS = (
    Field("trace_id", "text", "32 hex digits"),
    Field("workflow", "text", "the name of the trace's workflow"),
    Field("version", "text", "its version, where it has one"),
    Field("trace_status", "text", "completed, failed, cancelled, stopped, waiting, running or interrupted"),
    Field("replay_of", "text", "of a replay: the trace that was replayed"),
    Field("resume_of", "text", "of a run that went on: the one that it went on with"),
    Field("step_id", "text", "16 hex digits"),
    Field("parent_id", "text", "empty for the root"),
    Field("path", "text", "names from the root, as in support/draft[1]/chat"),
    Field("name", "text", "the last of them"),
    Field("kind", "text", "workflow, step, llm, tool, router, guardrail, ..."),
    Field("origin", "text", "live, or as what a replay or a resumed run showed it"),
    Field("status", "text", "as of a trace"),
    Field("started_ns", "integer", "nanoseconds since 1970, UTC"),
    Field("duration_ns", "integer", "empty while it runs"),
    Field("model", "text", "who answered, else who was asked"),
    Field("provider", "text", ""),
    Field("status_code", "integer", "of HTTP"),
    Field("input_tokens", "integer", "all of them, cached ones included"),
    Field("output_tokens", "integer", "all of them, reasoning included"),
    Field("cache_read_tokens", "integer", "of the input's"),
    Field("cost_nusd", "integer", "nano-dollars: a thousand million of them are a dollar"),
    Field("unpriced_because", "text", "why there is no cost"),
    Field("first_token_ns", "integer", "until the first token of a stream"),
    Field("error_type", "text", "the exception's class"),
    Field("error_message", "text", ""),
    Field("tags", "text", "JSON"),
    Field("scores", "text", "JSON: name -> value"),
    Field("input", "text", "JSON"),
    Field("output", "text", "JSON"),
)


def rows_of(trace: Trace, value_of: ValueOf | None) -> list[Row]:
    """A row for each step, in the order they began. Without ``value_of`` inputs and outputs stay empty."""
    return [_row(trace, step, value_of) for step in trace.steps]


def _row(trace: Trace, step: Step, value_of: ValueOf | None) -> Row:
    row: Row = dict.fromkeys((each.name for each in FIELDS), None)
    about = trace.summary
    row |= {name: getattr(about, name) for name in ("workflow", "version", "replay_of", "resume_of")}
    row |= {name: getattr(step, name) for name in _OF_STEP}
    row |= {"trace_status": about.status, "tags": _json(step.tags), "scores": _json(_scores(step))}
    call, failure = step.call, step.failure
    if call is not None:
        usage = call.usage
        row |= {
            "model": call.model or call.model_asked,
            "provider": call.provider,
            "status_code": call.status_code,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_read_tokens": usage.cache_read_tokens,
            "cost_nusd": None if call.cost is None else call.cost.nusd,
            "unpriced_because": call.unpriced_because,
            "first_token_ns": call.first_token_ns,
        }
    if failure is not None:
        row |= {"error_type": failure.type, "error_message": failure.message}
    if value_of is not None:
        row |= {side: _json(value_of(ref)) for side in ("input", "output") if (ref := getattr(step, side)) is not None}
    return row


_OF_STEP = ("trace_id", "step_id", "parent_id", "path", "name", "kind", "origin", "status", "started_ns", "duration_ns")


def _scores(step: Step) -> dict[str, Any]:
    """The last judgement under each name."""
    return {note.name: note.value for note in sorted(step.notes, key=lambda one: one.at_ns) if note.kind == "score"}


def _json(value: Any) -> str | None:
    if isinstance(value, Mapping) and not value:
        return None
    return json.dumps(plain(value), ensure_ascii=False)
