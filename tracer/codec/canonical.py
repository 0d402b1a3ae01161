"""The canonical form and the digests, version 1. Frozen: what a store holds is matched by it for ever.

The canonical form of a payload is the byte 0x01, then the payload with these changes, made at every depth:

- mappings with plain text keys (MessagePack maps) are sorted by the UTF-8 bytes of the key;
- the pairs of the other mappings (extensions DICT, DEFAULT_DICT, COUNTER) are sorted by the canonical bytes of the key;
- the elements of SET and FROZENSET are sorted by their canonical bytes;
- of LOSSY only the type is left, because its text may name what differs from run to run;
- numbers, lengths and text take MessagePack's shortest form, floats always eight bytes.

Nothing else changes: 1, 1.0 and True stay apart, as do a list and a tuple, or two classes with equal fields. The order
of an OrderedDict counts, as it does when two of them are compared.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ormsgpack import OPT_SORT_KEYS, Ext, packb, unpackb

from tracer.codec.tags import LAYOUTS, Depth, Layout, Tag, pack_array
from tracer.digest import blake2b
from tracer.errors import CodecError

VERSION = b"\x01"


def canonical(data: bytes) -> bytes:
    """The payload's canonical form; equal for equal values, whatever their order in memory. Raises CodecError."""
    return VERSION + _form(data)


def _form(data: bytes) -> bytes:
    try:
        return packb(unpackb(data, ext_hook=_outermost), None, OPT_SORT_KEYS)
    except Exception as error:
        raise CodecError("not a payload of ours, or a torn one") from error


def address(data: bytes) -> str:
    """``b2:`` and blake2b-16 of the bytes: where a payload is stored."""
    return f"b2:{blake2b(data, digest_size=16).hexdigest()}"


def identity(data: bytes, key: bytes) -> str:
    """``k1:`` and keyed blake2b-16 of the canonical form: what a replay matches by. ``key`` has at most 64 bytes."""
    digest = _begun(key).copy()
    digest.update(_form(data))
    return f"k1:{digest.hexdigest()}"


@lru_cache(maxsize=16)
def _begun(key: bytes) -> blake2b:
    """The digest up to the version: it is the same for all payloads, and to begin one costs as much as a block."""
    return blake2b(VERSION, digest_size=16, key=key)


def _pack(tree: Any) -> bytes:
    return packb(tree, None, OPT_SORT_KEYS)


def _outermost(tag: int, body: bytes) -> Ext:
    # Here, so that the many payloads without an extension need no walker.
    return _Canonical().extension(tag, body)


class _Canonical:
    def __init__(self) -> None:
        self._depth = Depth()

    def extension(self, tag: int, body: bytes) -> Ext:
        layout = LAYOUTS.get(tag)
        if layout is None and tag != Tag.LOSSY:
            return Ext(tag, body)
        self._depth.enter(body)
        parts = unpackb(body, ext_hook=self.extension)
        self._depth.leave()
        if tag == Tag.LOSSY:
            return Ext(tag, _pack(parts[:1]))
        if layout is None or layout.ordered or not layout.rest:
            return Ext(tag, _pack(parts))
        return Ext(tag, pack_array([_pack(part) for part in parts[: len(layout.head)]] + _sorted(layout, parts)))


def _sorted(layout: Layout, parts: list[Any]) -> list[bytes]:
    packed = [_pack(part) for part in parts[len(layout.head) :]]
    if layout.rest == "items":
        return sorted(packed)
    return [part for pair in sorted(zip(packed[::2], packed[1::2], strict=True)) for part in pair]
