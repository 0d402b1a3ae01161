"""Amazon's binary event stream (``application/vnd.amazon.eventstream``), which Bedrock streams in.

A frame: its length and its headers' length (4 bytes each), a CRC of those 8 bytes, the headers, the payload, and a CRC
of all before it. Numbers are big-endian. A frame that is damaged ends the reading: what follows has no known beginning.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Mapping
from zlib import crc32

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
#: The most that a frame may hold, as the format states it.
_LARGEST = 24 << 20
#: The types of a header's value that have a fixed size, by their code: how they are packed.
_FIXED = {2: ">b", 3: ">h", 4: ">i", 5: ">q", 8: ">q", 9: "16s"}
_BYTES, _TEXT = 6, 7

Value = str | bytes | int | bool


@dataclass(frozen=True, slots=True)
class Frame:
    payload: bytes
    headers: Mapping[str, Value] = field(default_factory=dict)

    def as_json(self) -> str:
        """``{type: payload}``. An exception is ``{"exception": {"type": ..., **payload}}``, whichever way it came."""
        kind = self.headers.get(":message-type")
        if kind == "error":
            told = {"type": self.headers.get(":error-code"), "message": self.headers.get(":error-message")}
            return json.dumps({"exception": told}, default=str)
        try:
            payload = json.loads(self.payload or b"{}")
        except (ValueError, RecursionError):
            payload = {"message": self.payload.decode("utf-8", "replace")}
        if kind == "exception":
            inner = payload if isinstance(payload, dict) else {}
            return json.dumps({"exception": {"type": str(self.headers.get(":exception-type", "")), **inner}})
        return json.dumps({str(self.headers.get(":event-type", "")): payload})


def begins(body: bytes) -> bool:
    """Whether a body starts with a frame: its prelude bears its own checksum."""
    return len(body) >= _PRELUDE.size and _PRELUDE.unpack_from(body)[2] == crc32(body[:8])


def split(body: bytes) -> tuple[list[Frame], bytes]:
    """The whole frames at the start of a body, and the bytes behind them."""
    frames: list[Frame] = []
    start = 0
    while len(body) - start >= _PRELUDE.size:
        size, of_headers, checksum = _PRELUDE.unpack_from(body, start)
        fits = _PRELUDE.size + of_headers + _CRC.size <= size <= _LARGEST
        if not fits or crc32(body[start : start + 8]) != checksum or start + size > len(body):
            break
        whole, end = body[start : start + size], _PRELUDE.size + of_headers
        if crc32(whole[: -_CRC.size]) != _CRC.unpack_from(whole, size - _CRC.size)[0]:
            break
        headers = _headers(whole[_PRELUDE.size : end])
        if headers is None:
            break
        frames.append(Frame(whole[end : -_CRC.size], headers))
        start += size
    return frames, body[start:]


def encoded(frame: Frame) -> bytes:
    """The frame on the wire."""
    headers = b"".join(_header(name, value) for name, value in frame.headers.items())
    head = struct.pack(">II", _PRELUDE.size + len(headers) + len(frame.payload) + _CRC.size, len(headers))
    unsigned = head + _CRC.pack(crc32(head)) + headers + frame.payload
    return unsigned + _CRC.pack(crc32(unsigned))


def _headers(data: bytes) -> dict[str, Value] | None:
    """None where they can't be what their lengths say."""
    found: dict[str, Value] = {}
    at = 0
    try:
        while at < len(data):
            name_size = data[at]
            name = data[at + 1 : at + 1 + name_size].decode()
            code = data[at + 1 + name_size]
            found[name], at = _value(code, data, at + 2 + name_size)
    except (IndexError, struct.error, ValueError, KeyError):
        return None
    return found


def _value(code: int, data: bytes, at: int) -> tuple[Value, int]:
    """A header's value, and where it ends."""
    if code in {0, 1}:
        return code == 0, at
    if code in {_BYTES, _TEXT}:
        start = at + 2
        end = start + struct.unpack_from(">H", data, at)[0]
        if end > len(data):
            raise ValueError
        return (data[start:end] if code == _BYTES else data[start:end].decode()), end
    value: Value = struct.unpack_from(_FIXED[code], data, at)[0]
    return value, at + struct.calcsize(_FIXED[code])


def _header(name: str, value: Value) -> bytes:
    written = name.encode()
    head = bytes([len(written)]) + written
    if isinstance(value, bool):
        return head + bytes([0 if value else 1])
    if isinstance(value, int):
        return head + b"\x05" + struct.pack(">q", value)
    code, content = (_BYTES, value) if isinstance(value, bytes) else (_TEXT, value.encode())
    return head + bytes([code]) + struct.pack(">H", len(content)) + content
