"""Exceptions on their way into the record, and out of it again as the client's own."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Mapping

#: What a fault that names no client's class becomes in one: first match wins.
_OWN_CLASS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "ReadTimeout"),
    (ConnectionRefusedError, "ConnectError"),
    (ConnectionError, "ReadError"),
)


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


def named(error: BaseException) -> str:
    """An exception in one line, as wire.HttpResponse keeps it."""
    return f"{type(error).__name__}: {error}"


def revived(module: Any, line: str | None) -> BaseException:
    """The exception that broke a recorded body, as this client's class of that name; ReadError if it has none."""
    name, _, message = (line or "").partition(": ")
    kind = _class_of(module, name) or module.ReadError
    error: BaseException = kind(message)
    return error


def translated(module: Any, error: BaseException) -> BaseException:
    """The same failure as this client raises it: a ConnectTimeout is of its own class, so that SDKs know it."""
    kind = _class_of(module, type(error).__name__) or next(
        (getattr(module, name) for known, name in _OWN_CLASS if isinstance(error, known)), None
    )
    if kind is None or isinstance(error, kind):
        return error
    own: BaseException = kind(str(error))
    return own


def _class_of(module: Any, name: str) -> Any:
    kind = getattr(module, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, module.TransportError) else None
