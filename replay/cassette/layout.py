"""JSON as a code review wants it: the same value is always the same text, and one thing changed is one line changed.

What fits on a line stands on one; otherwise each part has its own. Whether it fits does not depend on how deep it
stands, so nothing is laid out anew because something around it changed.
"""

from __future__ import annotations

import json
import re
from typing import Any

_WIDTH = 96
_ESCAPED = re.compile(r"[^\x20-\x7e]")


def dumps(value: Any) -> str:
    """JSON text that ends with a line break. Characters that can't be seen are escaped."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict) and value:
        return _block("{", [(f"{_text(key)}: ", part) for key, part in value.items()], "}")
    if isinstance(value, list) and value:
        return _block("[", [("", part) for part in value], "]")
    return [_text(value) if isinstance(value, str) else json.dumps(value)]


def _block(start: str, parts: list[tuple[str, Any]], end: str) -> list[str]:
    inside: list[str] = []
    fits = True
    for number, (label, part) in enumerate(parts, 1):
        lines = _lines(part)
        lines[0] = label + lines[0]
        if number < len(parts):
            lines[-1] += ","
        fits = fits and len(lines) == 1
        inside += lines
    if fits and sum(map(len, inside)) + len(inside) < _WIDTH:
        return [f"{start}{' '.join(inside)}{end}"]
    return [start, *(f"  {line}" for line in inside), end]


def _text(text: str) -> str:
    return _ESCAPED.sub(_seen, json.dumps(text, ensure_ascii=False))


def _seen(found: re.Match[str]) -> str:
    return found.group() if found.group().isprintable() else json.dumps(found.group())[1:-1]
