"""From bytes to a value. Nothing is imported and no class's own code is run, whatever the bytes say."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ormsgpack import unpackb

from tracer.codec import arrays, atoms, classes, objects
from tracer.codec.tags import Depth, Tag
from tracer.codec.values import Opaque
from tracer.errors import CodecError

_OF_CLASSES = {Tag.DATACLASS, Tag.ATTRS, Tag.PYDANTIC, Tag.NAMED_TUPLE, Tag.ENUM, Tag.EXCEPTION, Tag.SUBCLASS}
_OF_NUMPY: dict[int, Callable[..., Any]] = {Tag.ARRAY: arrays.read_array, Tag.SCALAR: arrays.read_scalar}
_READ_PARTS = atoms.READ_PARTS | objects.READ


def decode(data: bytes) -> Any:
    """The value that was encoded. Where a class is not imported, or no longer fits, an Opaque stands in.

    Raises CodecError for bytes that are no payload.
    """
    decoder = _Decoder()
    try:
        return unpackb(data, ext_hook=decoder.read)
    except Exception as error:
        raise CodecError(f"not a payload of ours, or a torn one: {decoder.error or error}") from error


class _Decoder:
    def __init__(self) -> None:
        self._depth = Depth()
        #: The innermost error: ormsgpack does not pass on what its hook raises.
        self.error: Exception | None = None

    def read(self, tag: int, body: bytes) -> Any:
        try:
            return self._read(tag, body)
        except Exception as error:
            self.error = self.error or error
            raise

    def _read(self, tag: int, body: bytes) -> Any:
        if (raw := atoms.READ_RAW.get(tag)) is not None:
            return raw(body)
        if tag == Tag.CLASS:
            name = body.decode()
            found = classes.find_class(name)
            return Opaque(classes.readable(name), None, (tag, body)) if found is None else found
        self._depth.enter(body)
        parts = unpackb(body, ext_hook=self.read)
        self._depth.leave()
        if type(parts) is not list:
            raise CodecError("a body that is no array")
        if (reader := _READ_PARTS.get(tag)) is not None:
            return reader(*parts)
        return self._read_instance(tag, body, parts)

    def _read_instance(self, tag: int, body: bytes, parts: list[Any]) -> Any:
        if tag in _OF_NUMPY:
            return _read_numpy(tag, body, parts)
        if tag not in _OF_CLASSES and tag != Tag.UNFOUND:
            raise CodecError(f"extension {tag} is unknown")
        name, *content = parts
        if type(name) is not str:
            raise CodecError("a class without a name")
        if tag == Tag.UNFOUND:
            (value,) = content
            return Opaque(classes.readable(name), value, (tag, body))
        with suppress(Exception):  # the class has changed since, or the bytes lie about it
            cls = classes.find_class(name)
            kind = None if cls is None else classes.kind_of(cls)
            if cls is not None and kind is not None and kind.tag == tag:
                return objects.rebuild(cls, kind, content)
        return Opaque(classes.readable(name), objects.readable_content(tag, content), (tag, body))


def _read_numpy(tag: int, body: bytes, parts: list[Any]) -> Any:
    try:
        return _OF_NUMPY[tag](*parts)
    except Exception:  # noqa: BLE001  # numpy is not imported here, or the bytes don't fit its types
        return Opaque("numpy.ndarray" if tag == Tag.ARRAY else "numpy.generic", parts[:-1], (tag, body))
