"""The byte form, version 1: MessagePack, with one extension type for each Python type that MessagePack has no word for.

An extension's body is empty, raw bytes, or one MessagePack array. ``LAYOUTS`` says what the elements of that array are,
so that a reader without the classes can still find every value inside it. Numbers are never reused.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import ormsgpack

#: What the encoder hands to its hook instead of writing it as its nearest plain type.
PASSTHROUGH = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)


class Tag(IntEnum):
    TUPLE = 1
    SET = 2
    FROZENSET = 3
    DICT = 4  # with a key that is no plain string
    BIG_INT = 5
    COMPLEX = 6
    SURROGATE_TEXT = 7
    BYTEARRAY = 8
    RANGE = 9
    SLICE = 10
    ELLIPSIS = 11
    DEQUE = 12
    ORDERED_DICT = 13
    DEFAULT_DICT = 14
    COUNTER = 15
    DATETIME = 16
    DATE = 17
    TIME = 18
    TIMEDELTA = 19
    TIMEZONE = 20
    ZONE_INFO = 21
    DECIMAL = 22
    FRACTION = 23
    UUID = 24
    PATH = 25
    PATTERN = 26
    NAMESPACE = 27
    CLASS = 28
    DATACLASS = 29
    ATTRS = 30
    PYDANTIC = 31
    NAMED_TUPLE = 32
    ENUM = 33
    EXCEPTION = 34
    SUBCLASS = 35
    ARRAY = 36
    SCALAR = 37
    LOSSY = 120
    UNFOUND = 121  # a value of a class that decoding could not find again


class Layout(NamedTuple):
    """The elements of a body: ``head`` are the roles of the first ones, ``rest`` what all the others are.

    Roles: ``-`` structure, not a value; ``.`` a value with no step of its own in a path; ``fields`` a mapping of
    attribute to value; any other word is a value reached by that attribute. ``rest`` is ``items``, ``pairs`` (key,
    value, key, value ...) or nothing. ``ordered`` is false where the order of the rest has no meaning.
    """

    head: tuple[str, ...] = ()
    rest: str = ""
    ordered: bool = True


_OBJECT = Layout(("-", "fields"))
#: Tags that are missing here have a body without values.
LAYOUTS: dict[int, Layout] = {
    Tag.TUPLE: Layout(rest="items"),
    Tag.SET: Layout(rest="items", ordered=False),
    Tag.FROZENSET: Layout(rest="items", ordered=False),
    Tag.DICT: Layout(rest="pairs", ordered=False),
    Tag.RANGE: Layout(("start", "stop", "step")),
    Tag.SLICE: Layout(("start", "stop", "step")),
    Tag.DEQUE: Layout(("-",), "items"),
    Tag.ORDERED_DICT: Layout(rest="pairs"),
    Tag.DEFAULT_DICT: Layout(("default_factory",), "pairs", ordered=False),
    Tag.COUNTER: Layout(rest="pairs", ordered=False),
    Tag.FRACTION: Layout(("numerator", "denominator")),
    Tag.NAMESPACE: Layout(("fields",)),
    Tag.DATACLASS: _OBJECT,
    Tag.ATTRS: _OBJECT,
    Tag.PYDANTIC: Layout(("-", "fields", "-", "fields")),
    Tag.NAMED_TUPLE: _OBJECT,
    Tag.EXCEPTION: _OBJECT,
    Tag.SUBCLASS: Layout(("-", ".", "fields")),
    Tag.UNFOUND: Layout(("-", ".")),
}


def pack_array(parts: list[bytes]) -> bytes:
    """One MessagePack array of elements that are packed already."""
    size = len(parts)
    if size < 16:
        head = bytes((0x90 | size,))
    elif size < 65_536:
        head = b"\xdc" + size.to_bytes(2, "big")
    else:
        head = b"\xdd" + size.to_bytes(4, "big")
    return head + b"".join(parts)


#: MessagePack types with a fixed number of bytes after the first one, and those with a length of so many bytes.
_FIXED = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_SIZED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXT_FIXED = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_EXT_SIZED = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_COUNTED = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def depth_of(data: bytes) -> int:
    """How deep the containers of one MessagePack value are nested, extensions not looked into. Needs no stack.

    Torn bytes give the depth up to the tear.
    """
    at, deepest, end = 0, 0, len(data)
    open_counts = [1]
    while open_counts and at < end:
        if open_counts[-1] == 0:
            open_counts.pop()
            continue
        open_counts[-1] -= 1
        first = data[at]
        at += 1
        children = 0
        if 0x80 <= first < 0xA0:
            children = (first & 0x0F) * (2 if first < 0x90 else 1)
        elif first in _COUNTED:
            width, per = _COUNTED[first]
            children = int.from_bytes(data[at : at + width], "big") * per
            at += width
        else:
            at += _skip(first, data, at)
        if children:
            open_counts.append(children)
            deepest = max(deepest, len(open_counts))
    return deepest


def _skip(first: int, data: bytes, at: int) -> int:
    if 0xA0 <= first < 0xC0:
        return first & 0x1F
    if first in _FIXED:
        return _FIXED[first]
    if first in _EXT_FIXED:
        return 1 + _EXT_FIXED[first]
    if (width := _SIZED.get(first)) is not None:
        return width + int.from_bytes(data[at : at + width], "big")
    if (width := _EXT_SIZED.get(first)) is not None:
        return width + 1 + int.from_bytes(data[at : at + width], "big")
    return 0


class Depth:
    """Keeps nested bodies from exhausting the C stack: each level of a body costs a native frame.

    One body may nest about 1,000 levels before the unpacker itself refuses; bodies inside bodies add up. So a body is
    charged with the most it could hold, and measured exactly where the bill would grow too long.
    """

    #: Levels that are charged unseen, and levels altogether, at less than 512 bytes of stack each: 5 MB of usually 8.
    #: The encoder's quick way writes at most 24 bodies of 255 levels.
    UNSEEN_LEVELS = 3_000
    MOST_LEVELS = 9_500
    #: Each costs a few Python frames as well; the encoder writes at most 100.
    MOST_BODIES = 110

    def __init__(self) -> None:
        self._charges: list[int] = []
        self._levels = 0

    def enter(self, body: bytes) -> None:
        """Before a body is unpacked. Raises ValueError where that would go too deep."""
        charge = min(1_024, len(body))
        if self._levels + charge > self.UNSEEN_LEVELS:
            charge = depth_of(body)
        if self._levels + charge > self.MOST_LEVELS or len(self._charges) >= self.MOST_BODIES:
            raise ValueError("nested too deep")
        self._charges.append(charge)
        self._levels += charge

    def leave(self) -> None:
        self._levels -= self._charges.pop()
