"""Arguments as a mapping of names, and back: without ``inspect`` on the way in, which runs at every call.

The mapping holds what was given: ``{"question": ..., "k": 3}``, extra positional arguments as a tuple under
``"*rest"``. A keyword for ``**rest`` stands under its own name, except where that could be read as something else:
those are a mapping under ``"**rest"``. Defaults are not in it (the fingerprint has them), nor are ``self`` and ``cls``.
"""

from __future__ import annotations

import inspect
from typing import Any, Callable, Mapping

#: What multiprocessing calls the main module where it loads it again, and a replay likewise.
MAIN_AGAIN = "__mp_main__"
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Binder:
    """Names the arguments of one function."""

    __slots__ = ("_bound", "_keyword_only", "_keywords", "_names", "_reserved", "_rest", "_skip")

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = _parameters(function)
        self._names = tuple(parameter.name for parameter in parameters if parameter.kind in _POSITIONAL)
        self._bound = len(self._names)
        self._skip = 1 if self._names[:1] in {("self",), ("cls",)} and _is_method(function) else 0
        self._keyword_only = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self._rest = "*args"
        #: The name of ``**rest`` where there is one, and the keywords that can't stand among the other names then.
        self._keywords: str | None = None
        self._reserved = frozenset(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)
        for parameter in parameters:
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = f"*{parameter.name}"
            elif parameter.kind is parameter.VAR_KEYWORD:
                self._keywords = f"**{parameter.name}"

    def name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        skip = self._skip
        count = len(args)
        if skip == 0 and count <= self._bound:
            names = self._names
            if count == 1:
                named = {names[0]: args[0]}
            elif count == 2:
                named = {names[0]: args[0], names[1]: args[1]}
            else:
                named = dict(zip(names, args))  # noqa: B905 - arguments that have a default may be missing
        else:
            named = dict(zip(self._names[skip:], args[skip : self._bound], strict=False))
            if count > self._bound:
                named[self._rest] = args[self._bound :]
        if kwargs:
            named.update(kwargs if self._keywords is None else self._apart(kwargs, self._keywords))
        return named

    def _apart(self, kwargs: Mapping[str, Any], rest: str) -> Mapping[str, Any]:
        clashing = {name: value for name, value in kwargs.items() if name in self._reserved or name.startswith("*")}
        if not clashing:
            return kwargs
        return {**{name: value for name, value in kwargs.items() if name not in clashing}, rest: clashing}

    def unknown(self, names: frozenset[str]) -> frozenset[str]:
        """Those of ``names`` that can't be the name of an input: no parameter, or ``**rest`` as a whole."""
        if self._keywords is not None:
            return names & {self._keywords.lstrip("*")}
        return names - {*self._names, *self._keyword_only, self._rest.lstrip("*")}


def arguments(function: Callable[..., Any], named: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The positional and keyword arguments that give ``named`` again: for a replay, inspect's cost is no matter."""
    named = dict(named)
    clashing: dict[str, Any] = next((named.pop(name) for name in list(named) if name.startswith("**")), {})
    extra: tuple[Any, ...] = next((named.pop(name) for name in list(named) if name.startswith("*")), ())
    args: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        by_position = parameter.kind is parameter.POSITIONAL_ONLY or (
            extra and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        )
        if by_position and parameter.name in named:
            args.append(named.pop(parameter.name))
    return [*args, *extra], {**named, **clashing}


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a builtin that does not say what it takes
        return []


def _is_method(function: Callable[..., Any]) -> bool:
    around = getattr(function, "__qualname__", "").rpartition(".")[0]
    return bool(around) and not around.endswith("<locals>")
