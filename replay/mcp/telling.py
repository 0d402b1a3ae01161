"""Traces, steps and differences in words, for one who reads text only. Pure."""

from __future__ import annotations

from typing import Any, Callable, Iterator

from replay.diff import Diff, DiffRow, in_order
from replay.divergence import one_line, parting
from replay.lens import readable
from replay.mcp.bounded import as_json, line
from tracer import format as form
from tracer.errors import CodecError, StoreError, StoreUnreachable
from tracer.model import Failure, PayloadRef, Step, Trace, TraceSummary

ValueOf = Callable[[PayloadRef], Any]
#: Changes of one step that a diff lists.
_MOST_CHANGES = 5
#: Frames of a traceback, from its end.
_MOST_FRAMES = 12
_SIGNS = {"changed": "≠", "added": "+", "removed": "-"}


def summary(row: TraceSummary, *, now_ns: int) -> str:
    """A trace in one or two lines, as a list shows it."""
    facts = [
        form.short_id(row.trace_id),
        row.status,
        line(row.workflow, 80),
        form.relative_time(row.started_ns, now_ns=now_ns).text,
        *_amounts(row),
    ]
    if row.replay_of:
        facts.append(f"a replay of {form.short_id(row.replay_of)}")
    if row.resume_of:
        facts.append(f"goes on from {form.short_id(row.resume_of)}")
    told = "  ".join(filter(None, facts))
    if row.error_type is not None:
        error = f"{form.type_name(row.error_type)}: {row.error_message or ''}"
        told += f"\n    failed in {line(row.failed_step or '?', 80)}: {line(error)}"
    return told + (f"\n    input: {line(row.preview)}" if row.preview else "")


def _amounts(row: TraceSummary) -> Iterator[str]:
    yield form.shown_duration(row.duration_ns, row.status).text
    yield form.plural(row.steps, "step")
    if row.model_calls:
        yield f"{form.plural(row.model_calls, 'model call')} ({line(', '.join(row.models), 80)})"
        yield f"{row.input_tokens} tokens in, {row.output_tokens} out"
        yield form.trace_cost(row).text


def head(trace: Trace, *, now_ns: int) -> Iterator[str]:
    """What is to be known of a trace before its steps."""
    row = trace.summary
    yield f"trace {row.trace_id}"
    yield summary(row, now_ns=now_ns)
    if row.tags:
        yield f"tags: {line(as_json(row.tags), 400)}"
    rules = " ".join(map(str, (trace.plan or {}).get("rules", ())))
    if rules:
        yield f"plan: {line(rules, 400)}"
    if trace.entry is not None:
        yield f"code: {line(f'{trace.entry.module}:{trace.entry.qualname}')}"
    failed = next((step for step in trace.steps if step.step_id == row.failed_step_id), None)
    if failed is not None:
        yield f"failed step: #{failed.seq} {line(failed.path)}"


def tree(trace: Trace) -> list[str]:
    """The steps as a tree, a line for each: its number, name, kind, what became of it."""
    return [f"{'  ' * min(depth, 20)}#{step.seq} {_in_words(step)}" for step, depth in in_order(trace)]


def _in_words(step: Step) -> str:
    facts = [line(step.path.rsplit("/", 1)[-1], 80), f"({step.kind}{', effect' if step.effect else ''})"]
    if step.status != "completed":
        facts.append(step.status)
    if step.call is not None:
        facts += [line(step.call.model or step.call.model_asked or "", 80), form.call_cost(step).text]
        facts.append(form.tokens(step.call.usage.input_tokens, step.call.usage.output_tokens).text)
    if step.origin != "live":
        facts.append(form.ORIGIN_WORDS[step.origin])
    facts.append(form.shown_duration(step.duration_ns, step.status).text)
    if step.failure is not None:
        facts.append(f"· {line(f'{form.type_name(step.failure.type)}: {step.failure.message}')}")
    return " ".join(filter(None, facts))


def facts(step: Step) -> str:
    """One step in a few lines, without its values."""
    told = [f"#{step.seq} {line(step.path, 400)}", _in_words(step)]
    if step.call is not None:
        call = step.call
        said = {
            "provider": call.provider,
            "asked": call.model_asked,
            "finish reason": call.finish_reason,
            "HTTP status": call.status_code,
            "refusal": form.refusal(call),
        }
        told.append(", ".join(f"{name} {line(str(value), 80)}" for name, value in said.items() if value))
    if step.tags:
        told.append(f"tags: {line(as_json(step.tags), 400)}")
    told += [f"{note.kind} {line(note.name, 80)}: {line(as_json(note.value))}" for note in step.notes[:20]]
    return "\n".join(filter(None, told))


def side(step: Step, name: str, value_of: ValueOf) -> str:
    """A step's input or output as JSON, a model call's bytes as what they say."""
    ref = step.input if name == "input" else step.output
    if ref is None:
        return "(none is recorded)"
    try:
        request = None if step.input is None or name == "input" else value_of(step.input)
        return as_json(readable(step, request, value_of(ref)))
    except StoreUnreachable:
        raise
    except (StoreError, CodecError) as error:  # pruned or damaged: the rest of the step is still worth reading
        return f"(not readable: {line(str(error))})"


def failure(found: Failure | None) -> str:
    """An error as a traceback tells it, the end of it."""
    if found is None:
        return "(it did not fail)"
    told = [f"{line(f'{found.module}.{found.type}'.strip('.'))}: {line(found.message, 2_000)}"]
    told += [line(note, 400) for note in found.notes[:5]]
    for frame in found.frames[-_MOST_FRAMES:]:
        mark = "  (your code)" if frame.own else ""
        told.append(line(f"{frame.file}:{frame.line} in {frame.function}", 400) + mark)
    if len(found.frames) > _MOST_FRAMES:
        told.append(f"({len(found.frames) - _MOST_FRAMES} frames before these are left out)")
    for member in found.group[:5]:
        told.append(f"one of its group of {len(found.group)}: {line(f'{member.type}: {member.message}', 400)}")
    if found.cause is not None:
        told.append(f"caused by {failure(found.cause)}")
    return "\n".join(told)


def difference(found: Diff) -> list[str]:
    """Where two traces part, and each step that differs."""
    before, after = (form.short_id(trace.trace_id) for trace in (found.before, found.after))
    if found.first is None:
        return [f"The two traces are the same: {before}, {after}."]
    differing = [row for row in found.rows if row.word != "same"]
    deltas = f"cost {form.dollars(found.cost_delta_nusd)}, tokens {found.token_delta:+,} (after less before)"
    told = [
        f"{before} (before) and {after} (after) part at {line(found.first.step.path, 400)}.",
        f"{len(differing)} of {len(found.rows)} steps differ; {deltas}.",
    ]
    for row in differing:
        told += _row(row)
    return told


def _row(row: DiffRow) -> Iterator[str]:
    sides = [f"#{step.seq}" for step in (row.before, row.after) if step is not None]
    origin = "" if row.after is None or row.after.origin == "live" else f" {form.ORIGIN_WORDS[row.after.origin]}"
    yield f"{_SIGNS[row.word]} {line(row.step.path, 400)} ({' and '.join(sides)}){origin}"
    named = [*(("input ", each) for each in row.inputs), *(("output ", each) for each in row.outputs)]
    named += [("", each) for each in row.facts]
    for of, change in named[:_MOST_CHANGES]:
        one, other = parting(one_line(repr(change.before)), one_line(repr(change.after)))
        yield f"    {of}{line(change.path)}: {line(one)} -> {line(other)}"
    if len(named) > _MOST_CHANGES:
        yield f"    and {len(named) - _MOST_CHANGES} more places: read both with read_step"
