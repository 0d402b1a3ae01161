"""From a value to bytes: one call into ormsgpack where the value allows it, a careful walk where it does not."""

from __future__ import annotations

from typing import Any

from ormsgpack import Ext, packb

from tracer.codec import arrays, atoms, classes, objects
from tracer.codec.atoms import Unkept
from tracer.codec.tags import PASSTHROUGH, Tag, pack_array
from tracer.codec.tree import lossy_paths
from tracer.codec.values import Encoded, Lossy, Opaque

#: Levels of values inside values. What is no list or mapping counts twice, and once more if it has fields.
MOST_LEVELS = 200
_MOST_QUICK_BODIES = 24
#: Values inside one value. What shares its parts many levels deep has few objects and would fill any memory.
_MOST_PARTS = 1_000_000
_HOPELESS = Encoded(packb(Ext(Tag.LOSSY, packb(["object", "<could not be read>"]))), ("$",))
#: A plain number: to ask an enum for its member takes as long as to pack a small value.
_TUPLE = int(Tag.TUPLE)
_PLAIN = (bool, float, bytes, type(None))


def quick(value: Any) -> bytes | None:
    """``encode(value).data`` in one call, for the many values that are exact and of types that MessagePack has words
    for; None for any other."""
    try:
        # A tuple is what a function gives that gives two things.
        if type(value) is tuple:
            data = packb(Ext(_TUPLE, packb([*value], None, PASSTHROUGH)))
        else:
            data = packb(value, None, PASSTHROUGH)
    except Exception:  # noqa: BLE001  # there is something else in it, anywhere
        return None
    return None if _may_hold_buffer(data) and _holds_buffer(value) else data


def encode(value: Any, *, secret: tuple[type, ...] = ()) -> Encoded:
    """The value as bytes, and the paths of what will not come back as it was. Never raises.

    Of an instance of a ``secret`` class (one of the user's own) only the class is kept.
    """
    for way in (_Encoder, _CarefulEncoder):
        encoder = way(secret)
        try:
            data = encoder.pack(value)
            return Encoded(data, lossy_paths(data) if encoder.lossy else ())
        except Exception:  # noqa: BLE001  # whatever the quick way can't do, the careful way can
            if encoder.parts > _MOST_PARTS:
                return _too_much(value)
    return _HOPELESS  # out of stack or memory, and the caller still has a workflow to run


def _too_much(value: Any) -> Encoded:
    name = classes.readable(classes.name_of(type(value)))
    return Encoded(packb(Ext(Tag.LOSSY, packb([name, f"<more than {_MOST_PARTS:,} values>"]))), ("$",))


class _TooMuch(Exception):
    """The value has more parts than will be kept."""


class _Encoder:
    """The quick way. Raises for what ormsgpack has no word for: keys that are no text, lone surrogates, depth."""

    lossy = False
    parts = 0
    _bodies = 0

    def __init__(self, secret: tuple[type, ...]) -> None:
        self._secret = secret

    def pack(self, value: Any) -> bytes:
        data = packb(value, self.extend, PASSTHROUGH)
        if _may_hold_buffer(data) and _holds_buffer(value):
            raise TypeError("a bytearray or memoryview")
        return data

    def pack_parts(self, parts: list[Any]) -> bytes:
        return self.pack(parts)

    def count(self) -> None:
        self.parts += 1
        if self.parts > _MOST_PARTS:
            raise _TooMuch

    def extend(self, value: Any) -> Ext:
        self.count()
        if self._bodies >= _MOST_QUICK_BODIES:
            raise RecursionError
        self._bodies += 1
        is_tuple = type(value) is tuple  # by far the most frequent
        ext = Ext(_TUPLE, self.pack([*value])) if is_tuple else self._extension(value)
        self._bodies -= 1
        return ext

    def _extension(self, value: Any) -> Ext:
        try:
            tag, body = self._describe(value)
        except _TooMuch:
            raise
        except Exception:  # noqa: BLE001  # user's classes may do anything when looked at
            tag, body = self._give_up(objects.lossy_of(value))
        if tag in (Tag.SET, Tag.FROZENSET):
            return Ext(tag, pack_array(sorted(self.pack(part) for part in body)))
        return Ext(tag, body if isinstance(body, bytes) else self.pack_parts(body))

    def _describe(self, value: Any) -> tuple[int, atoms.Body]:
        cls = type(value)
        if self._secret and issubclass(cls, self._secret):
            return self._give_up(Lossy(classes.readable(classes.name_of(cls)), "[redacted: by type]"))
        if (writer := atoms.WRITE.get(cls) or objects.WRITE.get(cls)) is not None:
            return writer[0], writer[1](value)
        if cls is Lossy:
            return self._give_up(value)
        if cls is Opaque and value.raw is not None:
            self.lossy = True  # perhaps; the paths will tell
            tag, body = value.raw
            return tag, body
        if (array := arrays.write(value)) is not None:
            return array
        if issubclass(cls, type):
            if not classes.is_findable(value):
                raise Unkept
            return Tag.CLASS, classes.name_of(value).encode()
        return self._describe_instance(value, cls)

    def _describe_instance(self, value: Any, cls: type) -> tuple[int, atoms.Body]:
        kind = classes.kind_of(cls)
        if kind is None:
            if cls is memoryview:
                return self._unfound(cls, value.tobytes())
            raise Unkept
        content = objects.content_of(value, kind)
        if classes.is_findable(cls):
            return kind.tag, [classes.name_of(cls), *content]
        return self._unfound(cls, objects.readable_content(kind.tag, content))

    def _unfound(self, cls: type, content: Any) -> tuple[int, atoms.Body]:
        self.lossy = True
        return Tag.UNFOUND, [classes.name_of(cls), content]

    def _give_up(self, lossy: Lossy) -> tuple[int, atoms.Body]:
        self.lossy = True
        return Tag.LOSSY, [lossy.type, lossy.text]


def _may_hold_buffer(data: bytes) -> bool:
    """ormsgpack writes a bytearray as bytes without asking; only where bytes were written is it worth looking."""
    return 0xC4 in data or 0xC5 in data or 0xC6 in data


def _holds_buffer(value: Any) -> bool:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        cls = type(part)
        if cls is dict:
            waiting.extend(part.values())
        elif cls is list or cls is tuple:
            waiting.extend(part)
        elif cls is bytearray or cls is memoryview:
            return True
    return False


class _CarefulEncoder(_Encoder):
    """The same bytes, value by value: everything that the quick way trips over becomes an extension here."""

    def __init__(self, secret: tuple[type, ...]) -> None:
        super().__init__(secret)
        self._around: set[int] = set()
        self._levels = 0

    def pack(self, value: Any) -> bytes:
        return packb(self._prepare(value), None, PASSTHROUGH)

    def pack_parts(self, parts: list[Any]) -> bytes:
        # a list of ours: it takes no part in cycles and costs no level
        return packb([self._prepare(part) for part in parts], None, PASSTHROUGH)

    def _prepare(self, value: Any) -> Any:
        self.count()
        cls = type(value)
        if cls in _PLAIN:
            return value
        if cls is str:
            return value if _is_clean(value) else Ext(Tag.SURROGATE_TEXT, value.encode("utf-8", "surrogatepass"))
        if cls is int:
            in_range = -(2**63) <= value < 2**64
            return value if in_range else Ext(Tag.BIG_INT, atoms.write_int(value))
        if id(value) in self._around:
            return self._refuse(value, "<refers back to a value around it>")
        is_plain = cls is list or cls is dict
        # an object is let in only where the mapping of its fields fits as well
        if self._levels + (1 if is_plain else 3) > MOST_LEVELS:
            return self._refuse(value, f"<nested deeper than {MOST_LEVELS} levels>")
        return self._prepare_container(value, cls, 1 if is_plain else 2)

    def _prepare_container(self, value: Any, cls: type, cost: int) -> Any:
        self._levels += cost
        self._around.add(id(value))
        try:
            if cls is list:
                return [self._prepare(part) for part in value]
            if cls is dict and all(type(key) is str and _is_clean(key) for key in value):
                return {key: self._prepare(part) for key, part in value.items()}
            return self._extension(value)
        except _TooMuch:
            raise
        except Exception as error:  # noqa: BLE001  # changed by another thread meanwhile, or out of stack
            return self._refuse(value, f"<could not be read: {type(error).__name__}>")
        finally:
            self._levels -= cost
            self._around.discard(id(value))

    def _refuse(self, value: Any, reason: str) -> Ext:
        tag, body = self._give_up(Lossy(classes.readable(classes.name_of(type(value))), reason))
        return Ext(tag, packb(body))


def _is_clean(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
