"""Compressed bodies, read piece by piece as they came. Pure.

Not by the client's own decoders: some of them have decoded before anybody sees a byte, and the same record may be read
by another client than the one that made it.
"""

from __future__ import annotations

import importlib
import zlib
from typing import Any, Callable, Iterable, Iterator

from tracer.importing import IMPORTING
from tracer.wire import HttpResponse

Feed = Callable[[bytes], bytes]


def encodings_of(response: HttpResponse) -> list[str]:
    """What was done to the body, first thing first. Empty where nothing was that can be undone."""
    told = ",".join(value for name, value in response.headers if name.lower() == "content-encoding")
    return [name for part in told.split(",") if (name := part.strip().lower()) in _DECODERS]


def inflated(response: HttpResponse) -> Iterator[tuple[int, bytes]]:
    """The body's pieces, decompressed, each with the time of the chunk that gave it.

    A body that was cut off, or is not what its headers say, gives what could be read of it.
    """
    pieces: Iterable[tuple[int, bytes]] = ((chunk.after_ns, chunk.data) for chunk in response.chunks)
    for name in reversed(encodings_of(response)):
        pieces = _fed(pieces, name)
    yield from pieces


def _fed(pieces: Iterable[tuple[int, bytes]], encoding: str) -> Iterator[tuple[int, bytes]]:
    feed: Feed | None = None
    for after_ns, data in pieces:
        try:
            feed = feed or _DECODERS[encoding]()
            plain = feed(data)
        except Exception:  # noqa: BLE001 - each library has its own, and none of them is news: the rest is unreadable
            return
        if plain:
            yield after_ns, plain


def _gzip() -> Feed:
    member: Any = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def feed(data: bytes) -> bytes:
        nonlocal member
        plain = bytes(member.decompress(data))
        while member.eof and (rest := member.unused_data):
            member = zlib.decompressobj(16 + zlib.MAX_WBITS)
            plain += member.decompress(rest)
        return plain

    return feed


def _deflate() -> Feed:
    head = b""
    chosen: Any = None

    def feed(data: bytes) -> bytes:
        nonlocal head, chosen
        if chosen is None:
            head += data
            if len(head) < 2:
                return b""
            # Many servers send it without zlib's head, which would name its method, 8, and be a multiple of 31.
            has_head = head[0] & 15 == 8 and int.from_bytes(head[:2]) % 31 == 0
            chosen = zlib.decompressobj(zlib.MAX_WBITS if has_head else -zlib.MAX_WBITS)
            data = head
        return bytes(chosen.decompress(data))

    return feed


def _zstd() -> Feed:
    with IMPORTING:
        from zstandard import ZstdDecompressor  # noqa: PLC0415 - for the few bodies that need it

    return ZstdDecompressor().decompressobj().decompress


def _brotli() -> Feed:
    # No library of ours: a client that asked for it has one of the two.
    for name in ("brotli", "brotlicffi"):
        try:
            decoder = importlib.import_module(name).Decompressor()
        except ImportError:
            continue
        feed: Feed = getattr(decoder, "process", None) or decoder.decompress
        return feed
    raise LookupError(name)


_DECODERS: dict[str, Callable[[], Feed]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
    "br": _brotli,
}
