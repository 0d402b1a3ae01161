"""numpy's arrays and scalars, without importing numpy: whoever holds one has imported it already."""

from __future__ import annotations

import re
import sys
from typing import Any

from tracer.codec.atoms import Unkept
from tracer.codec.tags import Tag

_PLAIN = re.compile(r"[<>|=][biufcSUVmM][0-9]{1,9}(\[[0-9A-Za-z]{1,8}\])?")


def write(value: Any) -> tuple[Tag, list[Any]] | None:
    """``(tag, body)`` of an array or a scalar of numpy, None for anything else. Raises Unkept for arrays of objects."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, (numpy.ndarray, numpy.generic)):
        return None
    if isinstance(value, (numpy.str_, numpy.bytes_)):
        kept = str.__str__(value) if isinstance(value, str) else value.tobytes()
        return Tag.SCALAR, [value.dtype.kind, kept]
    dtype = _write_dtype(numpy, value.dtype)
    if isinstance(value, numpy.generic):
        return Tag.SCALAR, [dtype, value.tobytes()]
    if type(value) is not numpy.ndarray:
        raise Unkept
    order = "F" if value.flags.fnc else "C"
    return Tag.ARRAY, [dtype, list(value.shape), order, value.tobytes(order)]


def read_scalar(dtype: Any, data: Any) -> Any:
    numpy = _numpy()
    if dtype == "U":
        return numpy.str_(data)
    if dtype == "S":
        return numpy.bytes_(data)
    return numpy.frombuffer(data, _read_dtype(numpy, dtype), 1)[0]


def read_array(dtype: Any, shape: list[int], order: str, data: bytes) -> Any:
    numpy = _numpy()
    if any(size < 0 for size in shape):
        raise ValueError("a size below zero")
    return numpy.ndarray(tuple(shape), _read_dtype(numpy, dtype), bytearray(data), order=order)


def _numpy() -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise LookupError("numpy is not imported")
    return numpy


def _write_dtype(numpy: Any, dtype: Any) -> Any:
    form = dtype.str if dtype.names is None else dtype.descr
    if dtype.hasobject or not dtype.itemsize or numpy.dtype(form) != dtype:
        raise Unkept
    return form if isinstance(form, str) else _as_lists(form)


def _as_lists(form: Any) -> Any:
    return [_as_lists(part) for part in form] if isinstance(form, (list, tuple)) else form


def _read_dtype(numpy: Any, form: Any) -> Any:
    dtype = numpy.dtype(_checked(form))
    if not dtype.itemsize:
        raise ValueError("a type of no size")
    return dtype


def _checked(form: Any) -> Any:
    """The description that numpy expects, made of nothing but names, sizes and plain type codes."""
    if isinstance(form, str):
        if not _PLAIN.fullmatch(form):
            raise ValueError("not a plain type code")
        return form
    return [(str(name), _checked(kind), *(tuple(sizes) for sizes in shape)) for name, kind, *shape in form]
