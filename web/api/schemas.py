"""JSON Schema of our own types, as ``tracer.plain`` writes them: every field is there, and no other. Pure."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

REF = "#/components/schemas/"
_PLAIN: dict[Any, dict[str, Any]] = {
    Any: {},
    object: {},
    None: {"type": "null"},
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
}
_NUMBER = {"anyOf": [{"type": "number"}, {"type": "null"}]}
#: What ``as_json`` adds to some types where it writes them: properties that follow from their fields.
_ADDED: dict[str, dict[str, Any]] = {
    "Share": {"value": _NUMBER, "share": _NUMBER},
    "Difference": {"total": {"type": "integer"}},
    "Point": {"identified": {"type": "boolean"}},
}


class Schemas:
    """Schemas of types, and in ``named`` those of the data classes among them, each under its name."""

    def __init__(self) -> None:
        self.named: dict[str, dict[str, Any]] = {}
        self._known: dict[str, type] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """Raises TypeError for a type that JSON has no word for, and where two have one name."""
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            return self._named(kind)
        outer, inner = get_origin(kind), get_args(kind)
        if outer is Literal:
            return {"enum": list(inner)}
        if outer in (Union, types.UnionType):
            return {"anyOf": [self.of(each) for each in inner]}
        made = outer or kind
        if isinstance(made, type) and issubclass(made, Mapping):
            # a key is always a text; a Counter has one argument, and numbers
            values = self.of(inner[1]) if len(inner) > 1 else {"type": "integer"} if inner else {}
            return {"type": "object", "additionalProperties": values}
        if isinstance(made, type) and issubclass(made, (Sequence, AbstractSet)):
            return self._many(inner)
        raise TypeError(f"{kind!r} has no schema")

    def _many(self, inner: tuple[Any, ...]) -> dict[str, Any]:
        if len(inner) > 1 and inner[1] is not Ellipsis:
            return {
                "type": "array",
                "prefixItems": [self.of(each) for each in inner],
                "items": False,
                "minItems": len(inner),
            }
        return {"type": "array", "items": self.of(inner[0]) if inner else {}}

    def _named(self, kind: type) -> dict[str, Any]:
        name = kind.__name__
        if self._known.setdefault(name, kind) is not kind:
            raise TypeError(f"two types are called {name}: {self._known[name]!r} and {kind!r}")
        if name not in self.named:
            self.named[name] = {}  # a type may hold itself
            hints = get_type_hints(kind)
            fields = {each.name: self.of(hints[each.name]) for each in dataclasses.fields(kind)}
            told: dict[str, Any] = {"type": "object", "required": list(fields)}
            told |= {"properties": {**fields, **_ADDED.get(name, {})}, "additionalProperties": False}
            words = inspect.getdoc(kind) or ""
            # a class without a docstring has its signature in its place
            self.named[name] = told if words.startswith(f"{name}(") else {"description": words, **told}
        return {"$ref": f"{REF}{name}"}
