"""urllib3's bodies: recorded as they are read, or served from the record.

A response that is recorded stays the object that it was, of a subclass of its own class, so that whatever looks inside
it (requests and botocore do) finds what it always finds. One that is served reads bytes in the form that they had on
the wire, by the same code as if a socket gave them: http.client's and urllib3's.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from typing import Any, Iterator

from tracer.http.client import Client
from tracer.http.exchange import Exchange, abandon
from tracer.http.faults import revived
from tracer.wire import HttpResponse

#: Says how a body is framed.
_CHUNKED = "transfer-encoding"


class _Recorded:
    """Mixed in before a response's class, whose methods these are. ``super()`` is that class."""

    _exchange: Exchange
    #: Collected while it was open: from then on only a note may be left.
    _dropped = False
    #: Between two chunks, where urllib3 closes the response before it says why.
    _between = False

    def _raw_read(self, *args: Any, **kwargs: Any) -> Any:
        data = super()._raw_read(*args, **kwargs)  # type: ignore[misc]  # of the class that it is mixed into
        if data:
            self._exchange.received(data)
        if self.isclosed():  # type: ignore[attr-defined]  # likewise
            self._exchange.end()
        return data

    def _handle_chunk(self, amt: int | None) -> Any:
        data = super()._handle_chunk(amt)  # type: ignore[misc]
        self._exchange.received(data)
        return data

    def _update_chunk_length(self) -> None:
        self._between = True
        try:
            super()._update_chunk_length()  # type: ignore[misc]
        finally:
            self._between = False
        if self.chunk_left == 0:  # type: ignore[attr-defined]
            self._exchange.end()

    @contextmanager
    def _error_catcher(self) -> Iterator[None]:
        try:
            with super()._error_catcher():  # type: ignore[misc]
                yield
        except GeneratorExit:
            raise  # dropped or about to be closed: __del__ and close() know which
        except BaseException as error:
            partial = getattr(error.__cause__ or error, "partial", None)
            if isinstance(partial, bytes):
                self._exchange.received(partial)
            self._exchange.end("broken", error)
            raise

    def close(self) -> None:
        super().close()  # type: ignore[misc]
        self._stop()

    def release_conn(self) -> None:
        super().release_conn()  # type: ignore[misc]
        if not self.isclosed():  # type: ignore[attr-defined]
            self._stop()

    def _stop(self) -> None:
        if not self._dropped and not self._between:
            self._exchange.end("closed")

    def __del__(self) -> None:
        self._dropped = True
        abandon(self._exchange)
        super().__del__()  # type: ignore[misc]


@cache
def recorded_class(kind: Any) -> type:
    """The class of a response that is recorded as it is read."""
    return type(kind.__name__, (_Recorded, kind), {"__module__": kind.__module__})


class _Wire(io.RawIOBase):
    """Gives one piece at a time, as a socket would. It may raise where the connection broke."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = next(self._pieces, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


class _Socket:
    """As much of one as http.client asks for."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_Wire(self._pieces))


def pieces_of(client: Client, response: HttpResponse) -> Iterator[bytes]:
    """A recorded body, chunk by chunk, up to where it broke if it did."""
    for chunk in response.chunks:
        yield chunk.data
    if response.ended == "broken":
        raise revived(client, response.error)


def body_of(head: HttpResponse, pieces: Iterator[bytes]) -> Any:
    """What http.client reads a response from: ``head`` in one piece, then each of ``pieces`` as one."""
    return _Socket(_on_the_wire(head, pieces))


def _on_the_wire(head: HttpResponse, pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        phrase = HTTPStatus(head.status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {head.status} {phrase}", *(f"{name}: {value}" for name, value in head.headers)]
    yield "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
    chunked = any(name.lower() == _CHUNKED and "chunked" in value.lower() for name, value in head.headers)
    for data in pieces:
        if data:
            yield b"%x\r\n%s\r\n" % (len(data), data) if chunked else data
    if chunked:
        yield b"0\r\n\r\n"
