"""The streams that models answer in: from bytes to events, and back. Pure; no clock and no socket.

Four framings: ``sse`` (server-sent events), ``lines`` (one JSON object a line), ``frames`` (Amazon's binary event
stream) and ``array`` (a JSON array whose elements come one by one, as Gemini sends it without ``alt=sse``). Whichever
it was, an event becomes text: JSON in almost all cases.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Iterable, Iterator, Literal

from tracer.providers import eventstream

Framing = Literal["sse", "lines", "frames", "array"]
#: A time in nanoseconds and what came then.
Piece = tuple[int, bytes]

_END_OF_EVENT = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_END_OF_LINE = re.compile(r"\r\n|\n|\r")
_SSE_BEGINNINGS = (b"data:", b"event:", b"id:", b":")
_DECLARED: dict[str, Framing] = {
    "text/event-stream": "sse",
    "application/x-ndjson": "lines",
    "application/stream+json": "lines",
    "application/jsonl": "lines",
    "application/vnd.amazon.eventstream": "frames",
}
#: Between two elements of an array, and before its first.
_BETWEEN = " \t\r\n,["
#: What OpenAI-style streams say last.
DONE = "[DONE]"


def framing(content_type: str, body: bytes) -> Framing | None:
    """How a body is cut into events: by its declared type, else by how it begins. None for a body that is no stream."""
    declared = content_type.partition(";")[0].strip().lower()
    start = body[:256].lstrip()
    if declared in _DECLARED:
        # An error is often plain JSON, though its server declares the stream that it would have been.
        is_plain = _DECLARED[declared] == "sse" and start.startswith(b"{")
        return None if is_plain else _DECLARED[declared]
    if not declared and start.startswith(_SSE_BEGINNINGS):
        return "sse"
    if not declared and eventstream.begins(body):
        return "frames"
    if start.startswith(b"[") and start[1:].lstrip().startswith(b"{"):
        return "array"
    # JSON has no two objects side by side, so these are lines, whatever the type says.
    return "lines" if start.startswith(b"{") and b"}\n{" in body else None


def data_of(body: bytes, how: Framing = "sse") -> Iterator[str]:
    """The data of each event. A last event that was cut off is given as far as it came."""
    for _, data in timed_data([(0, body)], how):
        yield data


def timed_data(pieces: Iterable[Piece], how: Framing = "sse") -> Iterator[tuple[int, str]]:
    """The data of each event with the time of the piece that completed it; ``pieces`` are (time, bytes)."""
    match how:
        case "sse":
            return _events(pieces)
        case "lines":
            return _lines(pieces)
        case "frames":
            return _frames(pieces)
        case "array":
            return _elements(pieces)


def _events(pieces: Iterable[Piece]) -> Iterator[tuple[int, str]]:
    pending, at_ns = b"", 0
    for at_ns, piece in pieces:
        whole, pending = split_events(pending + piece)
        yield from ((at_ns, data) for data in whole)
    if data := _data(pending):
        yield at_ns, data


def split_events(body: bytes) -> tuple[list[str], bytes]:
    """The data of the server-sent events that are whole, and the bytes behind them."""
    *whole, pending = _END_OF_EVENT.split(body)
    return [data for data in map(_data, whole) if data], pending


def _data(event: bytes) -> str:
    fields = (line.partition(":") for line in _END_OF_LINE.split(event.decode("utf-8", "replace")))
    return "\n".join(value.removeprefix(" ") for name, _, value in fields if name == "data")


def _lines(pieces: Iterable[Piece]) -> Iterator[tuple[int, str]]:
    pending, at_ns = b"", 0
    for at_ns, piece in pieces:
        pending += piece
        *whole, pending = pending.split(b"\n")
        yield from ((at_ns, line.decode("utf-8", "replace")) for line in whole if line.strip())
    if pending.strip():
        yield at_ns, pending.decode("utf-8", "replace")


def _frames(pieces: Iterable[Piece]) -> Iterator[tuple[int, str]]:
    """Each frame as ``{"messageStart": {...}}``: the event's type, and its payload. What comes behind a damaged frame
    can't be read, for nothing says where the next one begins."""
    pending = b""
    for at_ns, piece in pieces:
        pending += piece
        frames, pending = eventstream.split(pending)
        yield from ((at_ns, frame.as_json()) for frame in frames)


def _elements(pieces: Iterable[Piece]) -> Iterator[tuple[int, str]]:
    decode, scan = codecs.getincrementaldecoder("utf-8")("replace").decode, json.JSONDecoder().raw_decode
    pending = ""
    for at_ns, piece in pieces:
        pending = (pending + decode(piece)).lstrip(_BETWEEN)
        while b"}" in piece and pending.startswith("{"):
            try:
                _, end = scan(pending)
            except (ValueError, RecursionError):
                break
            yield at_ns, pending[:end]
            pending = pending[end:].lstrip(_BETWEEN)


def event(data: str, name: str = "") -> bytes:
    """One server-sent event on the wire."""
    named = b"event: %s\n" % name.encode() if name else b""
    return named + b"".join(b"data: %s\n" % line.encode() for line in data.split("\n")) + b"\n"
