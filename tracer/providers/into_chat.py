"""A request in the format of Anthropic's messages, as OpenAI's chat would have it."""

from __future__ import annotations

import json
import re
from typing import Any, Iterator, Mapping

from tracer.providers.base import mapping, sequence, text, type_of
from tracer.providers.carrying import beyond, image_url, refuse

INTO = "OpenAI's chat format"
_KNOWN = (
    *("model", "messages", "system", "tools", "tool_choice", "stop_sequences", "max_tokens", "temperature", "top_p"),
    *("stream", "metadata", "anthropic_version", "output_config"),
    "cache_control",  # a hint
)
#: Values that ask for nothing, by their parameter.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "thinking": ({"type": "disabled"},),
    "service_tier": ("auto", "standard_only"),
    "mcp_servers": ([],),
}
_CHOICES = {"auto": "auto", "none": "none", "any": "required"}
#: Thoughts of earlier turns are for the model that had them; Anthropic's own service leaves them out as well.
_THOUGHTS = ("thinking", "redacted_thinking")
#: Models that no longer take max_tokens.
_COUNTS_THOUGHTS = re.compile(r"(^|/)(o\d|gpt-[5-9])")
_MOST_STOPS = 4


def translated(asked: Mapping[str, Any], model: str) -> dict[str, Any]:
    if lost := beyond(asked, _KNOWN, _NEUTRAL):
        raise refuse(", ".join(lost), INTO)
    stops = sequence(asked.get("stop_sequences"))
    if len(stops) > _MOST_STOPS:
        raise refuse(f"room for {len(stops)} stop sequences", INTO)
    choice = mapping(asked.get("tool_choice"))
    limit = "max_completion_tokens" if _COUNTS_THOUGHTS.search(model) else "max_tokens"
    told = {
        limit: asked.get("max_tokens"),
        "tools": [_tool(mapping(tool)) for tool in sequence(asked.get("tools"))],
        "tool_choice": _choice(choice),
        "parallel_tool_calls": False if choice.get("disable_parallel_tool_use") is True else None,
        "stop": stops,
        "user": mapping(asked.get("metadata")).get("user_id"),
        "response_format": _output(mapping(asked.get("output_config"))),
        # Its streams always tell the usage.
        "stream_options": {"include_usage": True} if asked.get("stream") is True else None,
        **{key: asked.get(key) for key in ("temperature", "top_p", "stream")},
    }
    return {
        "model": model,
        "messages": list(_conversation(asked)),
        **{key: value for key, value in told.items() if value not in (None, [])},
    }


def _conversation(asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if system := _content(asked.get("system")):
        yield {"role": "system", "content": system}
    for raw in sequence(asked.get("messages")):
        turn = mapping(raw)
        role, content = text(turn.get("role")), turn.get("content")
        match role:
            case "assistant":
                yield _answer(content)
            case "user":
                yield from _user(content)
            case "system":
                yield {"role": "system", "content": _content(content)}
            case _:
                raise refuse(f"role {role!r}", INTO)


def _user(content: Any) -> Iterator[dict[str, Any]]:
    """What the tools gave comes first, each in a message of its own."""
    rest = [part for part in sequence(content) if type_of(part) != "tool_result"]
    for result in sequence(content):
        if type_of(result) == "tool_result":
            yield _result(result)
    if isinstance(content, str) or rest:
        yield {"role": "user", "content": _content(content if isinstance(content, str) else rest)}


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    if result.get("is_error") is True:
        raise refuse("mark for a tool result that is an error", INTO)
    said = _content(result.get("content"))
    if any(type_of(part) != "text" for part in sequence(said)):
        raise refuse("tool result that is not text", INTO)
    return {"role": "tool", "tool_call_id": result.get("tool_use_id"), "content": said}


def _answer(content: Any) -> dict[str, Any]:
    blocks = [part for part in sequence(content) if type_of(part) not in _THOUGHTS]
    said = content if isinstance(content, str) else _content([b for b in blocks if type_of(b) != "tool_use"])
    calls = [
        {
            "id": block.get("id"),
            "type": "function",
            "function": {
                "name": block.get("name"),
                "arguments": json.dumps(block.get("input", {}), ensure_ascii=False),
            },
        }
        for block in blocks
        if type_of(block) == "tool_use"
    ]
    return {"role": "assistant", "content": said or None, **({"tool_calls": calls} if calls else {})}


def _content(content: Any) -> str | list[dict[str, Any]]:
    """Text where it is one text, else parts."""
    if isinstance(content, str):
        return content
    parts = [_part(mapping(block)) for block in sequence(content)]
    return str(parts[0]["text"]) if len(parts) == 1 and parts[0]["type"] == "text" else parts or ""


def _part(block: Mapping[str, Any]) -> dict[str, Any]:
    kind, url = type_of(block), image_url(block.get("source"))
    if kind == "text":
        return {"type": "text", "text": block.get("text")}
    if kind == "image" and url is not None:
        return {"type": "image_url", "image_url": {"url": url}}
    if kind == "document" and url is not None and url.startswith("data:"):
        name = text(block.get("title")) or "document.pdf"
        return {"type": "file", "file": {"filename": name, "file_data": url}}
    raise refuse(f"content of type {kind!r} like this one", INTO)


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if type_of(tool) not in {"", "custom"}:
        raise refuse(f"tool of type {type_of(tool)!r}, which runs at Anthropic's", INTO)
    function = {"name": tool.get("name"), "parameters": tool.get("input_schema")}
    function |= {key: tool[key] for key in ("description", "strict") if tool.get(key)}
    return {"type": "function", "function": function}


def _output(wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    if not wanted:
        return None
    described = mapping(wanted.get("format"))
    if type_of(described) != "json_schema" or len(wanted) > 1:
        raise refuse(f"output_config {', '.join(wanted)}", INTO)
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": described.get("schema")}}


def _choice(choice: Mapping[str, Any]) -> str | dict[str, Any] | None:
    if not choice:
        return None
    if type_of(choice) == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    if type_of(choice) not in _CHOICES:
        raise refuse(f"tool_choice {dict(choice)!r}", INTO)
    return _CHOICES[type_of(choice)]
