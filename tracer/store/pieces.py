"""A long payload as pieces whose bytes, one behind the other, are exactly its bytes; pure.

The cuts follow the payload's own structure, so that what two payloads have in common becomes common pieces: the
messages of a conversation that grew by a turn, the same tools, the same image. Where a group of small elements ends is
decided by the elements themselves, so that behind something added, put in or taken away the same pieces follow.

A list names the pieces of a payload: entries of one letter (literal, piece, base64, node) and what belongs to it. Long
runs of entries are lists of their own (nodes), which are shared like pieces: a payload that grows adds a few entries.
"""

from __future__ import annotations

import binascii
import re
from hashlib import blake2b
from typing import Any, Iterator
from zlib import crc32

from ormsgpack import Ext, packb, unpackb

from tracer.codec.tags import LAYOUTS

#: An entry's letter: bytes that stand in the list itself; the digest of a piece; of a piece that is written out in
#: base64 here; of a node, which is a list in its place.
LITERAL, PIECE, BASE64, NODE = range(4)
Part = tuple[int, bytes]

#: Payloads up to this size are stored whole: a row for each piece would cost more than is shared.
WHOLE_BYTES = 4_096
#: An element up to this size is not cut into.
_ELEMENT_BYTES = 1_024
#: Small neighbours come to groups of about this size, and at most of the other.
_GROUP_BYTES, _MOST_GROUP_BYTES = 512, 4_096
#: What is shorter stands in the list: a piece of its own costs some 50 bytes.
_LITERAL_BYTES = 64
#: A list of elements that are on average smaller than this, like an embedding, changes as a whole if it changes.
_DENSE_BYTES = 16
_LEVELS = 32
_DIGEST_BYTES = 16
#: About so many entries in a node, at most so many, and in a list that needs no nodes.
_NODE_ENTRIES, _MOST_NODE_ENTRIES, _LIST_ENTRIES = 8, 64, 16
_BASE64 = re.compile(r"(data:[\w.+-]{1,100}/[\w.+-]{1,100}(?:;[\w.+=-]{1,100})*;base64,)?[A-Za-z0-9+/]{64}")


def cut(data: bytes) -> list[Part]:
    """The payload as literals, pieces, and blobs to be written out in base64; one piece where it can't be cut."""
    try:
        cutter = _Cutter()
        cutter.walk(unpackb(data, ext_hook=_Extension), 0)
        cutter.flush()
    except (ValueError, TypeError, RecursionError):  # torn, or none of ours
        return [(PIECE, data)]
    return cutter.parts if b"".join(map(written, cutter.parts)) == data else [(PIECE, data)]


def written(part: Part) -> bytes:
    """The bytes for which a literal, a piece or a blob stands in its payload."""
    return binascii.b2a_base64(part[1], newline=False) if part[0] == BASE64 else part[1]


def digest_of(body: bytes) -> bytes:
    """Where a body is stored: the 16 bytes that are written out in ``codec.address``."""
    return blake2b(body, digest_size=_DIGEST_BYTES).digest()


def node_digest(body: bytes) -> bytes:
    """Where a node is stored. Its own kind of digest: no value that someone records can lie in a node's place."""
    return blake2b(body, digest_size=_DIGEST_BYTES, person=b"node").digest()


def joined(parts: list[Part], bodies: dict[bytes, bytes], nodes: dict[bytes, bytes]) -> bytes:
    """The list of these parts; what it names is added to ``bodies`` and ``nodes``, by digest."""
    entries: list[Part] = []
    for letter, body in parts:
        if letter == LITERAL:
            entries.append((LITERAL, body))
        else:
            digest = digest_of(body)
            bodies[digest] = body
            entries.append((letter, digest))
    while len(entries) > _LIST_ENTRIES:
        runs = list(_runs(entries))
        if len(runs) == len(entries):
            break
        entries = []
        for run in runs:
            if len(run) == 1:
                entries += run
                continue
            body = _list(run)
            digest = node_digest(body)
            nodes[digest] = body
            entries.append((NODE, digest))
    return _list(entries)


def entries_in(body: bytes) -> Iterator[Part]:
    """The entries of a list; raises ValueError for bytes that are none."""
    at = 0
    while at < len(body):
        letter = body[at]
        at += 1
        if letter == LITERAL:
            size = int.from_bytes(body[at : at + 1], "big")
            at += 1
        elif letter <= NODE:
            size = _DIGEST_BYTES
        else:
            raise ValueError("not a list of pieces")
        if at + size > len(body):
            raise ValueError("a torn list of pieces")
        yield letter, body[at : at + size]
        at += size


def _list(entries: list[Part]) -> bytes:
    return b"".join(
        bytes((letter, len(body))) + body if letter == LITERAL else bytes((letter,)) + body for letter, body in entries
    )


def _runs(entries: list[Part]) -> Iterator[list[Part]]:
    run: list[Part] = []
    for entry in entries:
        run.append(entry)
        ends = entry[0] != LITERAL and entry[1][0] % _NODE_ENTRIES == 0
        if ends or len(run) == _MOST_NODE_ENTRIES:
            yield run
            run = []
    if run:
        yield run


class _Extension:
    """An extension whose body is still packed."""

    __slots__ = ("body", "tag")

    def __init__(self, tag: int, body: bytes) -> None:
        self.tag = tag
        self.body = body


def _packed(value: Any) -> bytes:
    return packb(value, _as_it_was)


def _as_it_was(value: _Extension) -> Ext:
    return Ext(value.tag, value.body)


class _Cutter:
    """Walks a value in the order of its bytes."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._waiting: list[bytes] = []
        self._length = 0
        #: The beginnings of containers stand alone: they hold a count, which changes with every element.
        self._in_head = False

    def walk(self, value: Any, level: int) -> None:
        self._take(value, _packed(value), level)

    def flush(self) -> None:
        if self._waiting:
            group = b"".join(self._waiting)
            self.parts.append((LITERAL if len(group) <= _LITERAL_BYTES else PIECE, group))
            self._waiting, self._length = [], 0

    def _take(self, value: Any, packed: bytes, level: int) -> None:
        if len(packed) <= _ELEMENT_BYTES:
            self._element(packed)
        elif type(value) is list and level < _LEVELS and len(packed) > _DENSE_BYTES * len(value):
            self._head(_head_of(len(value), 0x90, 0xDC))
            for item in value:
                self.walk(item, level + 1)
        elif type(value) is dict and level < _LEVELS:
            self._head(_head_of(len(value), 0x80, 0xDE))
            self._pairs(value, level + 1)
        elif type(value) is str:
            self._text(value, packed)
        elif type(value) is bytes:
            self._head(packed[: len(packed) - len(value)])
            self._alone(PIECE, value)
        elif type(value) is _Extension:
            self._extension(value, packed, level)
        else:
            self._alone(PIECE, packed)

    def _pairs(self, mapping: dict[str, Any], level: int) -> None:
        for key, item in mapping.items():
            name, packed = packb(key), _packed(item)
            if len(name) + len(packed) <= _ELEMENT_BYTES:
                self._element(name + packed)
            else:
                self._head(name)
                self._take(item, packed, level)

    def _extension(self, value: _Extension, packed: bytes, level: int) -> None:
        self._head(packed[: len(packed) - len(value.body)])
        inner = unpackb(value.body, ext_hook=_Extension) if value.tag in LAYOUTS and level < _LEVELS else None
        if type(inner) is list:
            self._take(inner, value.body, level + 1)
        else:
            self._alone(PIECE, value.body)

    def _text(self, text: str, packed: bytes) -> None:
        data = text.encode()
        self._head(packed[: len(packed) - len(data)])
        if (found := _BASE64.match(text)) is not None:
            prefix = (found[1] or "").encode()
            blob = _blob(data[len(prefix) :])
            if blob is not None:
                self._head(prefix)
                self._alone(BASE64, blob)
                return
        self._alone(PIECE, data)

    def _head(self, head: bytes) -> None:
        if not self._in_head:
            self.flush()
        self._in_head = True
        self._waiting.append(head)

    def _element(self, packed: bytes) -> None:
        if self._in_head:
            self.flush()
            self._in_head = False
        self._waiting.append(packed)
        self._length += len(packed)
        # The larger the element, the likelier it ends the group: groups come to the same size whatever they are of.
        if crc32(packed) % _GROUP_BYTES < len(packed) or self._length > _MOST_GROUP_BYTES:
            self.flush()

    def _alone(self, letter: int, body: bytes) -> None:
        self.flush()
        self._in_head = False
        self.parts.append((letter, body))


def _head_of(count: int, small: int, counted: int) -> bytes:
    if count < 16:
        return bytes((small | count,))
    return (
        bytes((counted,)) + count.to_bytes(2, "big")
        if count < 65_536
        else bytes((counted + 1,)) + count.to_bytes(4, "big")
    )


def _blob(text: bytes) -> bytes | None:
    """What a text in base64 says, if writing it again gives exactly this text."""
    try:
        blob = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None
    return blob if binascii.b2a_base64(blob, newline=False) == text else None
