"""Any recorded value as plain JSON: a type that JSON has no word for becomes its text, or its parts by name."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from tracer.shapes import Branch, shape

_DEPTH_LIMIT = 200


def plain(value: Any, *, depth: int = 0) -> Any:
    """JSON-able, without loss where JSON can hold it: mappings, lists, text, numbers; classes become their fields."""
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, (int, float)):
        return _number(value)
    if depth > _DEPTH_LIMIT:
        return "(nested too deep)"
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, (Sequence, AbstractSet)) and not hasattr(value, "_fields"):
        return [plain(item, depth=depth + 1) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        form = shape(value)
        if not isinstance(form, Branch):
            return form.text
    else:
        form = shape(value)
        if not isinstance(form, Branch):
            return form.text
    return {label: plain(item, depth=depth + 1) for label, _, item in form.items}


def packable(parts: Iterable[Any]) -> Iterator[Any]:
    """The fields of an event where something said of the step (a tag, a name, a usage) is no plain data."""
    for part in parts:
        text = None if isinstance(part, bytes) else json.dumps(plain(part), ensure_ascii=False)
        yield part if text is None else json.loads(text.encode("utf-8", "replace"))


def _number(value: float) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    return int(value) if value.bit_length() <= 4_000 else hex(value)
