"""How a payload lies in the store: compressed where that helps."""

from __future__ import annotations

from typing import Any

import zstandard

#: Below this many bytes zstd's own frame eats what it saves.
_WORTH_COMPRESSING = 200
_LEVEL = 3


def body_of(data: bytes) -> dict[str, Any]:
    """The columns ``size``, ``encoding`` and ``body`` for a payload's bytes."""
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(data) if len(data) > _WORTH_COMPRESSING else data
    if len(packed) < len(data):
        return {"size": len(data), "encoding": "zstd", "body": packed}
    return {"size": len(data), "encoding": "raw", "body": data}


def data_of(row: Any) -> bytes:
    """The bytes of a payload, from a row with those columns."""
    if row.encoding == "zstd":
        return zstandard.ZstdDecompressor().decompress(row.body, max_output_size=row.size)
    return bytes(row.body)
