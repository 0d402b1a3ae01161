"""What an HTTP client has to give to be recorded and replayed: its requests in one form, and its words for what fails.

The rest of an adapter is its own: where it stands in the client, and how a body passes through it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, Protocol

from tracer.context import SENDING
from tracer.http.clean import Headers


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a client is about to send it. ``content`` is None where reading it would use it up; ``timeout_s`` is
    set where it goes elsewhere, under a limit of its own."""

    method: str
    url: str
    headers: Headers
    content: bytes | None
    timeout_s: float | None = None

    def header(self, name: str, default: str = "") -> str:
        """The first header of that name, in lower case."""
        return next((value for each, value in self.headers if each.lower() == name), default)


@dataclass(frozen=True, slots=True)
class Names:
    """A client's exceptions by what they stand for, where a fault or a record names none of them."""

    timeout: str
    refused: str
    broken: str


class Client(Protocol):
    """One client, or one request of it."""

    names: Names

    def is_own(self, error: BaseException) -> bool:
        """Whether this is how the client says that no response came, or no whole one."""

    def words(self, error: BaseException) -> str:
        """What such an exception says, so that ``made`` makes the same of it."""

    def made(self, name: str, words: str) -> BaseException | None:
        """The client's exception of this class; None where it has no such class, or it says something else."""


def is_below() -> bool:
    """Whether a client is sending just now that is recorded itself."""
    return SENDING.get()


@contextmanager
def sending() -> Iterator[None]:
    """What is sent inside is sent for a client that is recorded itself: a transport over another client is one call."""
    token = SENDING.set(True)
    try:
        yield
    finally:
        SENDING.reset(token)
