"""The Router: models, rules and humans in the order in which they are asked, and what leads from one to the next.

drafts = Router([CHEAP, DEAR, template], retry=Retry(on=is_transient), deadline_s=20, name="draft")
drafts.call(draft, ticket).value        # draft(attempt, ticket), or template(ticket)
"""

from __future__ import annotations

import copy
import functools
import inspect
from types import CoroutineType
from typing import (
    Any,
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Concatenate,
    Generator,
    Iterable,
    Literal,
    Mapping,
    ParamSpec,
    Protocol,
    Self,
    Sequence,
    TypeVar,
    get_args,
)

from router.errors import AllTargetsFailed
from router.flow import Answered, Attempt, Candidate, OnBreak, Permit, Reject, Wait, name_of
from router.retry import On, Retry
from router.routed import Routed
from router.streams import Restarted, pause, stream, stream_async
from tracer import recorder
from tracer.catalogue import Target

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Guards(Protocol):
    """What a Router asks of a breaker."""

    def admit(self) -> Permit:
        """Leave to call; raises CircuitOpen."""


class Picks(Protocol):
    """What a Router asks of a registry of roles: the pick has ``target`` (a model's name), ``arm``, ``propensity``."""

    def pick(self, role: str, key: str | None = None) -> Any:
        """The arm for this call of a role; with a key, the same one for the same key."""


class Watches(Protocol):
    """What a Router tells of its role's picks: ``Registry.watch`` makes one."""

    def saw(self, pick: Any, *, failed: bool = False, fell_back: bool = False, escalated: bool = False) -> object:
        """What came of a pick."""


class Router:
    """Calls its targets in order until one answers.

    A target is a ``Target``, the name of one in the catalogue, or anything that is called without a model: a rule, a
    human. ``role`` with ``registry`` puts the model that has the role first, before the targets; ``watch`` is told what
    came of each pick, and may take a canary back.
    ``retry`` says after which errors the same target is called again, ``on`` after which the next one is (left out: the
    same errors). Neither has a default, because only the caller knows what a second try is good for.
    ``reject`` gives the reason why a result won't do, or None: the next target is tried.
    ``breakers`` are by the name of the target. ``deadline_s`` and ``budget_usd`` limit each call of the router, within
    what limits it from around (``deadline``, ``budget``): past them no model is called, while rules still are.
    ``on_break`` says what becomes of a stream that breaks after its first chunk.

    A call is a step of kind router, called ``name``, with a step of kind attempt per try. One router serves any number
    of threads and tasks.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to say about a router
        self,
        targets: Sequence[Candidate | str] = (),
        *,
        on: On | None = None,
        retry: Retry | None = None,
        reject: Reject | None = None,
        breakers: Mapping[str, Guards] | None = None,
        deadline_s: float | None = None,
        budget_usd: float | None = None,
        role: str | None = None,
        registry: Picks | None = None,
        watch: Watches | None = None,
        on_break: OnBreak = "raise",
        name: str = "fallback",
    ) -> None:
        if on is None and retry is None:
            raise ValueError(
                f"{name}: say after which errors the next target is tried, on=..., or retry=Retry(on=...); "
                "router.is_transient is one to name, and on=() means none"
            )
        if (role is None) != (registry is None):
            raise ValueError(f"{name}: role= and registry= go together")
        if watch is not None and role is None:
            raise ValueError(f"{name}: watch= is told of the picks of a role: say role= and registry= too")
        if not targets and role is None:
            raise ValueError(f"{name}: a fallback needs at least one target, or a role")
        if on_break not in get_args(OnBreak):
            raise ValueError(f"{name}: on_break is one of {', '.join(get_args(OnBreak))}, not {on_break!r}")
        for limit, value in (("deadline_s", deadline_s), ("budget_usd", budget_usd)):
            if value is not None and not value >= 0:
                raise ValueError(f"{name}: {limit} must be at least 0, not {value}")
        self.targets: tuple[Candidate | str, ...] = tuple(targets)
        #: What they are called, in order.
        self.names = tuple(_name(target) for target in self.targets)
        self.leads_on: On = on if on is not None else retry.on if retry is not None else ()
        self.retry = retry
        self.reject = reject
        self.breakers = dict(breakers or {})
        unknown = [] if role is not None else sorted(set(self.breakers) - set(self.names))
        if unknown:
            raise ValueError(f"{name}: breakers for {', '.join(unknown)}, which is none of its targets")
        self.deadline_s = deadline_s
        self.budget_usd = budget_usd
        self.role = role
        self.watch = watch
        self.on_break: OnBreak = on_break
        self.name = name
        self._registry = registry
        self._key: str | None = None

    def keyed(self, key: str) -> Self:
        """The same router for one customer, session or document: its role is picked by this key, always alike."""
        other = copy.copy(self)
        other._key = key  # noqa: SLF001 - of its own class
        return other

    def candidates(self) -> tuple[tuple[Candidate, ...], Any]:
        """The targets of one call, in order, and the registry's pick (None without a role)."""
        pick = None
        targets: tuple[Candidate | str, ...] = self.targets
        if self._registry is not None and self.role is not None:
            pick = self._registry.pick(self.role, self._key)
            targets = (pick.target, *targets)
        found = {name_of(target): target for target in reversed([_found(target) for target in targets])}
        return tuple(reversed(found.values())), pick

    def call(self, fn: Callable[Concatenate[Attempt, P], T], /, *args: P.args, **kwargs: P.kwargs) -> Answered[T]:
        """Call ``fn(attempt, *args)`` for each model, and a rule or human as ``target(*args)``, until one answers.

        ``attempt.target`` is the model to ask, ``attempt.timeout_s`` how long it may take. Raises AllTargetsFailed,
        DeadlineExceeded or BudgetExceeded (see router.errors), or as it is any error that is not named.
        """
        with Routed(self) as routed:
            while (todo := routed.next()) is not None:
                if isinstance(todo, Wait):
                    pause(todo.seconds)
                    continue
                with routed.trying(todo) as trying:
                    trying.take(_synchronous(_called(todo, fn, args, kwargs)))
            return routed.result()

    async def acall(
        self, fn: Callable[Concatenate[Attempt, P], Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Answered[T]:
        """``call`` for coroutines; rules may be plain functions."""
        import anyio  # noqa: PLC0415 - for those who are async

        with Routed(self) as routed:
            while (todo := routed.next()) is not None:
                if isinstance(todo, Wait):
                    await anyio.sleep(todo.seconds)
                    continue
                with routed.trying(todo) as trying:
                    value = _called(todo, fn, args, kwargs)
                    trying.take(await value if inspect.isawaitable(value) else value)
            return routed.result()

    def stream(
        self, fn: Callable[Concatenate[Attempt, P], Iterable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Generator[T | Restarted, None, Answered[tuple[T, ...]]]:
        """The chunks that ``fn(attempt, *args)`` gives, as they come.

        A stream that breaks before its first chunk leads on as a call does. After it, ``on_break`` decides: ``raise``
        the error as it is; ``restart``: a ``Restarted`` is given, what came before it is to be dropped, and the next
        attempt begins anew; ``continue``: the next attempt finds in ``attempt.said`` what was given, and goes on from
        there. ``reject`` is asked of all chunks as a tuple, at the end; with ``restart`` the next target is tried.
        """
        return stream(self, lambda attempt: _called(attempt, fn, args, kwargs))

    def astream(
        self, fn: Callable[Concatenate[Attempt, P], AsyncIterable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T | Restarted, None]:
        """``stream`` for async iterables; ``fn`` may also be a coroutine function that gives one."""
        return stream_async(self, lambda attempt: _called(attempt, fn, args, kwargs))


def retrying(  # noqa: PLR0913 - what Retry takes, and what limits it
    *,
    on: On,
    attempts: int = 3,
    base_s: float = 0.5,
    factor: float = 2.0,
    cap_s: float = 30.0,
    jitter: Literal["full", "none"] = "full",
    breaker: Guards | None = None,
    deadline_s: float | None = None,
) -> Callable[[F], F]:
    """A decorator for a function, plain or async, that is called again after the errors that ``on`` names; the rest is
    as for ``Retry`` and ``Router``. The last error is raised as it is. A step of kind router with one per attempt."""
    retry = Retry(on=on, attempts=attempts, base_s=base_s, factor=factor, cap_s=cap_s, jitter=jitter)

    def decorate(function: F) -> F:
        name = name_of(function)
        guards = {} if breaker is None else {name: breaker}
        router = Router([Target(name)], retry=retry, breakers=guards, deadline_s=deadline_s, name=f"retry {name}")

        def call(attempt: Attempt, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001 - it is one
            return function(*args, **kwargs)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def tried_async(*args: Any, **kwargs: Any) -> Any:
                try:
                    return (await router.acall(call, args, kwargs)).value
                except AllTargetsFailed as failed:
                    raise failed.attempts[-1][1] from None

            return tried_async  # type: ignore[return-value]  # of the same signature

        @functools.wraps(function)
        def tried(*args: Any, **kwargs: Any) -> Any:
            try:
                return router.call(call, args, kwargs).value
            except AllTargetsFailed as failed:
                raise failed.attempts[-1][1] from None

        return tried  # type: ignore[return-value]  # likewise

    return decorate


def _name(target: Candidate | str) -> str:
    return target if isinstance(target, str) else name_of(target)


def _found(target: Candidate | str) -> Candidate:
    """A target by its name in the catalogue; raises UnknownModel."""
    return recorder.catalogue().get(target) if isinstance(target, str) else target


def _called(attempt: Attempt, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """A model is what ``fn`` calls; anything else is called itself."""
    if isinstance(attempt.target, Target):
        return fn(attempt, *args, **kwargs)
    return attempt.target(*args, **kwargs)


def _synchronous(value: Any) -> Any:
    if type(value) is CoroutineType:
        value.close()
        raise TypeError("call() was given a coroutine function: use acall()")
    return value
