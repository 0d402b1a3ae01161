"""Any recorded value as plain JSON: a type that JSON has no word for becomes its text, or its parts by name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
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


def _number(value: float) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    return int(value) if value.bit_length() <= 4_000 else hex(value)
