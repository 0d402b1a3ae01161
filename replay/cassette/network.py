"""No network while a test is played from its cassette: what is about to be connected to is refused before it happens.

An audit hook sees every socket of this process, whatever library opens it. This machine itself may be reached, for a
test may need its own database. A hook can't be taken out again: it is put in at the first test that needs it, and
costs a look at an empty list afterwards.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any, Iterator

from tracer.player import ReplayStopped

#: Position of the address among the arguments of each event.
_ADDRESS = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0}
_HERE = frozenset({"", "localhost", "::1", "::", "0.0.0.0", "None"})  # noqa: S104 - an address to compare with

_refusals: list[Refusal] = []
_is_hooked = False


class NetworkRefused(ReplayStopped):
    """A test that is played from a cassette was about to connect to somewhere."""


class Refusal:
    """What is said to whoever connects, and what was tried so far."""

    def __init__(self, way_out: str) -> None:
        self.way_out = way_out
        self.tried: list[str] = []

    def refuse(self, where: str) -> None:
        self.tried.append(where)
        raise NetworkRefused(f"a connection to {where} was refused: {self.way_out}")


@contextlib.contextmanager
def refused(way_out: str) -> Iterator[Refusal]:
    """Refuse every connection meanwhile, on whatever thread."""
    global _is_hooked  # noqa: PLW0603 - there is no other way to know of a hook
    if not _is_hooked:
        sys.addaudithook(_look)
        _is_hooked = True
    refusal = Refusal(way_out)
    _refusals.append(refusal)
    try:
        yield refusal
    finally:
        _refusals.remove(refusal)


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if not _refusals or event not in _ADDRESS:
        return
    address = arguments[_ADDRESS[event]]
    if event == "socket.getaddrinfo":
        host, port = address, arguments[1]
    elif isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
    else:  # a path: a socket of this machine
        return
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if name not in _HERE and not name.startswith("127."):
        _refusals[-1].refuse(f"{name}:{port}")
