"""A trace as a tree in the terminal: what ran, with which model, for how long, for how much, and what it said."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Callable, Iterable, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from tracer import format as form
from tracer import providers
from tracer.attempts import attempts_in, first_of
from tracer.attempts import in_words as attempts_in_words
from tracer.decisions import decision_in, in_words
from tracer.errors import CodecError, StoreError, StoreUnreachable
from tracer.messages import ChatAnswer
from tracer.model import PayloadRef, Status, Step, Trace, TraceSummary
from tracer.plain import plain
from tracer.terminal import inert
from tracer.wire import HttpRequest, HttpResponse

ValueOf = Callable[[PayloadRef], Any]
_DOTS: dict[Status, tuple[str, str]] = {
    "completed": ("●", "green"),
    "failed": ("✗", "bold red"),
    "cancelled": ("◌", "yellow"),
    "stopped": ("■", "yellow"),
    "waiting": ("?", "cyan"),
    "running": ("◐", "blue"),
    "interrupted": ("✂", "bold yellow"),
}
_MOST = 100


def one_line(text: str, most: int = _MOST) -> str:
    """Recorded text on one line, without what a terminal would obey, cut to ``most``."""
    line = inert(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def summary_table(
    rows: Iterable[TraceSummary], later: Mapping[str | None, TraceSummary] = MappingProxyType({}), *, now_ns: int
) -> Table:
    """The list of traces, newest first. ``later`` are the runs that went on with one of them, by its id."""
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for name, justify in [("", "left"), ("id", "left"), ("started", "right"), ("workflow", "left"), ("time", "right")]:
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]  # rich's literal, from a list
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    table.add_column("error / input", overflow="ellipsis", no_wrap=True, ratio=1)
    for row in rows:
        dot, style = _DOTS[row.status]
        words = Text(one_line(row.preview, 200))
        if row.error_type is not None:
            reason = f"{row.failed_step or ''} · {form.type_name(row.error_type)}: {one_line(row.error_message or '')}"
            words = Text(one_line(reason, 200), style="red") + Text("  ") + words
        if (gone_on := later.get(row.trace_id)) is not None:
            words = Text(f"went on as {form.short_id(gone_on.trace_id)}  ", style="cyan") + words
        table.add_row(
            Text(f"{dot} {row.status}", style=style),
            form.short_id(row.trace_id),
            form.relative_time(row.started_ns, now_ns=now_ns).text,
            Text(one_line(row.workflow) + (" (replay)" if row.replay_of else " (resumed)" if row.resume_of else "")),
            form.shown_duration(row.duration_ns, row.status).text,
            form.tokens(row.input_tokens, row.output_tokens).text if row.model_calls else "",
            form.trace_cost(row).text,
            words,
        )
    return table


def tree(trace: Trace, value_of: ValueOf | None = None) -> RenderableType:
    """The whole trace. With ``value_of`` each model call also shows what it answered, and each failure its words."""
    root = trace.root
    if root is None:
        return Text(f"{trace.trace_id}: nothing recorded yet")
    branches = {root.step_id: Tree(_step_line(root, value_of), guide_style="dim")}
    calls = attempts_in(trace.steps)
    for step in trace.steps:
        parent = branches.get(first_of(step) or "") or branches.get(step.parent_id or "")
        if step is not root:
            line = _step_line(step, value_of)
            if step.step_id in calls:
                line.append(f"\n  {attempts_in_words(calls[step.step_id])}", style="dim")
            branches[step.step_id] = (parent or branches[root.step_id]).add(line)
    return Group(_head(trace), branches[root.step_id])


def _head(trace: Trace) -> Text:
    row = trace.summary
    dot, style = _DOTS[row.status]
    parts = [form.shown_duration(row.duration_ns, row.status).text, form.plural(row.steps, "step")]
    if row.model_calls:
        parts += [form.plural(row.model_calls, "model call"), f"{row.input_tokens} in / {row.output_tokens} out"]
        parts.append(form.trace_cost(row).text)
    told = " · ".join(filter(None, parts))
    head = Text.assemble((f"{dot} {row.status} ", style), (trace.trace_id, "bold"), f"  {told}")
    if row.resume_of:
        head.append(f"\n  goes on where {form.short_id(row.resume_of)} ended: what finished there is served", "dim")
    if row.status == "waiting" and not row.replay_of:
        head.append(f"\n  it ended with a question to a human: playhead escalations show {form.short_id(row.trace_id)}")
    if row.replay_of:
        rules = one_line(" ".join(map(str, (trace.plan or {}).get("rules", ()))), 400)
        head.append(f"\n  a replay of {form.short_id(row.replay_of)} {rules}".rstrip(), style="dim")
    return head


def _step_line(step: Step, value_of: ValueOf | None) -> Text:
    dot, style = _DOTS[step.status]
    line = Text.assemble((f"{dot} ", style), (one_line(step.path.rsplit("/", 1)[-1]), "bold"), (f" {step.kind}", "dim"))
    if step.call is not None:
        model = step.call.model or step.call.model_asked
        if model:
            line.append(f" {one_line(model)}", style="cyan")
        used = step.call.usage
        line.append(f"  {form.tokens(used.input_tokens, used.output_tokens).text}", style="dim")
        line.append(f"  {form.call_cost(step).text}", style="dim")
    if step.origin != "live":
        line.append(f"  {form.ORIGIN_WORDS[step.origin]}", style="magenta")
    line.append(f"  {form.shown_duration(step.duration_ns, step.status).text}", style="dim")
    if step.failure is not None:
        reason = f"{form.type_name(step.failure.type)}: {step.failure.message}"
        line.append(f"\n  {one_line(reason, 200)}", style="red")
        own = next((frame for frame in reversed(step.failure.frames) if frame.own), None)
        if own is not None:
            line.append(f"\n  at {one_line(f'{own.file}:{own.line} in {own.function}', 400)}", style="dim")
    if (decision := decision_in(step.tags)) is not None:
        line.append(f"\n  {one_line(in_words(decision), 300)}", style="cyan")
    if step.call is not None and (refused := form.refusal(step.call)):
        line.append(f"\n  {one_line(refused, 200)}", style="dim")
    if step.kind == "human" and step.status == "waiting" and value_of is not None:
        line.append(f"\n  asks: {one_line(_question(step, value_of), 200)}", style="cyan")
    said = None if value_of is None else _read(step, value_of)
    if said:
        line.append(f"\n  → {one_line(said, 160)}", style="green" if step.failure is None else "yellow")
    return line


def _read(step: Step, value_of: ValueOf) -> str | None:
    """What a step gave; a value that was pruned or damaged must not hide the rest of the trace."""
    try:
        return _said(step, value_of)
    except StoreUnreachable:
        raise
    except (StoreError, CodecError) as error:
        return f"(not readable: {error})"


def _question(step: Step, value_of: ValueOf) -> str:
    try:
        return str(plain(value_of(step.input))["asked"]["question"]) if step.input is not None else "(not captured)"
    except StoreUnreachable:
        raise
    except (StoreError, CodecError, LookupError, TypeError) as error:
        return f"(not readable: {error})"


def _said(step: Step, value_of: ValueOf) -> str | None:
    """What a step gave, in few words: a model's text, or the value."""
    if step.output is None or (step.failure is not None and step.kind not in {"llm", "embedding"}):
        return None
    value = value_of(step.output)
    if isinstance(value, HttpResponse):
        request = None if step.input is None else value_of(step.input)
        answer = providers.read(request, value) if isinstance(request, HttpRequest) else None
        return None if answer is None else answer.message.content
    if isinstance(value, ChatAnswer):
        return value.message.content
    shown = plain(value)
    return None if shown is None else shown if isinstance(shown, str) else str(shown)
