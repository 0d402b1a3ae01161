"""Arguments as a mapping of names, and back: without ``inspect`` on the way in, which runs at every call.

The mapping holds what was given: ``{"question": ..., "k": 3}``, extra positional arguments as a tuple under ``"*rest"``.
Defaults are not in it (the fingerprint has them), nor are ``self`` and ``cls``.
"""

from __future__ import annotations

import inspect
from typing import Any, Callable, Mapping

_VARARGS = 0x04
#: What multiprocessing calls the main module where it loads it again, and a replay likewise.
MAIN_AGAIN = "__mp_main__"


class Binder:
    """Names the arguments of one function."""

    __slots__ = ("_bound", "_names", "_rest", "_skip")

    def __init__(self, function: Callable[..., Any]) -> None:
        code = getattr(function, "__code__", None)
        self._names: tuple[str, ...] = () if code is None else code.co_varnames[: code.co_argcount]
        rest = "args"
        if code is not None and code.co_flags & _VARARGS:
            rest = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
        self._rest = f"*{rest}"
        self._skip = 1 if self._names[:1] in {("self",), ("cls",)} and "." in function.__qualname__ else 0
        self._bound = len(self._names)

    def name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        skip = self._skip
        if not skip and len(args) <= self._bound:
            named = dict(zip(self._names, args, strict=False))
        else:
            named = dict(zip(self._names[skip:], args[skip : self._bound], strict=False))
            if len(args) > self._bound:
                named[self._rest] = args[self._bound :]
        if kwargs:
            named.update(kwargs)
        return named


def arguments(function: Callable[..., Any], named: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The positional and keyword arguments that give ``named`` again. For a replay: here inspect's cost is no matter."""
    named = dict(named)
    extra = next((named.pop(name) for name in list(named) if name.startswith("*")), ())
    args: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        by_position = parameter.kind is parameter.POSITIONAL_ONLY or (
            extra and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        )
        if by_position and parameter.name in named:
            args.append(named.pop(parameter.name))
    return [*args, *extra], named
