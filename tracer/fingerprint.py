"""A digest of what a function does: its code, its defaults, its closure, the plain values and the functions it names.

Two fingerprints are comparable when their prefixes are equal: the prefix names this format and the Python version,
whose compilers lay out code differently. Comments, line numbers, file names and docstrings are not part of it.
"""

from __future__ import annotations

import hashlib
import re
import sys
import types
from typing import Any, Callable, Iterator

from tracer import codec

#: Versioned, because a change of this format would make every recorded step look changed.
PREFIX = f"f1-py{sys.version_info.major}.{sys.version_info.minor}"
_PLAIN = (str, bytes, int, float, bool, type(None), tuple, frozenset, list, dict, set, re.Pattern)
_MOST_FUNCTIONS = 500


def fingerprint(function: Callable[..., Any]) -> str:
    """The fingerprint of a function as it is now, with the functions of its own package that it names, recursively."""
    digest = hashlib.blake2b(digest_size=12)
    for line in _describe(_unwrap(function)):
        digest.update(line)
        digest.update(b"\x00")
    return f"{PREFIX}:{digest.hexdigest()}"


def comparable(one: str | None, other: str | None) -> bool:
    """Whether a difference between these two says anything about the code."""
    return one is not None and other is not None and one.split(":")[0] == other.split(":")[0]


def _unwrap(function: Any) -> Any:
    while True:
        inner = getattr(function, "__wrapped__", None) or getattr(function, "__func__", None)
        if inner is None:
            return function
        function = inner


def _describe(root: Any) -> Iterator[bytes]:
    waiting: list[Any] = [root]
    seen: set[int] = set()
    package = (getattr(root, "__module__", "") or "").split(".")[0]
    while waiting and len(seen) < _MOST_FUNCTIONS:
        function = _unwrap(waiting.pop(0))
        if id(function) in seen:
            continue
        seen.add(id(function))
        code = getattr(function, "__code__", None)
        if code is None:
            yield f"object {type(function).__qualname__}".encode()
            continue
        yield from _code(code)
        yield from _values(function.__defaults__ or ())
        yield from _values((function.__kwdefaults__ or {}).items())
        for name, value in _named(function, code):
            callee = _unwrap(value)
            if isinstance(callee, types.FunctionType):
                if (callee.__module__ or "").split(".")[0] == package:
                    waiting.append(callee)
            elif isinstance(value, _PLAIN):
                yield name.encode()
                yield from _values((value,))


def _code(code: types.CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_argcount, code.co_flags)).encode()
    for index, constant in enumerate(code.co_consts):
        if isinstance(constant, types.CodeType):
            yield from _code(constant)
        elif index == 0 and isinstance(constant, str) and _is_docstring(code):
            continue
        else:
            yield from _values((constant,))


def _is_docstring(code: types.CodeType) -> bool:
    """Whether the first constant is documentation: it is then never loaded by the code that follows.

    CPython puts a function's docstring first among the constants; an undocumented one has None there up to 3.13.
    """
    import dis  # noqa: PLC0415 - only for the few functions that have one

    return not any(i.opname.startswith("LOAD_CONST") and i.arg == 0 for i in dis.get_instructions(code))


def _values(values: Any) -> Iterator[bytes]:
    for value in values:
        yield codec.canonical(codec.encode(value).data)


def _named(function: types.FunctionType, code: types.CodeType) -> Iterator[tuple[str, Any]]:
    """The globals and closure variables that the code, or a function inside it, names."""
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a cell that nothing was bound to yet
            continue
    namespace = function.__globals__
    for name in _names(code):
        if name in namespace:
            yield name, namespace[name]


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
