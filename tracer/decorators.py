"""``@workflow``, ``@step`` and ``@effect``: one begin and end, and four thin wrappers around it, because Python has
four kinds of function.

Outside a workflow a decorated step is the plain function.
"""

from __future__ import annotations

import functools
import inspect
import sys
from pathlib import Path
from types import CoroutineType
from typing import Any, Awaitable, Callable, Mapping, Protocol, Sequence, TypeVar, get_args, overload

from tracer import generators, recorder
from tracer.binding import MAIN_AGAIN, Binder
from tracer.capture import instrument
from tracer.context import CURRENT, RUN, UNSET, ActiveStep, leave
from tracer.declared import Capture, CaptureName, Declared
from tracer.errors import ConfigError
from tracer.fingerprint import fingerprint
from tracer.guard import guard
from tracer.model import Kind
from tracer.pause import pause, pause_async
from tracer.player import Answer, Raise

#: Whatever is decorated: a function of any of the four kinds, a classmethod, a staticmethod, a callable object.
F = TypeVar("F", bound=Callable[..., Any])

KINDS = frozenset(get_args(Kind))


class Spec(Declared):
    """What a decorator was told, and what is known of its function."""

    def __init__(  # noqa: PLR0913 - the decorators' arguments
        self,
        function: Callable[..., Any],
        *,
        kind: str,
        name: str | None = None,
        model: str | None = None,
        hidden: str | Sequence[str] = (),
        capture: bool | CaptureName = True,
        effect: bool = False,
        stand_in: tuple[Any, ...] = (),
        version: str | None = None,
        tags: Mapping[str, Any] | None = None,
        key: str | Callable[..., Any] | None = None,
    ) -> None:
        self.function = function
        self.model = model
        self.version = version
        self.binder = Binder(function)
        name = name or str(getattr(function, "__name__", type(function).__name__))
        super().__init__(
            name,
            kind,
            capture=_capture(capture, name),
            hidden=_hidden_names(hidden, self.binder, name),
            effect=effect,
            stand_in=stand_in,
            tags=tags,
        )
        self.key = _key(key, self.binder, name)
        self.keyed = key is not None
        self._fingerprint: tuple[str | None, ...] = ()
        self._entry: dict[str, str | None] | None = None

    # Not cached_property: in Python 3.11 it holds a lock, which a fork would leave locked for good.

    @property
    def fingerprint(self) -> str | None:
        """Taken at the first call, when the module that the function names things of is complete."""
        if not self._fingerprint:
            taken: str | None = None
            with guard("take a function's fingerprint"):
                taken = fingerprint(self.function)
            self._fingerprint = (taken,)
        return self._fingerprint[0]

    @property
    def entry(self) -> dict[str, str | None]:
        """How a replay finds this workflow again (model.Entry)."""
        if self._entry is None:
            self._entry = self._find_entry()
        return self._entry

    def _find_entry(self) -> dict[str, str | None]:
        module = self.function.__module__
        if module == MAIN_AGAIN:
            module = "__main__"
        loaded = sys.modules.get(module)
        file = getattr(loaded, "__file__", None)
        path = None if file is None else Path(file).resolve()
        # A script run by ``python -m package.module`` lies in a package; one run by its path does not.
        package = getattr(loaded, "__package__", None) or None if module == "__main__" else None
        root = None
        if path is not None:
            folder = path.parent if path.name != "__init__.py" else path.parent.parent
            within = f"{package}.x" if package else module
            root = str(folder.joinpath(*[".."] * within.count(".")).resolve())
        return {
            "module": module,
            "qualname": getattr(self.function, "__qualname__", self.name),
            "file": None if path is None else str(path),
            "root": root,
            "package": package,
        }


def _capture(given: bool | CaptureName, name: str) -> Capture:  # noqa: FBT001 - likewise
    try:
        return Capture.of(given)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None


def _key(key: str | Callable[..., Any] | None, binder: Binder, name: str) -> str | Callable[..., Any] | None:
    if isinstance(key, str) and binder.unknown(frozenset({key})):
        raise ConfigError(f"{name} has no input of the name {key} to take its key from")
    if key is not None and not isinstance(key, str) and not callable(key):
        raise ConfigError(f"{name}: a key is the name of an input or a function of the inputs, not {key!r}")
    return key


def _keyed(spec: Spec, named: Mapping[str, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Which item this call is about; None where the user's function can't say."""
    with guard(f"take the key of {spec.name}"):
        return named.get(spec.key) if isinstance(spec.key, str) else spec.key(*args, **kwargs)  # type: ignore[misc]
    return None


def _hidden_names(hidden: str | Sequence[str], binder: Binder, name: str) -> frozenset[str]:
    """The inputs to hide, as the binder names them. A misspelt name would be a secret on disk: it is refused."""
    wanted = frozenset({hidden} if isinstance(hidden, str) else hidden)
    if unknown := binder.unknown(wanted):
        raise ConfigError(f"{name} has no input to redact of the name {', '.join(sorted(unknown))}")
    return wanted | {f"*{each}" for each in wanted}


def begin(spec: Spec, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ActiveStep | None:
    """Begin a step for a decorated call; None where it is not to be recorded. Raises nothing but a player's stop."""
    parent = CURRENT.get()
    if parent is None:
        return _begin_root(spec, args, kwargs) if spec.kind == "workflow" else None
    trace = parent.trace
    try:
        named = spec.binder.name(args, kwargs)
        key = _keyed(spec, named, args, kwargs) if spec.keyed else None
        step = trace.recorder.begin(trace, parent, spec, named, arguments=(args, kwargs), key=key)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach the user's call
        recorder.not_begun(spec.name, trace.player, error)
        return None
    if spec.model is not None and step is not None:
        step.describe(call={"model_asked": spec.model, "model": spec.model})
    return step


def _begin_root(spec: Spec, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ActiveStep | None:
    player = recorder.awaited()
    if recorder.recorder() is None and player is None:
        return None
    try:
        instrument()
        attrs: dict[str, Any] = {"workflow": spec.name, "entry": spec.entry, "version": spec.version}
        return recorder.begin_trace(spec, spec.binder.name(args, kwargs), arguments=(args, kwargs), attrs=attrs)
    except Exception as error:  # noqa: BLE001 - likewise
        recorder.not_begun(spec.name, player, error)
        return None


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
    # An object that can be called is what its __call__ is; a partial is what is inside it, which inspect knows.
    is_object = not isinstance(function, functools.partial) and not hasattr(function, "__code__")
    called: Any = type(function).__call__ if is_object else function
    if inspect.isasyncgenfunction(called):
        wrapper: Callable[..., Any] = generators.wrap_async(function, functools.partial(begin, spec))
    elif inspect.isgeneratorfunction(called):
        wrapper = generators.wrap(function, functools.partial(begin, spec))
    elif inspect.iscoroutinefunction(called):
        wrapper = _wrap_async(spec)
    else:
        wrapper = _wrap_sync(spec)
    recorded: Any = functools.wraps(function)(wrapper)
    #: By which a replay knows that what it is about to call is a workflow, whose steps will be asked for.
    recorded.__playhead__ = spec.kind
    #: By which a step that is handed to another process is numbered before it begins there.
    recorded.__playhead_name__ = spec.name
    return recorded  # type: ignore[no-any-return]  # the wrapper just made


def _wrap_sync(spec: Spec) -> Callable[..., Any]:
    function = spec.function

    def call(*args: Any, **kwargs: Any) -> Any:
        step = begin(spec, args, kwargs)
        if step is None:
            return function(*args, **kwargs)
        if step.decision is not RUN and isinstance(step.decision, Answer | Raise):
            pause(step.decision)
            return served(step, step.decision)
        token = CURRENT.set(step)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            step.fail(error)
            raise
        finally:
            CURRENT.reset(token)
        if type(result) is CoroutineType:  # a plain function around an async one: it has not run yet
            return _awaited(step, result)
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
            await pause_async(step.decision)
            return served(step, step.decision)
        return await _awaited(step, function(*args, **kwargs))

    return call


async def _awaited(step: ActiveStep, coroutine: Awaitable[Any]) -> Any:
    token = CURRENT.set(step)
    try:
        result = await coroutine
    except BaseException as error:
        step.fail(error)
        raise
    finally:
        leave(token)
    step.finish(result)
    return result


class Decorator(Protocol):
    """What a decorator with arguments gives: it leaves the type of what it decorates as it is."""

    def __call__(self, function: F, /) -> F: ...


@overload
def workflow(function: F, /) -> F: ...
@overload
def workflow(
    *,
    name: str | None = None,
    version: str | None = None,
    tags: Mapping[str, Any] | None = None,
    redact: str | Sequence[str] = (),
    capture: bool | CaptureName = True,
) -> Decorator: ...
def workflow(  # noqa: PLR0913 - each is one thing to say about a workflow
    function: Any = None,
    /,
    *,
    name: str | None = None,
    version: str | None = None,
    tags: Mapping[str, Any] | None = None,
    redact: str | Sequence[str] = (),
    capture: bool | CaptureName = True,
) -> Any:
    """Record each call of this function as a trace. A workflow called inside another is a step of it.

    ``version`` and ``tags`` are kept with the trace, to filter by; ``redact`` names inputs that must not be stored;
    ``capture="metadata"`` (or False) stores no inputs, outputs or error messages, neither of it nor of what runs inside
    it; ``capture="off"`` leaves its traces out altogether.
    """
    told = {"kind": "workflow", "name": name, "version": version, "tags": tags, "hidden": redact, "capture": capture}
    return _decorate(function, told)


@overload
def step(function: F, /) -> F: ...
@overload
def step(
    *,
    kind: Kind = "step",
    name: str | None = None,
    model: str | None = None,
    redact: str | Sequence[str] = (),
    capture: bool | CaptureName = True,
    tags: Mapping[str, Any] | None = None,
    key: str | Callable[..., Any] | None = None,
) -> Decorator: ...
def step(  # noqa: PLR0913 - each is one thing to say about a step
    function: Any = None,
    /,
    *,
    kind: Kind = "step",
    name: str | None = None,
    model: str | None = None,
    redact: str | Sequence[str] = (),
    capture: bool | CaptureName = True,
    tags: Mapping[str, Any] | None = None,
    key: str | Callable[..., Any] | None = None,
) -> Any:
    """Record each call of this function, made inside a workflow, as a step of its trace.

    ``kind`` is one of ``tracer.model.Kind``; ``model`` names the model that the function itself is (a classifier of
    your own); ``redact`` names inputs that must not be stored; ``capture="metadata"`` (or False) stores no inputs,
    outputs or error messages, neither of it nor of what runs inside it; ``capture="off"`` leaves the step itself out.
    ``key`` says which item a call is about, where the same step runs for many: the name of an input, or a function of
    the inputs. A replay then holds a changed item against the same item of the record, whatever its position.
    """
    if kind not in KINDS:
        raise ConfigError(f"no step kind {kind!r}; the kinds are {', '.join(sorted(KINDS))}")
    told = {"kind": kind, "name": name, "model": model, "hidden": redact, "capture": capture, "tags": tags}
    return _decorate(function, {**told, "key": key})


@overload
def effect(function: F, /) -> F: ...
@overload
def effect(
    *,
    stand_in: Any = UNSET,
    kind: Kind = "tool",
    name: str | None = None,
    redact: str | Sequence[str] = (),
    capture: bool | CaptureName = True,
    tags: Mapping[str, Any] | None = None,
    key: str | Callable[..., Any] | None = None,
) -> Decorator: ...
def effect(  # noqa: PLR0913 - likewise
    function: Any = None,
    /,
    *,
    stand_in: Any = UNSET,
    kind: Kind = "tool",
    name: str | None = None,
    redact: str | Sequence[str] = (),
    capture: bool | CaptureName = True,
    tags: Mapping[str, Any] | None = None,
    key: str | Callable[..., Any] | None = None,
) -> Any:
    """A step with a side effect on the world: a replay never runs it again unless it is named.

    ``stand_in`` is what a replay uses instead where the record has no result: a value, or a function of the inputs.
    The rest is as for ``step``.
    """
    told = {"kind": kind, "name": name, "hidden": redact, "capture": capture, "tags": tags, "effect": True, "key": key}
    return _decorate(function, {**told, "stand_in": () if stand_in is UNSET else (stand_in,)})


def _decorate(function: Any, told: dict[str, Any]) -> Any:
    if function is None:
        return lambda decorated: _decorate(decorated, told)
    if isinstance(function, classmethod | staticmethod):
        return type(function)(wrap(Spec(function.__func__, **told)))
    if not callable(function) or isinstance(function, type):
        given = "classes" if isinstance(function, type) else type(function).__name__
        raise TypeError(f"playhead decorates functions, not {given}")
    return wrap(Spec(function, **told))
