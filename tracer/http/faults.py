"""Exceptions on their way into the record, and out of it again as the client's own."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Mapping

from tracer.http.client import Client


class HttpError(Exception):
    """A model call that was answered with an error. For the record alone: the user's SDK raises its own."""

    def __init__(self, status: int, message: str = "") -> None:
        self.status = status
        self.message = message
        super().__init__(status, message)

    def __str__(self) -> str:
        words = f"{self.status} {_phrase(self.status)}".rstrip()
        return f"{words}: {self.message}" if self.message else words

    @classmethod
    def of(cls, status: int, error: Mapping[str, Any] | None) -> HttpError:
        """From a provider's error object."""
        message = (error or {}).get("message")
        return cls(status, message if isinstance(message, str) else "")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def named(client: Client, error: BaseException) -> str:
    """An exception in one line, as wire.HttpResponse keeps it."""
    return f"{type(error).__name__}: {client.words(error)}"


def revived(client: Client, line: str | None) -> BaseException:
    """The exception that broke a recorded body, as this client's class of that name, or else as what it says of a
    broken connection."""
    name, _, words = (line or "").partition(": ")
    return client.made(name, words) or _own(client, client.names.broken, words)


def translated(client: Client, error: BaseException) -> BaseException:
    """The same failure as this client raises it: a ConnectTimeout is of its own class, so that SDKs know it."""
    if type(error).__module__ != "builtins":
        if client.is_own(error):
            return error
        if (own := client.made(type(error).__name__, str(error))) is not None:
            return own
    for kind, name in (
        (TimeoutError, client.names.timeout),
        (ConnectionRefusedError, client.names.refused),
        (ConnectionError, client.names.broken),
    ):
        if isinstance(error, kind):
            return _own(client, name, str(error))
    return error


def _own(client: Client, name: str, words: str) -> BaseException:
    own = client.made(name, words)
    assert own is not None
    return own
