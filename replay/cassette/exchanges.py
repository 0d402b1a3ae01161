"""The short form of a settled HTTP exchange in a cassette: a request and a response as one would write them down.

``{"$request": {"method", "url", "headers", "body"}}`` and ``{"$response": {"status", "headers", "body"}}``, headers as
pairs, a body in one piece. An exchange of any other shape stays in the general form. Pure.
"""

from __future__ import annotations

from typing import Any, Callable

from tracer.codec.tags import Tag
from tracer.codec.tree import Node

_REQUEST, _RESPONSE, _CHUNK = "tracer.wire:HttpRequest", "tracer.wire:HttpResponse", "tracer.wire:Chunk"
#: How a response ends when nothing went wrong: not worth a line.
_USUAL_END = {"ended": "complete", "error": None}


def shown_exchange(node: Node, show: Callable[[Any], Any]) -> dict[str, Any] | None:
    """The short form of a node, or None where it has none. ``show`` gives the form of a part."""
    if node.tag != Tag.DATACLASS:
        return None
    parts = node.open()
    if len(parts) != 2 or type(parts[1]) is not dict:
        return None
    name, fields = parts
    if name == _REQUEST and list(fields) == ["method", "url", "headers", "body"]:
        pairs = _pairs(fields["headers"])
        return None if pairs is None else {"$request": {**fields, "headers": pairs, "body": show(fields["body"])}}
    if name == _RESPONSE and list(fields) == ["status", "headers", "chunks", "ended", "error"]:
        return _shown_response(fields, show)
    return None


def _shown_response(fields: dict[str, Any], show: Callable[[Any], Any]) -> dict[str, Any] | None:
    pairs, chunks = _pairs(fields["headers"]), _items(fields["chunks"])
    if pairs is None or chunks is None or len(chunks) > 1:
        return None
    said = {"status": fields["status"], "headers": pairs}
    if chunks:
        chunk = chunks[0].open() if type(chunks[0]) is Node and chunks[0].tag == Tag.DATACLASS else []
        if len(chunk) != 2 or chunk[0] != _CHUNK or list(chunk[1].items())[:1] != [("after_ns", 0)]:
            return None
        said["body"] = show(chunk[1]["data"])
    ending = {"ended": fields["ended"], "error": show(fields["error"])}
    return {"$response": said if ending == _USUAL_END else {**said, **ending}}


def exchange_node(word: str, said: Any, value_of: Callable[[Any], Any]) -> Node:
    """The node that a short form stands for. Raises ValueError."""
    try:
        headers = _tuple(_tuple(map(_text, pair)) for pair in said["headers"])
        if word == "$request":
            fields = {"method": said["method"], "url": said["url"], "headers": headers, "body": value_of(said["body"])}
            return _dataclass(_REQUEST, fields)
        chunks = [_dataclass(_CHUNK, {"after_ns": 0, "data": value_of(said["body"])})] if "body" in said else []
        ending = {name: value_of(said.get(name, usual)) for name, usual in _USUAL_END.items()}
        return _dataclass(_RESPONSE, {"status": said["status"], "headers": headers, "chunks": _tuple(chunks), **ending})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{word} is not whole: {error}") from None


def _items(value: Any) -> list[Any] | None:
    return value.open() if type(value) is Node and value.tag == Tag.TUPLE else None


def _pairs(value: Any) -> list[list[str]] | None:
    pairs = [_items(pair) for pair in _items(value) or ()]
    is_plain = all(pair is not None and len(pair) == 2 and all(type(part) is str for part in pair) for pair in pairs)
    return [pair for pair in pairs if pair is not None] if is_plain and _items(value) is not None else None


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("a header takes two texts")
    return value


def _tuple(items: Any) -> Node:
    node = Node(Tag.TUPLE, b"")
    node.parts = list(items)
    return node


def _dataclass(name: str, fields: dict[str, Any]) -> Node:
    node = Node(Tag.DATACLASS, b"")
    node.parts = [name, fields]
    return node
