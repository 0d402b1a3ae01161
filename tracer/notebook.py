"""A trace as a notebook shows it: a tree in HTML, and in plain text. Static: no script, no style sheet, nothing loaded.

    from tracer.notebook import trace
    trace("latest")                      # the last line of a cell: the tree, each step with its input and output

A ``Trace`` by itself shows the tree; it does not know where its values lie. Every recorded text is escaped, and what a
reader can't see is left out. Both forms are bounded and say what they leave out.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Callable, Iterator, Mapping

from rich.console import Console

from tracer import format as form
from tracer import providers, recorder
from tracer.errors import CodecError, StoreError, StoreUnreachable
from tracer.messages import ChatAnswer, ChatRequest, Message
from tracer.model import Failure, PayloadRef, Status, Step, Trace
from tracer.plain import plain
from tracer.providers.recorded import asked, plain_body
from tracer.reading import open_reading
from tracer.render import one_line, tree
from tracer.terminal import inert
from tracer.wire import HttpRequest, HttpResponse

#: Steps that are shown; the others are counted.
MOST_STEPS = 300
#: Characters of one value, and of a line.
MOST_VALUE = 2_000
MOST_LINE = 200
#: Deeper steps stand at this depth.
_DEEPEST = 40
_WIDTH = 120
#: Colours that can be read on white and on black. No meaning hangs on them: each stands beside its word.
_COLOURS: Mapping[Status, str] = {
    "completed": "#2e8b57",
    "failed": "#d9453d",
    "interrupted": "#b7791f",
    "stopped": "#b7791f",
    "cancelled": "#b7791f",
    "waiting": "#3182ce",
    "running": "#3182ce",
}
_DIM = "opacity:.7"
_LIST = '<ul style="list-style:none;margin:0;padding-left:1.4em">'
#: Wrapped, so that one long line does not push the cell aside.
_VALUE = "margin:0 0 .4em 1.2em;white-space:pre-wrap;overflow-wrap:anywhere;max-height:20em;overflow:auto"

ValueOf = Callable[[PayloadRef], Any]
Bundle = dict[str, str]


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """A trace with its values, as it shows itself. ``values`` are their texts, by address; those of the steps that are
    not shown are not among them."""

    trace: Trace
    values: Mapping[str, str]

    def __repr__(self) -> str:
        return text(self.trace)

    def _repr_html_(self) -> str:
        return html(self.trace, self.values)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:  # noqa: ARG002 - asked for by name
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def trace(name: str = "latest") -> Page:
    """A trace of the configured store by its id, a unique prefix, or ``latest``, with what was recorded of its values.

    Raises TraceNotFound, AmbiguousTrace or StoreUnreachable.
    """
    recorder.flush()
    with open_reading() as store:
        found = store.trace(store.resolve(name))
        shown = [step for step, _ in _in_order(found)][:MOST_STEPS]
        values = {
            ref.digest: _text_of(step, ref, store.value)
            for step in shown
            for ref in (step.input, step.output)
            if ref is not None
        }
    return Page(found, values)


def bundle(found: Trace) -> Bundle:
    """A trace without its values, by media type."""
    return {"text/plain": text(found), "text/html": html(found)}


def text(found: Trace) -> str:
    """The tree in characters, as ``playhead show`` prints it."""
    # A step begins after the one around it, so what stands is a tree as well.
    shown = replace(found, steps=found.steps[:MOST_STEPS])
    paper = Console(file=io.StringIO(), width=_WIDTH, highlight=False, color_system=None)
    with paper.capture() as told:
        paper.print(tree(shown))
    lines = [line.rstrip() for line in told.get().splitlines()]
    return "\n".join([*lines, *_left_out(found)])


def html(found: Trace, values: Mapping[str, str] | None = None) -> str:
    """The tree in HTML; a step whose values are given can be opened."""
    rows = _in_order(found)
    parts = [f'<div style="line-height:1.5">{_head(found)}']
    depth = -1
    for step, at in rows[:MOST_STEPS]:
        parts.append(_LIST if at > depth else "</li>" + "</ul></li>" * (depth - at))
        parts.append(f"<li>{_step(step, values or {})}")
        depth = at
    parts.append("</li></ul>" * (depth + 1))
    parts += [f"<div>{line}</div>" for line in _left_out(found)]
    return "".join([*parts, "</div>"])


def _left_out(found: Trace) -> Iterator[str]:
    if (left := len(found.steps) - MOST_STEPS) > 0:
        yield f"… and {form.plural(left, 'more step')}: playhead show {form.short_id(found.trace_id)}"


def _in_order(found: Trace) -> list[tuple[Step, int]]:
    """The steps as the tree is read, each with its depth; no step is more than one deeper than the one before."""
    known = {step.step_id for step in found.steps}
    below: dict[str | None, list[Step]] = {}
    for step in found.steps:
        below.setdefault(step.parent_id if step.parent_id in known else None, []).append(step)
    rows = []
    waiting = [(step, 0) for step in reversed(below.get(None, []))]
    while waiting:
        step, depth = waiting.pop()
        rows.append((step, min(depth, _DEEPEST)))
        waiting += [(child, depth + 1) for child in reversed(below.get(step.step_id, []))]
    return rows


def _head(found: Trace) -> str:
    row = found.summary
    told = [form.shown_duration(row.duration_ns, row.status).text, form.plural(row.steps, "step")]
    if row.model_calls:
        told += [form.plural(row.model_calls, "model call"), f"{row.input_tokens} in / {row.output_tokens} out"]
        told.append(form.trace_cost(row).text)
    lines = [
        f"<b>{_safe(row.workflow)}</b> {_status(row.status)} {_safe(' · '.join(filter(None, told)))}",
        f'<span style="{_DIM}"><code>{_safe(row.trace_id)}</code> {form.exact_time(row.started_ns)}</span>',
    ]
    if row.replay_of:
        rules = " ".join(map(str, (found.plan or {}).get("rules", ())))
        lines.append(f"a replay of <code>{_safe(form.short_id(row.replay_of))}</code> {_safe(rules)}")
    if row.resume_of:
        lines.append(f"goes on where <code>{_safe(form.short_id(row.resume_of))}</code> ended")
    return "".join(f"<div>{line}</div>" for line in lines)


def _step(step: Step, values: Mapping[str, str]) -> str:
    facts: list[str] = [step.kind]
    if step.call is not None:
        used = step.call.usage
        facts.append(step.call.model or step.call.model_asked or "")
        facts += [form.tokens(used.input_tokens, used.output_tokens).text, form.call_cost(step).text]
    facts.append(form.shown_duration(step.duration_ns, step.status).text)
    status = "" if step.status == "completed" else f"{_status(step.status)} "
    origin = "" if step.origin == "live" else f" <i>{form.ORIGIN_WORDS[step.origin]}</i>"
    told = f"<b>{_safe(step.path.rsplit('/', 1)[-1])}</b> {status}"
    told += f'<span style="{_DIM}">{_safe(" · ".join(filter(None, facts)))}</span>{origin}'
    if step.failure is not None:
        told += f"<br>{_failure(step.failure)}"
    inside = "".join(_values(step, values))
    return f"<details><summary>{told}</summary>{inside}</details>" if inside else told


def _values(step: Step, values: Mapping[str, str]) -> Iterator[str]:
    for name, ref in (("input", step.input), ("output", step.output)):
        if ref is not None and ref.digest in values:
            yield f'<div style="margin-left:1.2em;{_DIM}">{name}</div>'
            yield f'<pre style="{_VALUE}">{escape(inert(values[ref.digest]))}</pre>'


def _failure(found: Failure) -> str:
    told = f'<span style="color:{_COLOURS["failed"]}">{_safe(f"{form.type_name(found.type)}: {found.message}")}</span>'
    own = next((frame for frame in reversed(found.frames) if frame.own), None)
    return told if own is None else f"{told} at <code>{_safe(f'{own.file}:{own.line}')}</code> in {_safe(own.function)}"


def _status(status: Status) -> str:
    return f'<span style="color:{_COLOURS[status]}">{status}</span>'


def _safe(said: str) -> str:
    return escape(one_line(said, MOST_LINE))


def _text_of(step: Step, ref: PayloadRef, value_of: ValueOf) -> str:
    """A value as it is read; one that was pruned or damaged must not hide the others."""
    try:
        value = value_of(ref)
        if isinstance(value, HttpResponse):
            request = None if step.input is None else value_of(step.input)
            value = (providers.read(request, value) if isinstance(request, HttpRequest) else None) or value
        told = _told(value)
    except StoreUnreachable:
        raise
    except (StoreError, CodecError) as error:
        return f"(not readable: {error})"
    left = len(told) - MOST_VALUE
    return told if left <= 0 else f"{told[:MOST_VALUE]}… ({left:,} more characters)"


def _told(value: Any) -> str:
    if isinstance(value, HttpRequest):
        value = asked(value) or value
    if isinstance(value, ChatRequest):
        return "\n".join(map(_said, value.messages))
    if isinstance(value, ChatAnswer):
        return _said(value.message)
    if isinstance(value, str):
        return value
    if isinstance(value, HttpRequest | HttpResponse):
        body = value.body if isinstance(value, HttpRequest) else plain_body(value)
        head = f"{value.method} {value.url}" if isinstance(value, HttpRequest) else str(value.status)
        return f"{head}\n{_body(body)}"
    return json.dumps(plain(value), ensure_ascii=False, indent=1)


def _body(body: Any) -> str:
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else json.dumps(plain(body), ensure_ascii=False)


def _said(message: Message) -> str:
    calls = "".join(f"\n→ {call.name}({call.arguments})" for call in message.tool_calls)
    return f"{message.role}: {message.content}{calls}"
