"""What the codec gives besides plain Python values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Encoded(NamedTuple):
    """A value as bytes. ``lossy`` holds the paths of what can't be restored ("$.client"); empty means exact."""

    data: bytes
    lossy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lossy:
    """Stands where a value could not be kept: its class and its bounded repr, memory addresses taken out."""

    type: str
    text: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """Stands where a class can't be found among the imported ones: its name, and what the value held.

    ``raw`` is the extension (tag, body) it was read from; encoding an opaque gives these bytes back.
    """

    type: str
    value: Any = field(hash=False)
    raw: tuple[int, bytes] | None = field(default=None, repr=False)

    def __hash__(self) -> int:
        return hash((self.type, self.raw))


@dataclass(frozen=True, slots=True)
class Yielded:
    """What a generator gave: the items in order, and the value it returned."""

    items: tuple[Any, ...]
    returned: Any = None
