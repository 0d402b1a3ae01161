"""Any Python value to typed MessagePack bytes and back. Pure: no disk, no imports, no code from the bytes."""

from __future__ import annotations

from tracer.codec.canonical import address, canonical, identity
from tracer.codec.decoding import decode
from tracer.codec.encoding import encode, quick
from tracer.codec.values import Encoded, Lossy, Opaque, Yielded
from tracer.errors import CodecError

__all__ = [
    "CodecError",
    "Encoded",
    "Lossy",
    "Opaque",
    "Yielded",
    "address",
    "canonical",
    "decode",
    "encode",
    "identity",
    "quick",
]
