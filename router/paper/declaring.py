"""What was said of a node where it was declared, made into the node: its functions recorded, its inputs named."""

from __future__ import annotations

import enum
import functools
import inspect
import string
import sys
import typing
from typing import Any, Callable, Iterable, Mapping, Sequence

from router.deciding.bands import Bands
from router.errors import InvalidWorkflow
from router.paper.node import Ask, Choose, Function, Node, Take, Target, taken
from tracer.decisions import DECISION, Decision
from tracer.decorators import step
from tracer.fingerprint import fingerprint
from tracer.spans import current

Ref = str | Node
Refs = Ref | Sequence[Ref]


def place(depth: int) -> str:
    """The file and line that called, ``depth`` functions up from whoever asks."""
    frame = sys._getframe(depth + 1)  # noqa: SLF001 - its only name; inspect.stack reads every file on the way
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def name_of(function: Callable[..., Any]) -> str:
    """What a step of this function is called."""
    given = getattr(function, "__playhead_name__", None) or getattr(function, "__name__", None)
    return str(given or type(function).__name__)


def names(refs: Refs) -> tuple[str, ...]:
    """The names of nodes, given as one or several of nodes and names."""
    listed = (refs,) if isinstance(refs, str | Node) else refs
    return tuple(ref.name if isinstance(ref, Node) else ref for ref in listed)


def declared(  # noqa: PLR0913 - each is one thing to know of it
    function: Callable[..., Any],
    record: Callable[[Callable[..., Any]], Callable[..., Any]],
    *,
    takes: Mapping[str, str],
    name: str,
    model: str | None = None,
    where: str,
) -> Function:
    """A function as a node calls it: recorded by ``record``, unless it is decorated already. Raises InvalidWorkflow."""
    wrapped = inspect.unwrap(function)
    if inspect.isgeneratorfunction(wrapped) or inspect.isasyncgenfunction(wrapped):
        raise InvalidWorkflow(name, [f"{where}: {name} is a generator: a step on paper gives one value; return a list"])
    try:
        inputs = taken(function, takes, name)
    except (TypeError, ValueError) as error:
        raise InvalidWorkflow(name, [f"{where}: {error}"]) from None
    call = function if hasattr(function, "__playhead__") else record(function)
    return Function(name_of(call), call, inputs, model, function)


def deciding(function: Callable[..., Any], name: str, branches: Iterable[Any]) -> Callable[..., Any]:
    """The function as a step of kind router that keeps what it decided as its tag."""
    candidates = tuple(map(str, branches))

    def told(value: Any) -> Any:
        chosen = value.value if isinstance(value, enum.Enum) else value
        current().set(tags={DECISION: Decision("rules", str(chosen), candidates=candidates).as_tag()})
        return value

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def decide_async(**inputs: Any) -> Any:
            return told(await function(**inputs))

        return step(kind="router", name=name)(decide_async)

    @functools.wraps(function)
    def decide(**inputs: Any) -> Any:
        return told(function(**inputs))

    return step(kind="router", name=name)(decide)


def domain(function: Callable[..., Any], bands: Bands | None) -> tuple[Any, ...] | None:
    """Every answer that a deciding function can give, where its annotation says so: a Literal, an Enum, a bool."""
    if bands is not None:
        return ("sure", "unsure", "hopeless")
    try:
        answer = typing.get_type_hints(inspect.unwrap(function)).get("return")
    except (NameError, TypeError, AttributeError):  # a name that only a type checker knows
        return None
    if typing.get_origin(answer) is typing.Literal:
        return typing.get_args(answer)
    if isinstance(answer, type) and issubclass(answer, enum.Enum):
        return tuple(answer)
    return (True, False) if answer is bool else None


def branches(to: Mapping[Any, Ref | None]) -> dict[Any, Target]:
    return {value: None if target is None else names(target)[0] for value, target in to.items()}


def asked(question: str, context: Sequence[str], where: str, name: str) -> tuple[Take, ...]:
    """The values that a question names in braces, and those that go with it. Raises InvalidWorkflow."""
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(question) if field is not None]
    except ValueError as error:
        raise InvalidWorkflow(
            name, [f"{where}: {name}: the question can't be read ({error}): write {{{{ for {{"]
        ) from None
    roots = [field.replace("[", ".").split(".")[0] for field in fields]
    if not all(roots):
        raise InvalidWorkflow(name, [f"{where}: {name}: the question has braces without a name in them"])
    return tuple(Take(value, value) for value in dict.fromkeys([*roots, *context]))


def digest_of(function: Callable[..., Any] | type | tuple[Any, ...] | None) -> str:
    """What a fingerprint of the workflow holds of something that is called and is no step of its own."""
    if function is None:
        return ""
    if isinstance(function, tuple):
        return ", ".join(map(digest_of, function))
    if isinstance(function, type):
        return f"{function.__module__}.{function.__qualname__}"
    return fingerprint(function)


def definition_of(node: Node) -> tuple[str, ...]:
    """A node in plain words, without its place: equal where the workflow is the same."""
    work: Any = node.work
    said = [node.name, type(work).__name__, str(node.gives), *node.after]
    said += [f"{take.parameter}={'.'.join((take.value, *take.path))}" for take in node.takes]
    said += [function.name for function in node.functions]
    if isinstance(work, Choose):
        said += [f"{value!r}:{target}" for value, target in work.to.items()]
        said += [f"otherwise:{work.otherwise}", repr(work.bands)]
        said += [digest_of(work.by.given)] if work.bands is not None else []
    for detail in ("question", "options", "at_most", "otherwise"):
        said += [f"{detail}={getattr(work, detail, None)!r}"]
    said += [digest_of(getattr(work, called, None)) for called in ("until", "on", "reject")]
    if isinstance(work, Ask):
        said += [f"{term}:{value!r}" for term, value in sorted(work.terms.items())]
    return tuple(said)
