"""The words in a recorded value: for the one line of the traces list, and for the search box."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any, Iterable, Iterator, Mapping

from tracer.wire import HttpRequest, HttpResponse

PREVIEW_LENGTH = 200
#: Of each step's input, output and error, this many characters can be searched.
SEARCHED_LENGTH = 1_000
#: Names that usually hold what a human said; looked into first, in this order.
_SPOKEN = ("question", "message", "text", "ticket", "prompt", "query", "input", "content", "messages")
#: A value of a million numbers holds no words worth a second of looking.
_PATIENCE = 2_000
_DEPTH = 30
_EXCHANGED = (HttpRequest, HttpResponse)
_MANY = (list, tuple, set, frozenset)


def preview(value: Any) -> str:
    """The first human text in ``value`` on one line, at most 200 characters; empty where there is none."""
    return squeeze(next(words(value), ""), PREVIEW_LENGTH)


def searchable(value: Any) -> str:
    """The beginnings of all texts in ``value``, casefolded, at most 1,000 characters."""
    found: list[str] = []
    length = 0
    for text in words(value):
        piece = squeeze(text, SEARCHED_LENGTH - length)
        found.append(piece)
        length += len(piece) + 1
        if length >= SEARCHED_LENGTH:
            break
    return " ".join(found).casefold()[:SEARCHED_LENGTH]


def words(value: Any) -> Iterator[str]:
    """Every string inside a decoded value, those that a human most likely wrote first; mapping keys are left out."""
    # the innermost open level is last; each level is an iterator, so that nothing is walked before it is asked for
    levels: list[Iterator[Any]] = [iter((value,))]
    for _ in range(_PATIENCE):
        while levels:
            item = next(levels[-1], levels)
            if item is not levels:
                break
            levels.pop()
        else:
            return
        if isinstance(item, str):
            if item.strip():
                yield item
        elif len(levels) < _DEPTH:
            levels.append(iter(_parts(item)))


def squeeze(text: str, length: int) -> str:
    """One line without runs of white space, at most ``length`` characters, storable in any database."""
    # a text of megabytes is cut before it is split; one that holds little white space, even shorter
    line = " ".join(text[: 2 * length].split())
    if len(line) <= length < len(text):
        line = " ".join(text[: 4 * length].split())
    return plain(line[:length].rstrip())


def plain(text: str) -> str:
    """Text that every database takes: no NUL (Postgres refuses it), no lone surrogate (UTF-8 has none)."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _parts(value: Any) -> Iterable[Any]:
    if type(value) is dict:
        return _spoken_first(value)
    if isinstance(value, _EXCHANGED):
        return (value.body if isinstance(value, HttpRequest) else _said(value),)
    if isinstance(value, Mapping):
        return _spoken_first(value)
    if isinstance(value, _MANY):
        # in a conversation the instructions come first, but they are the same in every trace
        return sorted(value, key=_is_instruction) if len(value) < _PATIENCE else value
    if isinstance(value, BaseException):
        return value.args
    if is_dataclass(value) and not isinstance(value, type):
        return _spoken_first({field.name: getattr(value, field.name, None) for field in fields(value)})
    return _spoken_first(getattr(value, "__dict__", {}))


def _spoken_first(mapping: Mapping[Any, Any]) -> Iterator[Any]:
    yield from (mapping[name] for name in _SPOKEN if name in mapping)
    yield from (item for name, item in mapping.items() if name not in _SPOKEN)


def _is_instruction(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("role") in ("system", "developer")


def _said(response: HttpResponse) -> Any:
    # Compressed or streamed bodies are left out: the step around the call holds the same words as its output.
    try:
        return json.loads(response.raw)
    except ValueError:
        return None
