"""Values of the standard library that hold no others, and how each is written and read.

``WRITE`` is keyed by exact type and gives ``(tag, body)``; ``READ`` is keyed by tag. A body is raw bytes, or a list
that is packed as one array.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from types import EllipsisType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from tracer.codec.tags import Tag

Body = bytes | list[Any]

_PATHS: dict[str, type[PurePath]] = {
    cls.__name__: cls for cls in (PosixPath, WindowsPath, PurePosixPath, PureWindowsPath)
}
#: Without re.DEBUG, which prints, and re.TEMPLATE, which is gone.
_FLAGS = re.ASCII | re.IGNORECASE | re.LOCALE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE


class Unkept(Exception):  # a signal between two modules, never an error of ours
    """This value of a known type can't be restored; keep its text."""


def write_int(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _write_datetime(value: datetime) -> Body:
    return [value.replace(tzinfo=None).isoformat(), value.fold, _zone(value.tzinfo)]


def _write_time(value: time) -> Body:
    return [value.replace(tzinfo=None).isoformat(), value.fold, _zone(value.tzinfo)]


def _zone(zone: tzinfo | None) -> tzinfo | None:
    if zone is None or type(zone) is timezone or (type(zone) is ZoneInfo and zone.key is not None):
        return zone
    raise Unkept


def _write_timezone(value: Any) -> Body:
    offset, *name = value.__getinitargs__()
    return [offset.days, offset.seconds, offset.microseconds, *name]


def _write_zone_info(value: ZoneInfo) -> Body:
    _zone(value)
    return value.key.encode()


def _write_path(value: PurePath) -> Body:
    return [type(value).__name__, str(value)]


def _write_pattern(value: re.Pattern[Any]) -> Body:
    return [value.pattern, value.flags & int(_FLAGS)]


WRITE: dict[type, tuple[Tag, Callable[[Any], Body]]] = {
    int: (Tag.BIG_INT, write_int),
    complex: (Tag.COMPLEX, lambda value: [value.real, value.imag]),
    bytearray: (Tag.BYTEARRAY, bytes),
    range: (Tag.RANGE, lambda value: [value.start, value.stop, value.step]),
    slice: (Tag.SLICE, lambda value: [value.start, value.stop, value.step]),
    EllipsisType: (Tag.ELLIPSIS, lambda _: b""),
    datetime: (Tag.DATETIME, _write_datetime),
    date: (Tag.DATE, lambda value: value.isoformat().encode()),
    time: (Tag.TIME, _write_time),
    timedelta: (Tag.TIMEDELTA, lambda value: [value.days, value.seconds, value.microseconds]),
    timezone: (Tag.TIMEZONE, _write_timezone),
    ZoneInfo: (Tag.ZONE_INFO, _write_zone_info),
    Decimal: (Tag.DECIMAL, lambda value: str(value).encode()),
    Fraction: (Tag.FRACTION, lambda value: [value.numerator, value.denominator]),
    UUID: (Tag.UUID, lambda value: value.bytes),
    re.Pattern: (Tag.PATTERN, _write_pattern),
    **dict.fromkeys(_PATHS.values(), (Tag.PATH, _write_path)),
}


def _read_datetime(text: str, fold: int, zone: tzinfo | None) -> datetime:
    return datetime.fromisoformat(text).replace(fold=fold, tzinfo=zone)


def _read_time(text: str, fold: int, zone: tzinfo | None) -> time:
    return time.fromisoformat(text).replace(fold=fold, tzinfo=zone)


def _read_timezone(days: int, seconds: int, microseconds: int, *name: str) -> timezone:
    return timezone(timedelta(days, seconds, microseconds), *name)


def _read_range(start: int, stop: int, step: int) -> range:
    return range(start, stop, step)


def _read_fraction(numerator: int, denominator: int) -> Fraction:
    return Fraction(numerator, denominator)


def _read_pattern(pattern: str | bytes, flags: int) -> re.Pattern[Any]:
    return re.compile(pattern, flags & int(_FLAGS))


def _read_path(name: str, text: str) -> PurePath:
    return _PATHS[name](text)


#: From the raw body.
READ_RAW: dict[int, Callable[[bytes], Any]] = {
    Tag.BIG_INT: lambda body: int.from_bytes(body, "big", signed=True),
    Tag.SURROGATE_TEXT: lambda body: body.decode("utf-8", "surrogatepass"),
    Tag.BYTEARRAY: bytearray,
    Tag.ELLIPSIS: lambda _: ...,
    Tag.DATE: lambda body: date.fromisoformat(body.decode()),
    Tag.ZONE_INFO: lambda body: ZoneInfo(body.decode()),
    Tag.DECIMAL: lambda body: Decimal(body.decode()),
    Tag.UUID: lambda body: UUID(bytes=body),
}
#: From the elements of the body.
READ_PARTS: dict[int, Callable[..., Any]] = {
    Tag.COMPLEX: complex,
    Tag.RANGE: _read_range,
    Tag.SLICE: slice,
    Tag.DATETIME: _read_datetime,
    Tag.TIME: _read_time,
    Tag.TIMEDELTA: timedelta,
    Tag.TIMEZONE: _read_timezone,
    Tag.FRACTION: _read_fraction,
    Tag.PATTERN: _read_pattern,
    Tag.PATH: _read_path,
}
