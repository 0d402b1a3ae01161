"""What differs between two executions of the same model call, out of what a replay matches it by. Pure.

Each rule has a name, by which documents and reports speak of it:

``tool-call-ids``  Providers give every tool call a random id, and the next request repeats it. Each id is replaced by
                   "[tool-call-ids: 1]" and so on, in order of first appearance: which result belongs to which call
                   still counts, how they are called does not.
``fragment``       What follows # in an address says nothing to a server (clean.url leaves it out).
``headers``        Retry counts, dates, ids of requests, credentials: no header is matched by.

An id that names something kept on a provider's side (a previous response, a file) stays: it stands for content.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping

_RULE = "tool-call-ids"

#: Where the ids stand: OpenAI's chat (Mistral, Groq and Cohere share it), Anthropic's messages, Bedrock's converse,
#: OpenAI's responses, Gemini. ``[]`` is every item of a list.
_PLACES = (
    "messages[].tool_calls[].id",
    "messages[].tool_call_id",
    "messages[].content[].id",
    "messages[].content[].tool_use_id",
    "messages[].content[].toolUse.toolUseId",
    "messages[].content[].toolResult.toolUseId",
    "input[].id",
    "input[].call_id",
    "contents[].parts[].functionCall.id",
    "contents[].parts[].functionResponse.id",
)
_PATHS = tuple(tuple(place.replace("[]", ".[]").split(".")) for place in _PLACES)
#: An item that stands for another one by its id, wherever that is kept.
_REFERENCE = "item_reference"


def steadied(body: Any) -> Any:
    """The body of a model call, its tool calls' ids renamed. The one given stays as it is, and shares parts."""
    if not isinstance(body, dict):
        return body
    known: dict[str, str] = {}

    def renamed(old: str) -> str:
        return known.setdefault(old, f"[{_RULE}: {len(known) + 1}]")

    for path in _PATHS:
        if path[0] in body:
            body = _replaced(body, path, renamed)
    return body


def _replaced(value: Any, path: tuple[str, ...], renamed: Callable[[str], str]) -> Any:
    """The same value with the texts at a path renamed; itself where it has none."""
    if not path:
        return renamed(value) if isinstance(value, str) else value
    first, rest = path[0], path[1:]
    if first == "[]":
        if not isinstance(value, list):
            return value
        items = [_replaced(item, rest, renamed) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not isinstance(value, Mapping) or first not in value or value.get("type") == _REFERENCE:
        return value
    before = value[first]
    after = _replaced(before, rest, renamed)
    return value if after is before else {**value, first: after}
