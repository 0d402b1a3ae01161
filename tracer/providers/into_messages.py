"""A request in OpenAI's chat format, as Anthropic's messages would have it."""

from __future__ import annotations

import json
from typing import Any, Iterator, Mapping

from tracer.providers.base import mapping, sequence, text, type_of
from tracer.providers.carrying import beyond, image_source, refuse

INTO = "Anthropic's messages"
#: Anthropic wants a limit. Every model of theirs can give this many.
MAX_TOKENS = 4096
_KNOWN = (
    *("model", "messages", "tools", "tool_choice", "parallel_tool_calls", "stop", "max_tokens"),
    *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),  # hints about caching
    *("max_completion_tokens", "temperature", "top_p", "stream", "stream_options", "user", "response_format"),
)
#: Values that ask for nothing, by their parameter.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "store": (False,),
    "metadata": ({},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def translated(asked: Mapping[str, Any], model: str) -> dict[str, Any]:
    if lost := beyond(asked, _KNOWN, _NEUTRAL):
        raise refuse(", ".join(lost), INTO)
    system, messages = _conversation(asked)
    limit = asked.get("max_completion_tokens") or asked.get("max_tokens")
    worn: dict[str, Any] = {"model": model, "max_tokens": limit or MAX_TOKENS, "messages": messages}
    temperature = asked.get("temperature")
    if isinstance(temperature, int | float) and temperature > 1:
        raise refuse(f"temperature above 1 ({temperature})", INTO)
    stop = asked.get("stop")
    told = {
        "system": system,
        "tools": [_tool(mapping(tool)) for tool in sequence(asked.get("tools"))],
        "tool_choice": _choice(asked),
        "output_config": _output(mapping(asked.get("response_format"))),
        "stop_sequences": [stop] if isinstance(stop, str) else stop,
        "metadata": {"user_id": asked["user"]} if asked.get("user") else None,
    }
    worn |= {key: value for key, value in told.items() if value}
    carried = ("temperature", "top_p", "stream")
    return worn | {key: asked[key] for key in carried if asked.get(key) is not None}


def _conversation(asked: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    system: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = []
    for raw in sequence(asked.get("messages")):
        turn = mapping(raw)
        role = text(turn.get("role"))
        if role != "tool" and turn.get("name"):
            raise refuse("name of who speaks", INTO)
        match role:
            case "system" | "developer":
                if messages:
                    raise refuse("system message after the conversation began", INTO)
                system += _blocks(turn.get("content"))
            case "tool":
                _add_result(messages, turn)
            case "assistant":
                messages.append({"role": "assistant", "content": list(_answer(turn))})
            case "user":
                messages.append({"role": "user", "content": _blocks(turn.get("content"))})
            case _:
                raise refuse(f"role {role!r}", INTO)
    return system, messages


def _add_result(messages: list[dict[str, Any]], turn: Mapping[str, Any]) -> None:
    """All results of one answer's calls belong into one message."""
    content = turn.get("content")
    said = content if isinstance(content, str) else _blocks(content)
    result = {"type": "tool_result", "tool_use_id": turn.get("tool_call_id"), "content": said}
    before = messages[-1]["content"] if messages else []
    if before and type_of(before[-1]) == "tool_result":
        before.append(result)
    else:
        messages.append({"role": "user", "content": [result]})


def _answer(turn: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Its thoughts are left out: Anthropic takes none that it has not signed."""
    if turn.get("function_call") or turn.get("audio"):
        raise refuse("function_call or audio in an answer", INTO)
    yield from _blocks(turn.get("content") or turn.get("refusal"))
    for raw in sequence(turn.get("tool_calls")):
        call = mapping(raw)
        function = mapping(call.get("function"))
        if not function:
            raise refuse(f"tool call of type {call.get('type')!r}", INTO)
        try:
            given = json.loads(text(function.get("arguments")) or "{}")
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise refuse(f"arguments that are no JSON object (of {function.get('name')})", INTO)
        yield {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": given}


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    parts = (mapping(part) for part in sequence(content))
    # Thoughts, as Mistral has them among the parts, stay behind.
    return [_block(part) for part in parts if part.get("text") != "" and type_of(part) != "thinking"]


def _block(part: Mapping[str, Any]) -> dict[str, Any]:
    kind, source = type_of(part), None
    if kind in {"text", "refusal"}:
        return {"type": "text", "text": part.get(kind)}
    if kind == "image_url":
        kind, source = "image", image_source(mapping(part.get("image_url")).get("url"))
    elif kind == "file":
        kind, source = "document", image_source(mapping(part.get("file")).get("file_data"))
    if source is None:
        raise refuse(f"content part of type {type_of(part)!r} like this one", INTO)
    return {"type": kind, "source": source}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = mapping(tool.get("function"))
    if not function:
        raise refuse(f"tool of type {type_of(tool)!r}", INTO)
    worn = {"name": function.get("name"), "input_schema": function.get("parameters") or {"type": "object"}}
    return worn | {key: function[key] for key in ("description", "strict") if function.get(key)}


def _output(wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """An answer that follows a schema. The schema's name is OpenAI's alone, and says nothing to a model."""
    if type_of(wanted) in {"", "text"}:
        return None
    described = mapping(wanted.get("json_schema"))
    if type_of(wanted) != "json_schema" or described.get("description"):
        raise refuse(f"response_format of type {type_of(wanted)!r} like this one", INTO)
    return {"format": {"type": "json_schema", "schema": described.get("schema")}}


def _choice(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    choice = asked.get("tool_choice")
    alone = {"disable_parallel_tool_use": True} if asked.get("parallel_tool_calls") is False else {}
    if choice is None:
        return {"type": "auto", **alone} if alone and asked.get("tools") else None
    if isinstance(choice, str) and choice in _CHOICES:
        return {"type": _CHOICES[choice], **(alone if choice != "none" else {})}
    name = mapping(mapping(choice).get("function")).get("name")
    if name is None:
        raise refuse(f"tool_choice {choice!r}", INTO)
    return {"type": "tool", "name": name, **alone}
