"""A payload as a tree of plain containers and nodes: for readers that want all its values, but none of its classes."""

from __future__ import annotations

import json
from typing import Any, Iterator, NamedTuple

import ormsgpack

from tracer.codec.tags import LAYOUTS, Tag

Path = tuple[Any, ...]


class Node:
    """An extension; ``parts`` are the elements of its body once somebody looked inside, and may then be changed."""

    __slots__ = ("body", "parts", "tag")

    def __init__(self, tag: int, body: bytes) -> None:
        self.tag = tag
        self.body = body
        self.parts: list[Any] | None = None

    def open(self) -> list[Any]:
        if self.parts is None:
            self.parts = ormsgpack.unpackb(self.body, ext_hook=Node)
        return self.parts


class Place(NamedTuple):
    """Where a value stands: ``container[at] = new`` replaces it. ``path`` is a chain of (path, step) pairs.

    ``name`` is the key or attribute it is reached by, where that is text. ``is_key`` is true for the key of a pair.
    """

    container: Any
    at: Any
    value: Any
    path: Path
    name: str | None = None
    is_key: bool = False


def parse(data: bytes) -> list[Any]:
    """The tree, inside a list of one, so that the root has a place as well."""
    return [ormsgpack.unpackb(data, ext_hook=Node)]


def dump(tree: list[Any]) -> bytes:
    return ormsgpack.packb(tree[0], _dump_node)


def _dump_node(node: Node) -> ormsgpack.Ext:
    body = node.body if node.parts is None else ormsgpack.packb(node.parts, _dump_node)
    return ormsgpack.Ext(node.tag, body)


def walk(tree: list[Any]) -> Iterator[Place]:
    """Every value in the tree, containers before what they hold. Needs no stack, however deep the tree is.

    A value is looked into after it was given out; one that was replaced is not.
    """
    waiting = [Place(tree, 0, tree[0], ())]
    while waiting:
        place = waiting.pop()
        yield place
        if place.container[place.at] is place.value:
            waiting.extend(reversed(_inside(place.value, place.path, place.name)))


def _inside(value: Any, path: Path, name: str | None) -> list[Place]:
    if type(value) is dict:
        return [Place(value, key, part, (path, _step(key)), key) for key, part in value.items()]
    if type(value) is list:
        return [Place(value, index, part, (path, f"[{index}]"), name) for index, part in enumerate(value)]
    if type(value) is Node and value.tag in LAYOUTS:
        return _inside_node(value, path, name)
    return []


def _inside_node(node: Node, path: Path, name: str | None) -> list[Place]:
    layout = LAYOUTS[node.tag]
    parts = node.open()
    places: list[Place] = []
    for index, (role, part) in enumerate(zip(layout.head, parts, strict=False)):
        if role == "." or (role == "fields" and type(part) is not dict):
            places.append(Place(parts, index, part, path, name))
        elif role == "fields":
            places += [Place(part, field, value, (path, _step(field)), field) for field, value in part.items()]
        elif role != "-":
            places.append(Place(parts, index, part, (path, f".{role}"), role))
    start = len(layout.head)
    if layout.rest == "items":
        places += [Place(parts, at, parts[at], (path, f"[{at - start}]"), name) for at in range(start, len(parts))]
    elif layout.rest == "pairs":
        for at in range(start, len(parts) - 1, 2):
            key = parts[at]
            step = _step(key)
            places.append(Place(parts, at, key, (path, f"[key {(at - start) // 2}]"), is_key=True))
            places.append(Place(parts, at + 1, parts[at + 1], (path, step), key if type(key) is str else None))
    return places


def _step(key: Any) -> str:
    if type(key) is str:
        return f".{key}" if key.isidentifier() else f"[{json.dumps(key, ensure_ascii=False)}]"
    return f"[{_key_text(key)}]"


def _key_text(key: Any) -> str:
    if type(key) is Node:
        if key.tag == Tag.TUPLE:
            return f"({', '.join(_key_text(part) for part in key.open()[:5])})"
        return Tag(key.tag).name.lower() if key.tag in Tag._value2member_map_ else str(key.tag)
    return repr(key)[:60]


def path_text(path: Path) -> str:
    """``$.items[3].conn``; keys that are no identifiers are quoted."""
    steps = []
    while path:
        path, step = path
        steps.append(step)
    return "$" + "".join(reversed(steps))


def lossy_paths(data: bytes) -> tuple[str, ...]:
    """Where in a payload something stands that can't be restored, in the order of the payload."""
    found = (
        path_text(place.path)
        for place in walk(parse(data))
        if type(place.value) is Node and place.value.tag in (Tag.LOSSY, Tag.UNFOUND)
    )
    return tuple(dict.fromkeys(found))
