"""A digest of what a function does: its code, its defaults, its closure, the plain values and the functions it names.

Two fingerprints are comparable when their prefixes are equal: the prefix names this format and the Python version,
whose compilers lay out code differently. Comments, line numbers, file names and docstrings are not part of it.

Followed are functions of the same package: named directly, as an attribute of a module of the package, or as a method
of a class of the package that is named, or whose instance is. What is reached through a value at run time is not.
"""

from __future__ import annotations

import functools
import re
import sys
import types
from opcode import hasconst, opmap
from typing import Any, Callable, Iterator

from tracer import codec
from tracer.binding import MAIN_AGAIN
from tracer.digest import blake2b

#: Versioned, because a change of this format would make every recorded step look changed.
PREFIX = f"f1-py{sys.version_info.major}.{sys.version_info.minor}"
_PLAIN = (str, bytes, int, float, bool, type(None), tuple, frozenset, list, dict, set, re.Pattern)
_MOST_FUNCTIONS = 500
_CONSTANT = frozenset(hasconst)
_EXTENDED = opmap["EXTENDED_ARG"]
_STORE_GLOBAL = opmap["STORE_GLOBAL"]
#: Run when an instance is made or called, though no code names them.
_UNNAMED_METHODS = ("__init__", "__call__")


def fingerprint(function: Callable[..., Any]) -> str:
    """The fingerprint of a function as it is now, with the functions of its own package that it names, recursively."""
    digest = blake2b(digest_size=12)
    for line in _describe(function):
        digest.update(line)
        digest.update(b"\x00")
    return f"{PREFIX}:{digest.hexdigest()}"


def comparable(one: str | None, other: str | None) -> bool:
    """Whether a difference between these two says anything about the code."""
    return one is not None and other is not None and one.split(":")[0] == other.split(":")[0]


def _describe(root: Any) -> Iterator[bytes]:
    function = _unwrapped(root)
    package = _package_of(function if type(function) is types.FunctionType else type(function))
    waiting: list[Any] = [root]
    seen: set[int] = set()
    for value in waiting:  # grows while it is walked
        yield from _around(value)
        function = _unwrapped(value)
        if id(function) in seen or len(seen) >= _MOST_FUNCTIONS:
            continue
        seen.add(id(function))
        if type(function) is types.FunctionType:
            yield from _one(function, package, waiting)
        else:
            yield f"object {type(function).__qualname__}".encode()
            waiting += _methods(type(function), ("__call__",), package)


def _one(function: types.FunctionType, package: str, waiting: list[Any]) -> Iterator[bytes]:
    """One function's own lines; the functions that it names are added to ``waiting``."""
    code = function.__code__
    yield from _code(code)
    yield from _values(function.__defaults__ or ())
    yield from _values((function.__kwdefaults__ or {}).items())
    names = tuple(dict.fromkeys(_names(code)))
    for name, value in _named(function, names):
        cls = type(value)
        if issubclass(cls, _PLAIN):
            yield name.encode()
            yield from _values((value,))
        elif issubclass(cls, types.ModuleType):
            if value.__name__.split(".")[0] == package:
                yield from _attributes(value, names, package, waiting)
        elif type(_unwrapped(value)) is types.FunctionType:
            if _package_of(_unwrapped(value)) == package:
                waiting.append(value)
            else:
                yield f"{name} {value.__module__}.{value.__qualname__}".encode()
        else:
            waiting += _methods(value if issubclass(cls, type) else cls, names, package)
    waiting += _methods(_own_class(function), names, package)


def _attributes(module: types.ModuleType, names: tuple[str, ...], package: str, waiting: list[Any]) -> Iterator[bytes]:
    for name in names:
        value = vars(module).get(name)
        if issubclass(type(value), _PLAIN) and name in vars(module):
            yield f"{module.__name__}.{name}".encode()
            yield from _values((value,))
        elif type(_unwrapped(value)) is types.FunctionType and _package_of(_unwrapped(value)) == package:
            waiting.append(value)
        elif issubclass(type(value), type):
            waiting += _methods(value, names, package)


def _methods(cls: type | None, names: tuple[str, ...], package: str) -> Iterator[Any]:
    """The functions of a class of the package that are among ``names``, its bases included."""
    for base in () if cls is None else type.__dict__["__mro__"].__get__(cls):
        if _package_of(base) == package:
            for name in dict.fromkeys((*names, *_UNNAMED_METHODS)):
                if type(_unwrapped(base.__dict__.get(name))) is types.FunctionType:
                    yield base.__dict__[name]


def _own_class(function: types.FunctionType) -> type | None:
    """The class that a method belongs to, if it can be reached from its module."""
    found: Any = None
    for name in function.__qualname__.split(".")[:-1]:
        found = (function.__globals__ if found is None else vars(found)).get(name)
        if not issubclass(type(found), type):
            return None
    return found  # type: ignore[no-any-return]  # just seen to be a class


def _unwrapped(value: Any) -> Any:
    """The function inside decorators. Only known wrappers are opened: asking a stranger's object may run its code."""
    for _ in range(_MOST_FUNCTIONS):
        if type(value) is types.FunctionType:
            inner = value.__dict__.get("__wrapped__")
        elif type(value) is functools._lru_cache_wrapper:  # noqa: SLF001 - its only name
            inner = value.__wrapped__
        elif type(value) in (staticmethod, classmethod, types.MethodType):
            inner = value.__func__
        elif type(value) is functools.partial:
            inner = value.func
        elif type(value) is property:
            inner = value.fget
        else:
            return value
        if inner is None:
            return value
        value = inner
    return value


def _around(value: Any) -> Iterator[bytes]:
    """What a partial gives to the function inside it."""
    if type(value) is functools.partial:
        yield from _values((value.args, value.keywords))


def _package_of(value: Any) -> str:
    module = getattr(value, "__module__", None)
    package = module.split(".")[0] if isinstance(module, str) else ""
    return "__main__" if package == MAIN_AGAIN else package


def _code(code: types.CodeType) -> Iterator[bytes]:
    """The instructions, with constants in place of their numbers: a docstring takes a number, but is never loaded."""
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    yield repr((names, counts)).encode()
    yield code.co_exceptiontable
    instructions = bytearray(code.co_code)
    extended = 0
    for at in range(0, len(instructions), 2):
        operation, argument = instructions[at], instructions[at + 1] | extended
        extended = argument << 8 if operation == _EXTENDED else 0
        if operation in _CONSTANT:
            instructions[at + 1] = 0
            constant = code.co_consts[argument]
            if isinstance(constant, types.CodeType):
                yield from _code(constant)
            else:
                yield from _values((constant,))
    yield bytes(instructions)


def _values(values: Any) -> Iterator[bytes]:
    for value in values:
        yield codec.canonical(codec.encode(value).data)


def _named(function: types.FunctionType, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The closure variables and the globals that the code, or a function inside it, names. A global that the function
    itself sets is its state, not its text."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a cell that nothing was bound to yet
            continue
    namespace = function.__globals__
    state = frozenset(_set_names(function.__code__))
    for name in names:
        if name in namespace and name not in state:
            yield name, namespace[name]


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _set_names(code: types.CodeType) -> Iterator[str]:
    instructions = code.co_code
    if _STORE_GLOBAL in instructions[::2]:
        for operation, argument in zip(instructions[::2], instructions[1::2], strict=True):
            if operation == _STORE_GLOBAL:
                yield code.co_names[argument]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _set_names(constant)
