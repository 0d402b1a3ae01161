"""Hypothesis strategies that several suites share: any value that the codec keeps exactly, and how to compare two."""

from __future__ import annotations

import collections
import dataclasses
import enum
import pathlib
import re
import struct
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import attrs
import numpy as np
import pydantic
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tracer.codec import Yielded

#: For a property over values: no deadline, because a shared machine is slow at times.
THOROUGH = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Colour(enum.Enum):
    RED = "red"
    BLUE = (0, 0, 255)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "yes"
    NO = "no"


class Right(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class Point(NamedTuple):
    x: Any
    y: Any = 0


@dataclasses.dataclass
class Box:
    content: Any
    label: str = "box"
    size: int = dataclasses.field(init=False, default=0)


@dataclasses.dataclass
class BigBox(Box):
    lid: Any = None

    class Handle(NamedTuple):
        length: int


@dataclasses.dataclass(frozen=True, slots=True)
class Coin:
    value: Any
    side: Colour = Colour.RED


@attrs.define
class Parcel:
    weight: Any
    _sender: str = "me"


@attrs.frozen(slots=False)
class Stamp:
    price: Any


class Inner(pydantic.BaseModel):
    number: int = 0


class Outer(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    name: str
    inner: Inner = Inner()
    anything: Any = None
    _cache: int = pydantic.PrivateAttr(default=0)


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


class Count(int):
    """With a ``__dict__``."""


class Ratio(float):
    __slots__ = ()


class Queue(list):
    pass


class Bag(dict):
    pass


class PipelineError(Exception):
    """Wants more from its callers than ``args`` holds."""

    def __init__(self, message: str, *, code: Any) -> None:
        super().__init__(message)
        self.code = code


ZONES = ("UTC", "Europe/Berlin", "America/New_York")
DTYPES = ("<f8", "<f4", "<i8", "|u1", "|b1", "<c16", "<U3", "|S2", "<M8[s]", ">i2")


def texts() -> st.SearchStrategy[str]:
    return st.text(max_size=12) | st.text(st.characters(), max_size=4)


def zones() -> st.SearchStrategy[Any]:
    offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    named = st.builds(lambda minutes, name: timezone(timedelta(minutes=minutes), name), st.integers(-99, 99), texts())
    return st.none() | st.just(UTC) | offsets | named | st.sampled_from(ZONES).map(ZoneInfo)


def plain_atoms() -> st.SearchStrategy[Any]:
    """What MessagePack has a word for."""
    floats = st.floats() | st.sampled_from((0.0, -0.0))
    return st.none() | st.booleans() | st.integers() | floats | texts() | st.binary(max_size=12)


def hashable_atoms() -> st.SearchStrategy[Any]:
    return st.one_of(
        plain_atoms(),
        st.integers(-(2**200), 2**200),
        st.sampled_from((2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1)),
        st.complex_numbers(),
        st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3),
        st.datetimes(timezones=st.none() | st.sampled_from(ZONES).map(ZoneInfo) | st.just(UTC)),
        st.builds(
            lambda moment, fold, zone: moment.replace(fold=fold, tzinfo=zone),
            st.datetimes(),
            st.sampled_from((0, 1)),
            zones(),
        ),
        st.dates(),
        st.builds(
            lambda moment, fold, zone: moment.replace(fold=fold, tzinfo=zone),
            st.times(),
            st.sampled_from((0, 1)),
            zones(),
        ),
        st.timedeltas(),
        zones(),
        st.decimals(allow_nan=False) | st.sampled_from((Decimal("NaN123"), Decimal("-0.00"), Decimal("1E+10"))),
        st.fractions(),
        st.uuids(),
        texts().filter(lambda text: "\0" not in text).map(pathlib.Path),
        texts().map(pathlib.PureWindowsPath),
        st.sampled_from((*Colour, *Level, *Word, Right.READ, Right.READ | Right.RUN, Right(0), ...)),
        st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9)),
        st.sampled_from(
            (int, str, dict, type(...).__class__, collections.OrderedDict, Coin, BigBox.Handle, ValueError)
        ),
        st.sampled_from((re.compile("a+"), re.compile(b"[b]", re.IGNORECASE), re.compile("(?x) c", re.MULTILINE))),
        texts().map(Loud),
        st.integers().map(Count),
        st.floats().map(Ratio),
    )


def atoms() -> st.SearchStrategy[Any]:
    return st.one_of(
        hashable_atoms(),
        st.just(Decimal("sNaN")),  # which refuses to be hashed
        st.binary(max_size=12).map(bytearray),
        st.builds(slice, st.none() | st.integers(), st.integers(), st.none()),
        arrays(),
        arrays().filter(lambda array: array.size > 0).map(lambda array: array.flat[0]),
    )


def arrays() -> st.SearchStrategy[Any]:
    @st.composite
    def array(draw: st.DrawFn) -> Any:
        dtype = np.dtype(draw(st.sampled_from(DTYPES)))
        shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
        count = int(np.prod(shape, dtype=int))
        filled = np.frombuffer(bytearray(range(1, 9)) * dtype.itemsize * max(count, 1), dtype.newbyteorder("="))
        if dtype.kind == "U":
            filled = np.array(["a", "bc", "déf"] * (count + 1))
        if dtype.kind == "b":
            filled = np.array([True, False] * (count + 1))
        return np.array(filled[:count].reshape(shape), dtype=dtype, order=draw(st.sampled_from("CF")))

    return array()


def keys() -> st.SearchStrategy[Any]:
    """Hashable, and equal to itself only: a NaN is never found again."""
    whole = hashable_atoms()
    return whole | st.tuples(whole, whole) | st.frozensets(whole, max_size=3) | st.builds(Coin, whole)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=4)
    by_text = st.dictionaries(texts(), inner, max_size=4)
    by_anything = st.dictionaries(keys(), inner, max_size=3)
    return st.one_of(
        lists,
        by_text,
        by_anything,
        lists.map(tuple),
        st.sets(keys(), max_size=4),
        st.frozensets(keys(), max_size=4),
        st.builds(collections.deque, lists, st.none() | st.integers(0, 5)),
        by_anything.map(collections.OrderedDict),
        by_anything.map(lambda items: collections.defaultdict(list, items)),
        st.lists(keys(), max_size=4).map(collections.Counter),
        by_text.map(lambda fields: SimpleNamespace(**fields)),
        lists.map(Queue),
        by_anything.map(Bag),
        st.builds(_annotated_count, st.integers(), inner),
        st.builds(Point, inner, inner),
        st.builds(Box, inner),
        st.builds(BigBox, inner, lid=inner),
        st.builds(Coin, inner, st.sampled_from(Colour)),
        st.builds(Parcel, inner, texts()),
        st.builds(Stamp, inner),
        st.builds(_model, texts(), inner, st.integers()),
        st.builds(lambda items, returned: Yielded(tuple(items), returned), lists, inner),
        errors(inner),
    )


def _annotated_count(value: int, note: Any) -> Count:
    count = Count(value)
    count.note = note
    return count


def _model(name: str, anything: Any, number: int) -> Outer:
    return Outer(name=_clean(name), anything=anything, inner=Inner(number=number), more={"and": anything})


def _clean(text: str) -> str:
    """pydantic takes no lone surrogates."""
    return text.encode("utf-8", "replace").decode()


def errors(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[BaseException]:
    def raised_from(cause: BaseException, note: str) -> ValueError:
        error = ValueError("above")
        error.__cause__ = cause
        error.add_note(note)
        return error

    base = st.one_of(
        st.builds(PipelineError, texts(), code=inner),
        inner.map(KeyError),
        st.builds(FileNotFoundError, st.just(2), texts(), texts()),
        st.just(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")),
        st.builds(StopIteration, inner),
        st.builds(SystemExit, inner),
    )
    groups = st.builds(lambda message, error: BaseExceptionGroup(message, [error, ValueError(1)]), texts(), base)
    return base | groups | st.builds(raised_from, base, texts())


def values() -> st.SearchStrategy[Any]:
    """Any value that comes back equal and of the same type."""
    return st.recursive(atoms(), containers, max_leaves=12)


def plain_values(*, keys: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Any]:
    """What JSON could say, and bytes."""
    names = texts() if keys is None else keys
    return st.recursive(
        plain_atoms(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
        max_leaves=12,
    )


def alike(left: Any, right: Any) -> bool:
    """Equal and of the same type, all the way down; a NaN is like itself, and -0.0 is not like 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (set, frozenset)):
        return len(left) == len(right) and all(any(alike(ours, theirs) for theirs in right) for ours in left)
    for kinds, parts in _PARTS:
        if isinstance(left, kinds):
            ours, theirs = parts(left), parts(right)
            return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    return bool(left == right)


def _mapping_parts(mapping: Any) -> list[Any]:
    parts = [part for pair in mapping.items() for part in pair]
    return [*parts, getattr(mapping, "default_factory", None), getattr(mapping, "__dict__", None)]


def _error_parts(error: BaseException) -> list[Any]:
    members = [
        getattr(error, name, None) for name in ("errno", "strerror", "filename", "value", "code", "reason", "start")
    ]
    return [error.args, dict(vars(error)), error.__cause__, error.__suppress_context__, *members]


def _model_parts(model: pydantic.BaseModel) -> list[Any]:
    return [dict(vars(model)), model.model_extra, model.model_fields_set, model.__pydantic_private__]


#: The first row that fits says what a value is made of.
_PARTS: tuple[tuple[Any, Any], ...] = (
    (enum.Enum, lambda member: [id(member)]),
    (np.ndarray, lambda array: [array.dtype.str, array.shape, array.flags.fnc, array.tobytes()]),
    (np.generic, lambda scalar: [scalar.dtype.str, scalar.tobytes()]),
    (float, lambda number: [struct.pack("d", number)]),
    (complex, lambda number: [struct.pack("dd", number.real, number.imag)]),
    (Decimal, lambda number: [str(number)]),
    ((datetime, time), lambda moment: [moment.isoformat(), moment.fold, moment.tzinfo]),
    (timezone, lambda zone: [repr(zone)]),
    (Count, lambda number: [int(number), dict(vars(number))]),
    (Loud, lambda text: ["".join(text)]),
    ((list, tuple), list),
    (collections.deque, lambda items: [items.maxlen, *items]),
    (dict, _mapping_parts),
    (SimpleNamespace, lambda namespace: [vars(namespace)]),
    ((Box, Coin, Yielded), lambda record: [getattr(record, field.name) for field in dataclasses.fields(record)]),
    ((Parcel, Stamp), lambda record: [getattr(record, field.name) for field in attrs.fields(type(record))]),
    (pydantic.BaseModel, _model_parts),
    (BaseException, _error_parts),
)
