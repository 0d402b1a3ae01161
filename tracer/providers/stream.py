"""Server-sent events: from bytes to events, and back. Pure; no clock and no socket."""

from __future__ import annotations

import re
from typing import Iterable, Iterator

_END_OF_EVENT = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_END_OF_LINE = re.compile(r"\r\n|\n|\r")
_SSE_BEGINNINGS = (b"data:", b"event:", b"id:", b":")
#: What OpenAI-style streams say last.
DONE = "[DONE]"


def is_event_stream(content_type: str, body: bytes) -> bool:
    """Whether a body is a stream of events: by its declared type, or by how it begins where none is declared."""
    if content_type:
        return content_type.partition(";")[0].strip().lower() == "text/event-stream"
    return body.lstrip().startswith(_SSE_BEGINNINGS)


def data_of(body: bytes) -> Iterator[str]:
    """The data of each event. A last event that was cut off is given as far as it came."""
    for _, data in timed_data([(0, body)]):
        yield data


def timed_data(pieces: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    """The data of each event with the time of the piece that completed it; ``pieces`` are (time, bytes)."""
    pending, at_ns = b"", 0
    for at_ns, piece in pieces:
        pending += piece
        *whole, pending = _END_OF_EVENT.split(pending)
        for event in whole:
            if data := _data(event):
                yield at_ns, data
    if data := _data(pending):
        yield at_ns, data


def _data(event: bytes) -> str:
    fields = (line.partition(":") for line in _END_OF_LINE.split(event.decode("utf-8", "replace")))
    return "\n".join(value.removeprefix(" ") for name, _, value in fields if name == "data")


def event(data: str) -> bytes:
    """One event on the wire."""
    return b"".join(b"data: %s\n" % line.encode() for line in data.split("\n")) + b"\n"
