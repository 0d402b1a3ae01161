"""The nodes of a workflow on paper, as frozen values: what each one takes, gives, and does."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Callable, Literal, Mapping, Sequence

from router.deciding.bands import Bands
from router.flow import Reject
from router.retry import On

#: Where a way ends on purpose: a branch that leads nowhere.
Target = str | None


@dataclass(frozen=True, slots=True)
class Take:
    """One input of a function: its ``parameter`` gets the value of that name, or an attribute of it."""

    parameter: str
    value: str
    path: tuple[str, ...] = ()
    #: Whether the function can't be called without it.
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the user's, recorded, and what it is called with."""

    name: str
    call: Callable[..., Any]
    takes: tuple[Take, ...]
    model: str | None = None
    #: As it was given: what a fingerprint is taken of.
    given: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Call the first function; after an error that ``on`` names, the next one."""

    functions: tuple[Function, ...]
    on: On | None = None
    reject: Reject | None = None
    #: Whether ``fallback`` was said at all: None on purpose is an answer too.
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class Choose:
    """Ask ``by`` which way to go. Where there are ``bands`` it gives a confidence, and the band is the way."""

    by: Function
    to: Mapping[Any, Target]
    #: Where any other answer leads; empty where that was not said.
    otherwise: tuple[Target, ...] = ()
    bands: Bands | None = None
    #: Every answer there can be, where that is known.
    values: tuple[Any, ...] | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """Where it may lead, each once."""
        return tuple(dict.fromkeys(name for name in (*self.to.values(), *self.otherwise) if name is not None))


@dataclass(frozen=True, slots=True)
class Ask:
    """Put ``question`` to a human, on these ``terms``; ``context`` are the values that go with it."""

    question: str
    options: tuple[str, ...]
    context: tuple[Take, ...]
    #: Those of ``schema``, ``timeout_s`` and ``default`` that were given.
    terms: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Again:
    """Call the function until ``until`` holds of what it gives, at most ``at_most`` times."""

    function: Function
    until: Callable[[Any], bool]
    at_most: int
    otherwise: Literal["raise", "last"] = "raise"


Work = Run | Choose | Ask | Again


@dataclass(frozen=True, slots=True)
class Node:
    """One step on paper. ``gives`` is the name of its value; ``place`` is the file and line that declared it."""

    name: str
    work: Work
    gives: str | None
    after: tuple[str, ...]
    place: str
    is_effect: bool = False

    @property
    def functions(self) -> tuple[Function, ...]:
        match self.work:
            case Run(functions=functions):
                return functions
            case Choose(by=function) | Again(function=function):
                return (function,)
            case Ask():
                return ()

    @property
    def takes(self) -> tuple[Take, ...]:
        if isinstance(self.work, Ask):
            return self.work.context
        return tuple(take for function in self.functions for take in function.takes)

    @property
    def leads_to(self) -> tuple[str, ...]:
        """The nodes that this one decides about."""
        return self.work.targets if isinstance(self.work, Choose) else ()


def taken(function: Callable[..., Any], named: Mapping[str, str], name: str) -> tuple[Take, ...]:
    """What a function takes, by the names of its parameters; ``named`` says otherwise for some: a value's name, or
    ``guess.intent`` for an attribute of one. Raises TypeError where it can't be called by name."""
    parameters = inspect.signature(function).parameters.values()
    found = []
    for parameter in parameters:
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise TypeError(f"{name} takes {parameter.name} by position only; a workflow gives inputs by name")
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        value, *path = named.get(parameter.name, parameter.name).split(".")
        needed = parameter.default is parameter.empty or parameter.name in named
        found.append(Take(parameter.name, value, tuple(path), needed))
    unknown = [each for each in named if each not in {take.parameter for take in found}]
    if unknown:
        raise TypeError(f"{name} has no parameter {', '.join(unknown)}; it has {listed([t.parameter for t in found])}")
    return tuple(found)


def listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
