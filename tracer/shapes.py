"""What a value is made of: a leaf with its text, or a branch with its parts. Only this room knows Python's types."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Literal
from uuid import UUID

from tracer.codec import Lossy, Opaque, Yielded


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value without parts. ``type`` is empty where the text tells it; ``missing`` counts characters cut off."""

    text: str
    tone: Literal["string", "number", "constant", "binary", "opaque"]
    type: str = ""
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Branch:
    """A value with parts: (label, step of the path, part). ``empty`` is what to say when there are none."""

    type: str
    count: int
    items: Iterator[tuple[str, str, Any]]
    empty: str = ""
    summary: str = ""


_WRITTEN_OUT = (Decimal, UUID, PurePath, Fraction, complex, datetime, date, time, timedelta)


def shape(value: Any) -> Leaf | Branch:
    """The form of any value that a payload can hold; what is not known here becomes a leaf with its repr."""
    leaf = _scalar(value)
    if leaf is not None:
        return leaf
    if isinstance(value, Opaque):
        return _opaque(value)
    if isinstance(value, Yielded):
        parts = {"yielded": list(value.items), "returned": value.returned}
        return Branch("generator", 2, _attributes(parts))
    if isinstance(value, Mapping):
        return Branch(_foreign(value, dict), len(value), _members(value), empty="{}")
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        named = dict(zip(value._fields, value, strict=True))
        return Branch(type(value).__name__, len(named), _attributes(named), empty="no fields")
    if isinstance(value, (Sequence, AbstractSet)):
        return _many(value)
    fields = _fields(value)
    if fields is not None:
        return Branch(type(value).__name__, len(fields), _attributes(fields), empty="no fields")
    return Leaf(_safe_repr(value), "opaque", type(value).__name__)


def _scalar(value: Any) -> Leaf | None:
    match value:
        case None | True | False:
            return Leaf(str(value), "constant")
        case Lossy():
            return Leaf(value.text, "opaque", value.type)
        case Enum():
            return Leaf(value.name, "constant", type(value).__name__)
        case str():
            return Leaf(str(value), "string", _foreign(value, str))
        case int() | float():
            return Leaf(_number(value), "number", "" if type(value) in (int, float) else type(value).__name__)
        case bytes() | bytearray() | memoryview():
            data = bytes(value[:64])
            return Leaf(data.hex(" "), "binary", f"{type(value).__name__}, {len(value):,} B", max(0, len(value) - 64))
    if isinstance(value, _WRITTEN_OUT):
        name = "Path" if isinstance(value, PurePath) else type(value).__name__
        return Leaf(value.isoformat(sep=" ") if isinstance(value, datetime) else str(value), "number", name)
    return None


def _number(value: float) -> str:
    """An int too long for str() is shown by its size: Python refuses to print it."""
    if isinstance(value, int) and value.bit_length() > 4_000:
        return f"an integer of {value.bit_length():,} bits"
    return str(value)


def _opaque(value: Opaque) -> Branch | Leaf:
    """A class that is not imported here: its recorded parts under its recorded name."""
    inner = shape(value.value)
    name = value.type.replace(":", ".").rpartition(".")[2]
    return dataclasses.replace(inner, type=name)


def _many(value: Any) -> Branch:
    ordered = value if isinstance(value, Sequence) else sorted(value, key=_safe_repr)
    name, plain = type(value).__name__, isinstance(value, list)
    items = ((str(i), f"[{i}]", item) for i, item in enumerate(ordered))
    summary = "" if plain else f"of {len(value)}"
    return Branch("" if plain else name, len(value), items, empty="[]" if plain else "empty", summary=summary)


def _members(value: Mapping[Any, Any]) -> Iterator[tuple[str, str, Any]]:
    for key, item in value.items():
        label = key if isinstance(key, str) else _safe_repr(key)
        yield label, f".{label}", item


def _attributes(fields: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    return ((name, f".{name}", item) for name, item in fields.items())


def _fields(value: Any) -> dict[str, Any] | None:
    """The parts of a data class, an attrs class, a pydantic model, an exception or an array; None for anything else."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(kind)}
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name, None) for field in kind.__attrs_attrs__}
    if isinstance(getattr(kind, "model_fields", None), dict):
        return {name: getattr(value, name, None) for name in kind.model_fields}
    if isinstance(value, BaseException):
        return {"args": value.args}
    if hasattr(value, "tolist") and hasattr(value, "shape"):
        return {"shape": "×".join(map(str, value.shape)), "dtype": str(value.dtype), "values": value.tolist()}
    return None


def _foreign(value: Any, plain: type) -> str:
    """The type's name, where it is a subclass worth a word."""
    return "" if type(value) is plain else type(value).__name__


def _safe_repr(value: Any) -> str:
    try:
        return repr(value)[:2_000]
    except Exception:  # noqa: BLE001  # a recorded class may have a broken __repr__; the page must not break with it
        return f"<{type(value).__name__}>"
