"""What was said to a model and what it answered, out of a span's attributes and events, in whichever spelling.

Each spelling is brought into the shape of OpenAI's chat, which one reader then reads. Nothing here raises: content that
is not as its convention says is content that nobody knows.
"""

from __future__ import annotations

import json
import re
from typing import Any, Iterable, Mapping, Sequence

from tracer.messages import Message, ToolCall
from tracer.otlp.span import Span
from tracer.providers.base import mapping, sequence, text
from tracer.providers.openai_chat import message_of

Attributes = Mapping[str, Any]
_INDEXED = re.compile(r"\.(\d+)\.")
#: Events of the convention before the present one, by the role of which they are.
_ROLE_EVENTS = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}
#: Members of a list that are taken; an index may be any number.
_MOST = 10_000


def asked(span: Span, attributes: Attributes) -> tuple[Message, ...]:
    """The messages of the request; empty where they were not captured."""
    given = attributes.get("gen_ai.input.messages")
    if given is not None:
        system = _of_parts({"role": "system", "parts": _listed(attributes.get("gen_ai.system_instructions"))})
        turns = [message for each in _listed(given) for message in _turns(mapping(each))]
        return (*((system,) if system.content or system.parts else ()), *turns)
    for prefix in ("llm.input_messages", "gen_ai.prompt", "llm.prompts"):
        if found := _indexed(attributes, prefix):
            return tuple(message_of(_chat(each)) for each in found)
    for name in ("ai.prompt.messages", "gen_ai.prompt"):
        if given := _listed(attributes.get(name)):
            return tuple(message for each in map(mapping, given) for message in _of_vercel(each))
    return tuple(_of_event(event.name, event.attributes) for event in span.events if event.name in _ROLE_EVENTS)


def answered(span: Span, attributes: Attributes) -> Message | None:
    """The first answer; None where none was captured."""
    given = attributes.get("gen_ai.output.messages")
    if given is not None:
        return next((_of_parts(mapping(each), "assistant") for each in _listed(given)), None)
    for prefix in ("llm.output_messages", "gen_ai.completion", "llm.completions"):
        if found := _indexed(attributes, prefix):
            # Traces of OpenAI's responses say each item of an answer as a message of its own.
            return _joined([message_of({"role": "assistant", **_chat(each)}) for each in found], prefix)
    calls = [_vercel_call(mapping(each)) for each in _listed(attributes.get("ai.response.toolCalls"))]
    said = text(attributes.get("ai.response.text")) or text(attributes.get("ai.response.object"))
    if said or calls:
        reasoning = text(attributes.get("ai.response.reasoning"))
        return Message("assistant", said or "", tool_calls=tuple(calls), reasoning=reasoning)
    choice = next((event for event in span.events if event.name == "gen_ai.choice"), None)
    if choice is not None:
        return _of_choice(choice.attributes)
    given = _listed(attributes.get("gen_ai.completion"))
    return message_of({"role": "assistant", **mapping(given[0])}) if given else None


def tools(attributes: Attributes) -> tuple[Mapping[str, Any], ...]:
    """The tools that the model was offered, as OpenAI's chat has them."""
    given = _listed(attributes.get("gen_ai.tool.definitions")) or _listed(attributes.get("ai.prompt.tools"))
    given = [_parsed(each) for each in given]
    given = given or [
        _parsed(mapping(each.get("tool")).get("json_schema")) for each in _indexed(attributes, "llm.tools")
    ]
    given = given or _indexed(attributes, "llm.request.functions")
    return tuple(_tool(each) for each in given if isinstance(each, dict) and each)


def _tool(said: dict[str, Any]) -> dict[str, Any]:
    if "function" in said or ("name" not in said and "type" in said):
        return said
    if said.get("type") not in (None, "function"):
        return said
    schema = said.get("parameters") or said.get("inputSchema") or said.get("input_schema")
    function = {"name": said.get("name"), "description": said.get("description"), "parameters": _parsed(schema)}
    return {"type": "function", "function": {name: value for name, value in function.items() if value is not None}}


def _turns(said: Mapping[str, Any]) -> Iterable[Message]:
    """A message of the present convention: the answers of several tools in one are messages of their own."""
    parts = [mapping(part) for part in _listed(said.get("parts"))]
    results = [part for part in parts if part.get("type") == "tool_call_response"]
    rest = [part for part in parts if part.get("type") != "tool_call_response"]
    for part in results:
        result = part.get("result", part.get("response"))
        yield Message("tool", _worded(result), name=text(said.get("name")), tool_call_id=text(part.get("id")))
    if rest or not results:
        yield _of_parts({**said, "parts": rest})


def _of_parts(said: Mapping[str, Any], role: str = "user") -> Message:
    words, thoughts, others = [], [], []
    calls: list[ToolCall] = []
    for part in map(mapping, _listed(said.get("parts"))):
        match part.get("type"):
            case "text":
                words.append(_worded(part.get("content", part.get("text"))))
            case "reasoning" | "thinking":
                thoughts.append(_worded(part.get("content")))
            case "tool_call":
                arguments = _worded(part.get("arguments", {}))
                calls.append(ToolCall(_worded(part.get("id", "")), _worded(part.get("name", "")), arguments))
            case _ if part:
                others.append(part)
    if not words and isinstance(said.get("content"), str):
        words.append(said["content"])
    return Message(
        role=text(said.get("role")) or role,
        content="".join(words),
        name=text(said.get("name")),
        tool_calls=tuple(calls),
        reasoning="".join(thoughts) or None,
        parts=tuple(others),
    )


def _chat(said: Mapping[str, Any]) -> dict[str, Any]:
    """A message that stood in attributes with indexes, as OpenAI's chat has it."""
    message = dict(mapping(said.get("message")) or said)
    contents = [mapping(each.get("message_content")) or each for each in map(mapping, _listed(message.get("contents")))]
    if contents:
        message["content"] = [_part(each) for each in contents]
    elif (parsed := _parsed(message.get("content"))) is not None and isinstance(parsed, list):
        message["content"] = parsed
    calls: list[Mapping[str, Any]] = [
        mapping(each.get("tool_call")) or each for each in map(mapping, _listed(message.get("tool_calls")))
    ]
    if name := text(message.get("function_call_name")):
        calls.append({"name": name, "arguments": message.get("function_call_arguments_json")})
    message["tool_calls"] = [_call(each) for each in calls]
    return message


def _part(said: Mapping[str, Any]) -> Mapping[str, Any]:
    if said.get("type") == "image" and (url := mapping(mapping(said.get("image")).get("image")).get("url")):
        return {"type": "image_url", "image_url": {"url": url}}
    return said


def _call(said: Mapping[str, Any]) -> dict[str, Any]:
    function = mapping(said.get("function")) or said
    arguments = function.get("arguments")
    return {"id": said.get("id"), "function": {"name": function.get("name"), "arguments": _worded(arguments)}}


def _joined(messages: Sequence[Message], prefix: str) -> Message:
    if prefix != "llm.output_messages" or len(messages) == 1 or all(each.content for each in messages):
        return messages[0]
    return Message(
        role="assistant",
        content="".join(each.content for each in messages),
        tool_calls=tuple(call for each in messages for call in each.tool_calls),
        reasoning="".join(each.reasoning or "" for each in messages) or None,
        parts=tuple(part for each in messages for part in each.parts),
    )


def _of_vercel(said: Mapping[str, Any]) -> Iterable[Message]:
    parts = [mapping(part) for part in sequence(said.get("content"))]
    calls = [_vercel_call(part) for part in parts if part.get("type") == "tool-call"]
    results = [part for part in parts if part.get("type") == "tool-result"]
    for part in results:
        result = part.get("output", part.get("result"))
        yield Message(
            "tool", _worded(result), name=text(part.get("toolName")), tool_call_id=text(part.get("toolCallId"))
        )
    if results:
        return
    rest = [part for part in parts if part.get("type") != "tool-call"]
    plain = message_of({**said, "content": rest} if parts else said)
    yield plain if not calls else Message(plain.role, plain.content, tool_calls=tuple(calls), parts=plain.parts)


def _vercel_call(said: Mapping[str, Any]) -> ToolCall:
    arguments = said.get("input", said.get("args"))
    return ToolCall(_worded(said.get("toolCallId", "")), _worded(said.get("toolName", "")), _worded(arguments))


def _of_event(name: str, said: Attributes) -> Message:
    calls = [_call(mapping(each)) for each in _listed(said.get("tool_calls"))]
    return message_of({"role": _ROLE_EVENTS[name], "tool_call_id": said.get("id"), **said, "tool_calls": calls})


def _of_choice(said: Attributes) -> Message:
    message = _parsed(said.get("message"))
    if isinstance(message, str):
        return Message("assistant", message)
    message = mapping(message) or said
    calls = [_call(mapping(each)) for each in _listed(message.get("tool_calls") or said.get("tool_calls"))]
    return message_of({"role": "assistant", **message, "tool_calls": calls})


def _indexed(attributes: Attributes, prefix: str) -> list[dict[str, Any]]:
    """What stands under ``prefix.0.…``, ``prefix.1.…``: mappings, with lists in them where a name is a number."""
    dotted = f"{prefix}."
    tree: dict[str, Any] = {}
    for name, value in attributes.items():
        if not name.startswith(dotted) or _INDEXED.match(name[len(prefix) :] + ".") is None:
            continue
        level = tree
        *way, last = name[len(dotted) :].split(".")
        for part in way[:20]:
            inner = level.get(part)
            if not isinstance(inner, dict):
                inner = level[part] = {}
            level = inner
        level[last] = value
    rooted = _lists(tree)
    return [each for each in rooted if isinstance(each, dict)] if isinstance(rooted, list) else []


def _lists(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if tree and all(name.isascii() and name.isdigit() and len(name) < 8 for name in tree):
        return [_lists(tree[name]) for name in sorted(tree, key=int)][:_MOST]
    return {name: _lists(value) for name, value in tree.items()}


def _listed(value: Any) -> list[Any]:
    """A list, or one that stands as JSON in a text; a text that is none is a part that says it."""
    found = _parsed(value)
    if isinstance(found, str):
        return [{"type": "text", "content": found}] if found else []
    if isinstance(found, dict):
        return [found]
    return list(found) if isinstance(found, list | tuple) else []


def _parsed(value: Any) -> Any:
    """The JSON in a text, or the value as it is."""
    if not isinstance(value, str) or value[:1] not in "[{":
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _worded(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=repr)
