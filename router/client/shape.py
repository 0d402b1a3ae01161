"""The type that an answer is asked for: as the JSON schema that is sent, and as what reads the text that comes back.

Any type that pydantic validates: its models, dataclasses, TypedDicts, ``list[int]``, a Literal. What is no JSON object
is asked for as the field ``value`` of one, because providers take only objects.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Callable, Generic, Mapping, TypeVar, cast

T = TypeVar("T")

_WRAPPED = "value"
#: What a schema's name must not hold, by OpenAI's rule.
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")


class Shape(Generic[T]):
    """``read`` gives the value in an answer; ``response_format`` is what a provider is sent."""

    def __init__(self, kind: type[T]) -> None:
        from pydantic import TypeAdapter  # noqa: PLC0415 - `import router` stays light

        self._adapter = TypeAdapter(kind)
        given = self._adapter.json_schema()
        schema = _inlined(given)
        self._is_wrapped = schema.get("type") != "object"
        self._schema = _wrapped(given) if self._is_wrapped else schema
        self._name = _NO_NAME.sub("_", getattr(kind, "__name__", "") or "answer")[:64]

    def response_format(self) -> dict[str, Any]:
        closed, is_strict = _closed(self._schema)
        return {"type": "json_schema", "json_schema": {"name": self._name, "schema": closed, "strict": is_strict}}

    def read(self, text: str) -> tuple[T, tuple[str, ...]]:
        """The value and no errors, or nothing of use and what is wrong with the text, a line for each place."""
        from pydantic import ValidationError  # noqa: PLC0415 - likewise

        try:
            if self._is_wrapped:
                whole = json.loads(text)
                if not isinstance(whole, dict) or _WRAPPED not in whole:
                    return cast(T, None), (f"no object with the field {_WRAPPED!r}",)
                text = json.dumps(whole[_WRAPPED])
            return self._adapter.validate_json(text), ()
        except ValidationError as error:
            return cast(T, None), tuple(map(_line, error.errors(include_url=False, include_context=False)))
        except (ValueError, RecursionError) as error:
            return cast(T, None), (f"no JSON: {error}",)


@lru_cache(maxsize=256)
def _kept(kind: Any) -> Shape[Any]:
    return Shape(kind)


def shape_of(kind: type[T] | None) -> Shape[T] | None:
    """The shape of a type, made once; None for an answer that is any text."""
    if kind is None:
        return None
    try:
        return _kept(cast(Any, kind))
    except TypeError:  # a type that can't be hashed: one with a list in its annotations
        return Shape(kind)


def _line(error: Mapping[str, Any]) -> str:
    where = ".".join(map(str, error["loc"]))
    return f"{where}: {error['msg']}" if where else str(error["msg"])


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A recursive type's schema is a reference alone; providers want the object itself at the top."""
    reference = str(schema.get("$ref", ""))
    if not reference.startswith("#/$defs/"):
        return schema
    return {**schema["$defs"][reference.removeprefix("#/$defs/")], "$defs": schema["$defs"]}


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    outer = {"type": "object", "properties": {_WRAPPED: inner}, "required": [_WRAPPED]}
    return outer | ({"$defs": schema["$defs"]} if "$defs" in schema else {})


def _closed(schema: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The schema with every object closed and all its fields required, which providers ask for before they promise to
    follow it; False where it has an object with keys of any name, and so can't be promised."""
    strict = True

    def closed(node: Any) -> Any:
        nonlocal strict
        if isinstance(node, list):
            return [closed(each) for each in node]
        if not isinstance(node, dict):
            return node
        made = {key: _below(key, value, closed) for key, value in node.items() if key != "default"}
        if made.get("type") == "object":
            if made.get("additionalProperties", False) is not False or "properties" not in made:
                strict = False
            else:
                made |= {"additionalProperties": False, "required": list(made["properties"])}
        return made

    return closed(dict(schema)), strict


def _below(key: str, value: Any, closed: Callable[[Any], Any]) -> Any:
    """What a schema holds under a keyword: schemas by name, values as they are, or a schema."""
    if key in {"properties", "$defs"}:
        return {name: closed(each) for name, each in value.items()}
    return value if key in {"const", "enum", "examples"} else closed(value)
