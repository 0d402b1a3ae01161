"""Two values, and where they differ: by path, for a reader. Pure.

Paths read like Python: ``$.intent``, ``$.messages[2].content``, ``$['a key']``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Iterator, Mapping

#: Of a difference, this many places are worth listing.
MOST_CHANGES = 200
#: Beyond this depth two values are compared as a whole.
_DEEPEST = 60


class Missing:
    """Stands where one side has nothing."""

    def __repr__(self) -> str:
        return "(nothing)"


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class Change:
    """One place where two values differ; MISSING on the side that has nothing there."""

    path: str
    before: Any
    after: Any


def compare(before: Any, after: Any) -> tuple[Change, ...]:
    """Every place where the two differ, in the order of the first, at most MOST_CHANGES of them.

    Types count: 1, 1.0 and True are three values, and so are a list and a tuple of the same items.
    """
    changes: list[Change] = []
    for change in _walk("$", before, after, 0):
        changes.append(change)
        if len(changes) == MOST_CHANGES:
            break
    return tuple(changes)


def _walk(path: str, before: Any, after: Any, depth: int) -> Iterator[Change]:
    if before is after:
        return
    left = right = None
    if type(before) is type(after) and depth < _DEEPEST:
        left, right = _parts(before), _parts(after)
    if left is None or right is None:
        if type(before) is not type(after) or not _equal(before, after):
            yield Change(path, before, after)
        return
    for key in [*left, *(key for key in right if key not in left)]:
        one, other = left.get(key, MISSING), right.get(key, MISSING)
        yield from _walk(path + _place(before, key), one, other, depth + 1)


def _parts(value: Any) -> Mapping[Any, Any] | None:
    """A value as a mapping of its parts, or None where it has none worth naming."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, MISSING) for field in fields(value)}
    if isinstance(value, BaseException):
        return {"args": value.args, **vars(value)}
    shown = getattr(value, "__dict__", None)
    return shown if isinstance(shown, dict) and type(value).__module__ != "builtins" else None


def _place(owner: Any, key: Any) -> str:
    if isinstance(owner, list | tuple) and not hasattr(owner, "_fields"):
        return f"[{key}]"
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"


def _equal(before: Any, after: Any) -> bool:
    try:
        same = before == after
        if hasattr(same, "all"):  # an array, whose == is one too
            return bool(before.shape == after.shape and before.dtype == after.dtype and same.all())
        return bool(same) or (before != before and after != after)  # NaN is not a change  # noqa: PLR0124
    except Exception:  # noqa: BLE001 - a value's own __eq__ may fail
        return repr(before) == repr(after)
