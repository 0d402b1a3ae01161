"""A recorded trace as spans, by OpenTelemetry's convention for generative AI as it stands (``gen_ai.*``).

What the convention has no word for is written as ``input.value`` and ``output.value`` (OpenInference's, which most
viewers show) or under ``playhead.``; ``reading`` takes all of it back. Values become JSON: classes lose their names.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Iterator, Mapping

from tracer import providers
from tracer.errors import CodecError, StoreError
from tracer.messages import ChatAnswer, ChatRequest, Message
from tracer.model import Failure, PayloadRef, Step, Trace
from tracer.otlp import attributes as table
from tracer.otlp.reading import MARK, TAG
from tracer.otlp.span import CLIENT, ERROR, INTERNAL, OK, UNSET, Link, Source, Span, SpanEvent
from tracer.plain import plain
from tracer.providers.recorded import asked
from tracer.wire import HttpRequest, HttpResponse

ValueOf = Callable[[PayloadRef], Any]
_OPERATIONS = {
    "llm": "chat",
    "embedding": "embeddings",
    "tool": "execute_tool",
    "agent": "invoke_agent",
    "workflow": "invoke_workflow",
    "retriever": "retrieval",
}
_SENT = frozenset({"llm", "embedding", "http"})
_CALL = ("model_asked", "model", "response_id", "request_id")
_PRESENT = {field: names[0] for field, names in (*table.CALL.items(), *table.USAGE.items())}


def spans_of(
    trace: Trace, value_of: ValueOf, *, origin: Trace | None = None, resource: Mapping[str, str] | None = None
) -> list[Span]:
    """The spans of a trace, in the order its steps began. A value that was pruned is left out. ``origin`` is the trace
    that this one replays, to which its root is linked; ``resource`` is what is said of the program besides."""
    service = {"service.name": trace.summary.workflow or "playhead", "telemetry.sdk.name": "playhead"}
    if trace.summary.version:
        service["service.version"] = trace.summary.version
    source = Source({**service, **(resource or {})}, "playhead")
    return [_Writing(trace, step, value_of, origin).span(source) for step in trace.steps]


class _Writing:
    """One step on its way to a span."""

    def __init__(self, trace: Trace, step: Step, value_of: ValueOf, origin: Trace | None) -> None:
        self._trace, self._step, self._origin = trace, step, origin
        self._input, self._output = (_value(ref, value_of) for ref in (step.input, step.output))

    def span(self, source: Source) -> Span:
        step = self._step
        operation = _OPERATIONS.get(step.kind, "")
        model = (step.call.model_asked or step.call.model or "") if step.call else ""
        subject = model if step.kind in ("llm", "embedding") else step.name
        status = {"ok": OK, None: UNSET}.get(step.outcome, ERROR)
        return Span(
            trace_id=bytes.fromhex(step.trace_id),
            span_id=bytes.fromhex(step.step_id),
            parent_id=None if step.parent_id is None else bytes.fromhex(step.parent_id),
            name=f"{operation} {subject}".strip() if operation else step.name,
            start_ns=step.started_ns,
            end_ns=step.ended_ns or 0,
            kind=CLIENT if step.kind in _SENT else INTERNAL,
            attributes={name: value for name, value in self._attributes(operation) if value is not None},
            events=tuple(self._events()),
            links=tuple(self._links()),
            status=status,
            status_message=step.failure.message if step.failure is not None and status == ERROR else "",
            source=source,
        )

    def _attributes(self, operation: str) -> Iterator[tuple[str, Any]]:
        step = self._step
        yield "gen_ai.operation.name", operation or None
        yield "playhead.name", step.name
        yield "playhead.kind", step.kind
        yield "playhead.effect", True if step.effect else None
        yield "playhead.origin", None if step.origin == "live" else step.origin
        yield "playhead.outcome", step.outcome if step.outcome not in ("ok", "failed") else None
        if step.parent_id is None:
            yield "gen_ai.workflow.name", self._trace.summary.workflow
            yield "playhead.version", self._trace.summary.version
        yield from self._call()
        yield from self._content()
        if step.failure is not None:
            yield "error.type", _full_type(step.failure)
        for name, value in step.tags.items():
            if name != MARK:
                yield f"{TAG}{name}", value if isinstance(value, bool | int | float) else json.dumps(plain(value))

    def _call(self) -> Iterator[tuple[str, Any]]:
        call = self._step.call
        if call is None:
            return
        yield "gen_ai.provider.name", table.PROVIDER_NAMES.get(call.provider or "", call.provider)
        for field in _CALL:
            yield _PRESENT[field], getattr(call, field)
        yield "gen_ai.response.finish_reasons", [call.finish_reason] if call.finish_reason else None
        for field in table.USAGE:
            yield _PRESENT[field], getattr(call.usage, field)
        yield "gen_ai.request.stream", True if call.streamed else None
        yield "http.response.status_code", call.status_code
        yield "playhead.error_type", call.error_type
        if call.first_token_ns is not None:
            yield "gen_ai.response.time_to_first_chunk", call.first_token_ns / 10**9

    def _content(self) -> Iterator[tuple[str, Any]]:
        """Messages where it is a conversation, whichever way it was recorded; else the values as JSON."""
        request, answer = _conversation(self._input, self._output)
        if request is not None and request.messages and self._step.kind == "llm":
            yield from _asked(request)
        else:
            yield from _shown("input", self._input)
        if answer is not None and self._step.kind == "llm":
            message = {**_message(answer.message), "finish_reason": answer.finish_reason or "unknown"}
            yield "gen_ai.output.messages", json.dumps([message], ensure_ascii=False)
        else:
            yield from _shown("output", self._output)

    def _events(self) -> Iterator[SpanEvent]:
        step = self._step
        if step.failure is not None:
            told = {"exception.type": _full_type(step.failure), "exception.message": step.failure.message}
            stack = _stack(step.failure)
            yield SpanEvent(
                step.ended_ns or step.started_ns, "exception", told | ({"exception.stacktrace": stack} if stack else {})
            )
        for note in step.notes:
            if note.kind == "score":
                said = {"gen_ai.evaluation.name": note.name, "gen_ai.evaluation.score.value": plain(note.value)}
                yield SpanEvent(note.at_ns, "gen_ai.evaluation.result", said)

    def _links(self) -> Iterator[Link]:
        replayed, step = self._trace.summary.replay_of, self._step
        if replayed is None:
            return
        root = self._origin.root if self._origin is not None and step.parent_id is None else None
        other = step.source_step_id or (None if root is None else root.step_id)
        if other is not None:
            yield Link(bytes.fromhex(replayed), bytes.fromhex(other), {"playhead.link": "replay_of"})


def _value(ref: PayloadRef | None, value_of: ValueOf) -> Any:
    if ref is None:
        return None
    try:
        return value_of(ref)
    except (StoreError, CodecError):
        return None


def _conversation(given: Any, gave: Any) -> tuple[ChatRequest | None, ChatAnswer | None]:
    if isinstance(given, HttpRequest):
        answer = providers.read(given, gave) if isinstance(gave, HttpResponse) else None
        return asked(given), answer if answer is not None and answer.error is None else None
    return given if isinstance(given, ChatRequest) else None, gave if isinstance(gave, ChatAnswer) else None


def _asked(request: ChatRequest) -> Iterator[tuple[str, Any]]:
    yield "gen_ai.input.messages", json.dumps([_message(each) for each in request.messages], ensure_ascii=False)
    if request.tools:
        yield "gen_ai.tool.definitions", json.dumps(plain(request.tools), ensure_ascii=False)
    others = dict(request.parameters)
    for name, (present, *_) in table.PARAMETERS.items():
        if isinstance(others.get(name), bool | int | float | str):
            yield present, others.pop(name)
    if others:
        yield table.INVOCATION[0], json.dumps(plain(others), ensure_ascii=False)


def _message(message: Message) -> dict[str, Any]:
    parts: list[Mapping[str, Any]] = []
    if message.reasoning:
        parts.append({"type": "reasoning", "content": message.reasoning})
    if message.role == "tool" and message.tool_call_id:
        parts.append({"type": "tool_call_response", "id": message.tool_call_id, "response": message.content})
    elif message.content:
        parts.append({"type": "text", "content": message.content})
    parts += [
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": _arguments(call.arguments)}
        for call in message.tool_calls
    ]
    parts += [plain(part) for part in message.parts]
    return {"role": message.role, "parts": parts} | ({"name": message.name} if message.name else {})


def _arguments(text: str) -> Any:
    """The object in the text, unless it would be written in another way than the model wrote it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, dict) and json.dumps(found, ensure_ascii=False) == text else text


def _shown(side: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, str):
        yield f"{side}.value", value
        yield f"{side}.mime_type", "text/plain"
    elif value is not None:
        yield f"{side}.value", json.dumps(plain(value), ensure_ascii=False)
        yield f"{side}.mime_type", "application/json"


def _full_type(failure: Failure) -> str:
    return f"{failure.module}.{failure.type}" if failure.module else failure.type


def _stack(failure: Failure) -> str:
    lines = [f'  File "{each.file}", line {each.line}, in {each.function}' for each in failure.frames]
    own = ["Traceback (most recent call last):", *lines, f"{_full_type(failure)}: {failure.message}"] if lines else []
    cause = [f"caused by {_stack(failure.cause) or _full_type(failure.cause)}"] if failure.cause is not None else []
    return "\n".join([*own, *failure.notes, *cause])
