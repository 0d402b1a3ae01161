"""Whether a JSON value fits a JSON Schema, and if not, where. Pure.

It knows what schemas of types consist of: types, enums, parts, bounds, unions, references into ``$defs``. What it does
not know it lets pass: the type itself has the last word, when the run goes on.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Callable, Iterator, Mapping

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
_BOUNDS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "minimum": (lambda value, bound: value >= bound, "at least"),
    "maximum": (lambda value, bound: value <= bound, "at most"),
    "exclusiveMinimum": (lambda value, bound: value > bound, "above"),
    "exclusiveMaximum": (lambda value, bound: value < bound, "below"),
}
_LENGTHS: Mapping[str, tuple[type[str | list[Any]], Callable[[int, int], bool], str]] = {
    "minLength": (str, lambda length, bound: length >= bound, "at least {} characters"),
    "maxLength": (str, lambda length, bound: length <= bound, "at most {} characters"),
    "minItems": (list, lambda length, bound: length >= bound, "at least {} items"),
    "maxItems": (list, lambda length, bound: length <= bound, "at most {} items"),
}
#: A schema that refers to itself in a circle, with nothing in between, says nothing.
_DEEPEST = 200


def breach(schema: Any, value: Any) -> str | None:
    """The first place where the value does not fit, as ``$.amount: 3 is not at least 5``; None where all fits."""
    return next(_breaches(schema, value, "$", schema, 0), None)


def _breaches(schema: Any, value: Any, path: str, whole: Any, depth: int) -> Iterator[str]:
    if schema is False:
        yield f"{path}: nothing fits here"
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return
    if (meant := _referred(schema.get("$ref"), whole)) is not None:
        yield from _breaches(meant, value, path, whole, depth + 1)
    types = _listed(schema.get("type"))
    known = [_TYPES[each] for each in types if each in _TYPES]
    if known and not any(fits(value) for fits in known):
        yield f"{path}: {_shown(value)} is no {' or '.join(types)}"
        return
    yield from _of_value(schema, value, path)
    yield from _of_unions(schema, value, path, whole, depth)
    if isinstance(value, dict):
        yield from _of_object(schema, value, path, whole, depth)
    if isinstance(value, list):
        yield from _of_array(schema, value, path, whole, depth)


def _of_value(schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{path}: {_shown(value)} is not {_shown(schema['const'])}"
    if isinstance(schema.get("enum"), list) and not any(_same(value, each) for each in schema["enum"]):
        yield f"{path}: {_shown(value)} is none of {', '.join(map(_shown, schema['enum']))}"
    for word, (holds, told) in _BOUNDS.items():
        if _is_number(value) and _is_number(bound := schema.get(word)) and not holds(value, bound):
            yield f"{path}: {_shown(value)} is not {told} {bound}"
    for word, (kind, fits, told) in _LENGTHS.items():
        bound = schema.get(word)
        if isinstance(value, kind) and isinstance(bound, int) and not fits(len(value), bound):
            yield f"{path}: {_shown(value)} has not {told.format(bound)}"
    if isinstance(value, str) and isinstance(pattern := schema.get("pattern"), str) and not _matches(pattern, value):
        yield f"{path}: {_shown(value)} does not match {pattern}"


def _of_unions(schema: Mapping[str, Any], value: Any, path: str, whole: Any, depth: int) -> Iterator[str]:
    for each in schema.get("allOf") or ():
        yield from _breaches(each, value, path, whole, depth + 1)
    for word in ("anyOf", "oneOf"):
        if each_of := schema.get(word):
            found = [next(_breaches(each, value, path, whole, depth + 1), None) for each in each_of]
            if all(found):
                yield min((each for each in found if each), key=_shallowness)


def _of_object(schema: Mapping[str, Any], value: Mapping[str, Any], path: str, whole: Any, depth: int) -> Iterator[str]:
    parts = schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in value:
            yield f"{path}.{name}: is missing"
    others = schema.get("additionalProperties", True)
    for name, part in value.items():
        if name not in parts and others is False:
            yield f"{path}.{name}: is not known; there are {', '.join(parts) or 'none'}"
        else:
            yield from _breaches(parts.get(name, others), part, f"{path}.{name}", whole, depth + 1)


def _of_array(schema: Mapping[str, Any], value: list[Any], path: str, whole: Any, depth: int) -> Iterator[str]:
    first = schema.get("prefixItems") or []
    for index, part in enumerate(value):
        wanted = first[index] if index < len(first) else schema.get("items", True)
        yield from _breaches(wanted, part, f"{path}[{index}]", whole, depth + 1)
    if schema.get("uniqueItems") and any(_same(one, other) for one, other in pairwise(sorted(value, key=repr))):
        yield f"{path}: the same item twice"


def _referred(name: Any, whole: Any) -> Any:
    """What ``#/$defs/Name`` refers to in the whole schema."""
    found = whole
    for part in name.split("/")[1:] if isinstance(name, str) and name.startswith("#/") else ():
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return None if found is whole and name != "#" else found


def _listed(value: Any) -> list[str]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    """JSON's equality: true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return True


def _shallowness(told: str) -> int:
    """Of several types, the one that the value came furthest with is likely meant."""
    place = told.partition(":")[0]
    return -(place.count(".") + place.count("["))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
