"""``@workflow``, ``@step``, ``@effect`` and ``span``: one begin and end, and four thin wrappers around it, because Python
has four kinds of function.

Outside a workflow a decorated step is the plain function.
"""

from __future__ import annotations

import functools
import inspect
import sys
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence, get_args

from tracer import generators, recorder
from tracer.binding import MAIN_AGAIN, Binder
from tracer.context import CURRENT, RUN, UNSET, ActiveStep
from tracer.errors import ConfigError
from tracer.fingerprint import fingerprint
from tracer.guard import guard
from tracer.model import Kind
from tracer.player import Answer, Raise

KINDS = frozenset(get_args(Kind))


class Spec:
    """What a decorator was told, and what is known of its function."""

    def __init__(  # noqa: PLR0913 - the decorators' arguments
        self,
        function: Callable[..., Any],
        *,
        kind: str,
        name: str | None = None,
        model: str | None = None,
        hidden: Sequence[str] = (),
        capture: bool = True,
        effect: bool = False,
        stand_in: tuple[Any, ...] = (),
        version: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        self.function = function
        self.kind = kind
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self.model = model
        self.hidden = frozenset(hidden)
        self.capture = capture
        self.effect = effect
        self.stand_in = stand_in
        self.version = version
        self.tags = dict(tags or {})
        self.binder = Binder(getattr(function, "__func__", function))

    @functools.cached_property
    def fingerprint(self) -> str | None:
        """Taken at the first call, when the module that the function names things of is complete."""
        with guard("take a function's fingerprint"):
            return fingerprint(self.function)
        return None

    @functools.cached_property
    def entry(self) -> dict[str, str | None]:
        """How a replay finds this workflow again (model.Entry)."""
        module = self.function.__module__
        if module == MAIN_AGAIN:
            module = "__main__"
        loaded = sys.modules.get(module)
        file = getattr(loaded, "__file__", None)
        path = None if file is None else Path(file).resolve()
        root = None
        if path is not None:
            folder = path.parent if path.name != "__init__.py" else path.parent.parent
            root = str(folder if module == "__main__" else folder.joinpath(*[".."] * module.count(".")).resolve())
        return {
            "module": module,
            "qualname": self.function.__qualname__,
            "file": None if path is None else str(path),
            "root": root,
        }


def begin(spec: Spec, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ActiveStep | None:
    """Begin a step for a decorated call; None where it is not to be recorded. Raises nothing but a player's stop."""
    parent = CURRENT.get()
    if parent is None:
        return _begin_root(spec, args, kwargs) if spec.kind == "workflow" else None
    step: ActiveStep | None = None
    with guard("record a step"):
        step = _begin_below(spec, parent, args, kwargs)
    return step


def _begin_below(spec: Spec, parent: ActiveStep, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ActiveStep:
    attrs: dict[str, Any] = {}
    if spec.tags:
        attrs["tags"] = spec.tags
    named = spec.binder.name(args, kwargs)
    step = parent.trace.recorder.begin(
        parent.trace,
        parent,
        spec.name,
        spec.kind,
        value=named,
        hidden=spec.hidden,
        capture=spec.capture,
        fingerprint=spec.fingerprint,
        effect=spec.effect,
        stand_in=spec.stand_in,
        arguments=(args, kwargs),
        attrs=attrs,
    )
    if spec.model is not None:
        step.describe(call={"model_asked": spec.model, "model": spec.model})
    return step


def _begin_root(spec: Spec, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ActiveStep | None:
    step: ActiveStep | None = None
    with guard("begin a trace"):
        step = recorder.begin_trace(
            spec.name,
            value=spec.binder.name(args, kwargs),
            hidden=spec.hidden,
            capture=spec.capture,
            fingerprint=spec.fingerprint,
            arguments=(args, kwargs),
            attrs={"workflow": spec.name, "entry": spec.entry, "version": spec.version, "tags": spec.tags},
        )
    return step


def served(step: ActiveStep, decision: Answer | Raise) -> Any:
    """End a step that a player answered for: give its value, or raise its error."""
    if isinstance(decision, Raise):
        step.fail(decision.error)
        raise decision.error
    step.finish(decision.value)
    return decision.value


def wrap(spec: Spec) -> Callable[..., Any]:
    """The recorded form of a function, of the same kind as the function itself."""
    function = spec.function
    if inspect.isasyncgenfunction(function):
        wrapper: Callable[..., Any] = generators.wrap_async(function, functools.partial(begin, spec))
    elif inspect.isgeneratorfunction(function):
        wrapper = generators.wrap(function, functools.partial(begin, spec))
    elif inspect.iscoroutinefunction(function):
        wrapper = _wrap_async(spec)
    else:
        wrapper = _wrap_sync(spec)
    return functools.wraps(function)(wrapper)


def _wrap_sync(spec: Spec) -> Callable[..., Any]:
    function = spec.function

    def call(*args: Any, **kwargs: Any) -> Any:
        step = begin(spec, args, kwargs)
        if step is None:
            return function(*args, **kwargs)
        if step.decision is not RUN and isinstance(step.decision, Answer | Raise):
            return served(step, step.decision)
        token = CURRENT.set(step)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            step.fail(error)
            raise
        finally:
            CURRENT.reset(token)
        step.finish(result)
        return result

    return call


def _wrap_async(spec: Spec) -> Callable[..., Any]:
    function = spec.function

    async def call(*args: Any, **kwargs: Any) -> Any:
        step = begin(spec, args, kwargs)
        if step is None:
            return await function(*args, **kwargs)
        if step.decision is not RUN and isinstance(step.decision, Answer | Raise):
            return served(step, step.decision)
        token = CURRENT.set(step)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            step.fail(error)
            raise
        finally:
            CURRENT.reset(token)
        step.finish(result)
        return result

    return call


def workflow(
    function: Any = None,
    *,
    name: str | None = None,
    version: str | None = None,
    tags: Mapping[str, Any] | None = None,
    redact: Sequence[str] = (),
    capture: bool = True,
) -> Any:
    """Record each call of this function as a trace. A workflow called inside another is a step of it.

    ``version`` and ``tags`` are kept with the trace, to filter by; ``redact`` names inputs that must not be stored;
    ``capture=False`` stores neither inputs nor outputs.
    """
    told = {"kind": "workflow", "name": name, "version": version, "tags": tags, "hidden": redact, "capture": capture}
    return _decorate(function, told)


def step(  # noqa: PLR0913 - each is one thing to say about a step
    function: Any = None,
    *,
    kind: Kind = "step",
    name: str | None = None,
    model: str | None = None,
    redact: Sequence[str] = (),
    capture: bool = True,
    tags: Mapping[str, Any] | None = None,
) -> Any:
    """Record each call of this function, made inside a workflow, as a step of its trace.

    ``kind`` is one of ``tracer.model.Kind``; ``model`` names the model that the function itself is (a classifier of your
    own); ``redact`` names inputs that must not be stored; ``capture=False`` stores neither inputs nor outputs.
    """
    if kind not in KINDS:
        raise ConfigError(f"no step kind {kind!r}; the kinds are {', '.join(sorted(KINDS))}")
    told = {"kind": kind, "name": name, "model": model, "hidden": redact, "capture": capture, "tags": tags}
    return _decorate(function, told)


def effect(
    function: Any = None,
    *,
    stand_in: Any = UNSET,
    kind: Kind = "tool",
    name: str | None = None,
    redact: Sequence[str] = (),
    capture: bool = True,
    tags: Mapping[str, Any] | None = None,
) -> Any:
    """A step with a side effect on the world: a replay never runs it again unless it is named.

    ``stand_in`` is what a replay uses instead where the record has no result: a value, or a function of the same inputs.
    """
    told = {"kind": kind, "name": name, "hidden": redact, "capture": capture, "tags": tags, "effect": True}
    return _decorate(function, {**told, "stand_in": () if stand_in is UNSET else (stand_in,)})


def _decorate(function: Any, told: dict[str, Any]) -> Any:
    if function is None:
        return lambda decorated: _decorate(decorated, told)
    if isinstance(function, classmethod | staticmethod):
        return type(function)(wrap(Spec(function.__func__, **told)))
    if not callable(function):
        raise TypeError(f"playhead decorates functions, not {type(function).__name__}")
    return wrap(Spec(function, **told))
