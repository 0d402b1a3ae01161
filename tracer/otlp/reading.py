"""What a span says as a step: its kind, what it was given and gave, its model call, how it failed, the rest as tags.

Pure, and nothing here raises: attributes that are not as their convention says are kept as tags.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Mapping, get_args
from urllib.parse import urlsplit

from tracer.messages import ChatAnswer, ChatRequest
from tracer.model import Failure, Origin, Usage
from tracer.otlp import attributes as table
from tracer.otlp import spoken
from tracer.otlp.span import CLIENT, ERROR, Span, SpanEvent
from tracer.providers.base import count, mapping, text
from tracer.providers.formats import CHAT
from tracer.providers.hosts import UNKNOWN, provider_of

#: The tag of every step that came as a span; it names the instrumentation that wrote it.
MARK = "otlp"
#: What we write under this prefix are tags.
TAG = "playhead.tag."
#: Events whose attributes a convention could as well have put on the span.
_DETAILS = frozenset(
    {"gen_ai.client.inference.operation.details", "gen_ai.content.prompt", "gen_ai.content.completion"}
)
_TAG_LENGTH = 500
_CALLS = frozenset({"llm", "embedding"})
_ASKED_ELSEWHERE = frozenset({"model", "messages", "stream", "tools", "input"})


@dataclass(frozen=True, slots=True)
class Told:
    """A span, as a step. ``call`` has the fields of model.ModelCall, its usage as a mapping."""

    name: str
    kind: str
    workflow: str
    input: Any = None
    output: Any = None
    call: dict[str, Any] | None = None
    failure: Failure | None = None
    tags: Mapping[str, Any] | None = None
    outcome: str = "ok"
    #: What only playhead writes of a step: ``effect``, ``origin``, and a root's ``version``.
    attrs: Mapping[str, Any] = field(default_factory=dict)


def told(span: Span) -> Told:
    attributes = dict(span.attributes)
    for event in span.events:
        if event.name in _DETAILS:
            attributes = {**event.attributes, **attributes}
    kind = table.kind_of(attributes) or _guessed(span, attributes)
    call = call_of(span, attributes)
    given, gave = _values(span, attributes, kind, call)
    return Told(
        name=text(table.first(attributes, table.NAME)) or span.name or kind,
        kind=kind,
        workflow=text(table.first(attributes, table.WORKFLOW)) or "",
        input=given,
        output=gave,
        call=call if kind in _CALLS and _tells(call) else None,
        failure=failure_of(span),
        tags=tags_of(span, attributes, kind),
        outcome=_outcome(span, attributes),
        attrs=_attrs(span, attributes),
    )


def _tells(call: Mapping[str, Any]) -> bool:
    """Whether anything is known of the call but that it failed."""
    return any(value for name, value in call.items() if name != "error_type")


def _outcome(span: Span, attributes: Mapping[str, Any]) -> str:
    if span.status == ERROR:
        said = attributes.get("playhead.outcome")
        return said if said in ("cancelled", "stopped") else "failed"
    return "ok"


def _attrs(span: Span, attributes: Mapping[str, Any]) -> dict[str, Any]:
    version = text(attributes.get("playhead.version"))
    origin = attributes.get("playhead.origin")
    return {
        **({"effect": True} if attributes.get("playhead.effect") is True else {}),
        **({"origin": origin} if origin in get_args(Origin) else {}),
        **({"version": version} if version and span.parent_id is None else {}),
    }


def _guessed(span: Span, attributes: Mapping[str, Any]) -> str:
    if any(name in attributes for name in ("http.request.method", "http.method")) and span.kind == CLIENT:
        return "http"
    if any(name.startswith(("gen_ai.request.", "llm.token_count.", "gen_ai.usage.")) for name in attributes):
        return "llm"
    return "workflow" if span.parent_id is None else "step"


def call_of(span: Span, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a model call, without those that are unknown."""
    asked = parameters_in(attributes)
    found: dict[str, Any] = {name: _word(table.first(attributes, names)) for name, names in table.CALL.items()}
    found["model_asked"] = found["model_asked"] or text(asked.get("model"))
    if span.status == ERROR and found["model_asked"] is None:
        # who answered with an error names no model: this one was asked
        found["model_asked"], found["model"] = found["model"], None
    streamed = table.first(attributes, table.STREAMED)
    found |= {
        "provider": provider_in(attributes),
        "usage": usage_of(attributes),
        "first_token_ns": _first_token(span, attributes),
        "status_code": count(table.first(attributes, table.STATUS_CODE)),
        "streamed": streamed is True or asked.get("stream") is True,
        "error_type": text(table.first(attributes, ("playhead.error_type", *table.ERROR_TYPE))),
    }
    return {name: value for name, value in found.items() if value is not None}


def provider_in(attributes: Mapping[str, Any]) -> str | None:
    """Whose model it is; a host that is known says it better than whose client was used."""
    said = next((word.lower() for name in table.PROVIDER if (word := text(attributes.get(name)))), None)
    host = next((found for name in table.HOST if (found := text(attributes.get(name)))), "")
    host = urlsplit(host).hostname or "" if "://" in host else host
    behind = provider_of(host) if host else UNKNOWN
    if said is None:
        return behind if host else None
    known = table.PROVIDERS.get(said) or table.PROVIDERS.get(said.partition(".")[0]) or said.partition(".")[0]
    return behind if known == "openai" and behind not in (UNKNOWN, "local") else known


def usage_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Token counts, the totals including their parts, and as ``raw`` what the span says of them.

    Some writers leave what was read from or written to a cache out of the input (as Anthropic's API does): where the
    parts are more than the whole, the whole was without them.
    """
    found: dict[str, Any] = {name: count(table.first(attributes, names)) for name, names in table.USAGE.items()}
    cached = (found["cache_read_tokens"] or 0) + (found["cache_write_tokens"] or 0)
    if found["input_tokens"] is not None and cached > found["input_tokens"]:
        found["input_tokens"] += cached
    raw = {name: attributes[name] for names in table.USAGE.values() for name in names if name in attributes}
    return {name: value for name, value in found.items() if value is not None} | ({"raw": raw} if raw else {})


def parameters_in(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the request, by what OpenAI's chat calls them."""
    given = {name: table.first(attributes, names) for name, names in table.PARAMETERS.items()}
    said = mapping(_json(table.first(attributes, table.INVOCATION)))
    return {**said, **{name: value for name, value in given.items() if value is not None}}


def _values(span: Span, attributes: Mapping[str, Any], kind: str, call: Mapping[str, Any]) -> tuple[Any, Any]:
    given, gave = (
        _side(attributes, names, mime)
        for names, mime in ((table.INPUT, "input.mime_type"), (table.OUTPUT, "output.mime_type"))
    )
    if kind == "llm":
        return _request(span, attributes, call) or given, _answer(span, attributes, call) or gave
    if kind == "embedding" and given is None:
        texts = [value for name, value in attributes.items() if name.endswith(".embedding.text")]
        given = {"input": texts} if texts else None
    if kind == "retriever" and gave is None:
        gave = [value for name, value in attributes.items() if name.endswith(".document.content")] or None
    return given, gave


def _side(attributes: Mapping[str, Any], names: tuple[str, ...], mime: str) -> Any:
    said = table.first(attributes, names)
    match attributes.get(mime):
        case "text/plain":
            return said
        case "application/json" if isinstance(said, str):
            try:
                return json.loads(said)
            except (ValueError, RecursionError):
                return said
    return _json(said)


def _request(span: Span, attributes: Mapping[str, Any], call: Mapping[str, Any]) -> ChatRequest | None:
    body = mapping(_json(attributes.get("input.value")))
    messages = spoken.asked(span, attributes)
    if not messages and isinstance(body.get("messages"), list):
        return CHAT.request(json.dumps(body).encode())
    if not messages:
        return None
    asked = parameters_in(attributes)
    return ChatRequest(
        model=call.get("model_asked") or call.get("model"),
        messages=messages,
        parameters={name: value for name, value in asked.items() if name not in _ASKED_ELSEWHERE},
        tools=spoken.tools(attributes),
        stream=call["streamed"],
    )


def _answer(span: Span, attributes: Mapping[str, Any], call: Mapping[str, Any]) -> ChatAnswer | None:
    message = spoken.answered(span, attributes)
    if message is None:
        return None
    usage = Usage(**call["usage"])
    return ChatAnswer(message, call.get("model"), call.get("finish_reason"), usage, call.get("response_id"))


def failure_of(span: Span) -> Failure | None:
    """How it failed: by its last exception, else by its status; None where its status is no error."""
    if span.status != ERROR:
        return None
    raised = next((event for event in reversed(span.events) if event.name == "exception"), None)
    said = SpanEvent(0, "", {}).attributes if raised is None else raised.attributes
    name = text(said.get("exception.type")) or text(table.first(span.attributes, table.ERROR_TYPE)) or "Error"
    message = text(said.get("exception.message")) or span.status_message
    stack = text(said.get("exception.stacktrace"))
    module, _, short = name.rpartition(".")
    return Failure(short or name, message, module=module, notes=(stack,) if stack else ())


def tags_of(span: Span, attributes: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """All that no other column holds, by its own name; what we wrote as a tag by the name that it had."""
    tags: dict[str, Any] = {MARK: span.source.scope or "unnamed"}
    told_elsewhere = table.STATUS_CODE if kind in _CALLS else ()
    for name, value in attributes.items():
        if name.startswith(TAG):
            tags[name.removeprefix(TAG)] = _json(value)
        elif value is not None and not _is_kept(name) and name not in told_elsewhere:
            tags[name] = _shortened(value)
    if span.parent_id is None:
        for name in ("service.name", "service.version", "deployment.environment.name"):
            if (said := text(span.source.resource.get(name))) and said != "unknown_service":
                tags.setdefault(name, said)
    if span.links:
        tags["otlp.links"] = [f"{link.trace_id.hex()}/{link.span_id.hex()}" for link in span.links][:20]
    return tags


def _is_kept(name: str) -> bool:
    return table.is_read(name) or name.startswith("playhead.")


def _shortened(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return value
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    return said if len(said) <= _TAG_LENGTH else said[: _TAG_LENGTH - 1] + "…"


def _first_token(span: Span, attributes: Mapping[str, Any]) -> int | None:
    for name, unit in table.FIRST_TOKEN.items():
        said = attributes.get(name)
        if isinstance(said, int | float) and 0 <= said < 2**31:
            return round(said * unit)
    first = min((event.at_ns for event in span.events if event.name in table.FIRST_TOKEN_EVENTS), default=None)
    return None if first is None or first < span.start_ns else first - span.start_ns


def _word(value: Any) -> str | None:
    return text(value[0]) if isinstance(value, list | tuple) and value else text(value)


def _json(value: Any) -> Any:
    """The value in a text of JSON, or the text itself."""
    if not isinstance(value, str) or value[:1] not in '{["':
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
