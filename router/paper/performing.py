"""What a node does when its turn comes: a generator that asks for calls, and the calls, made now or awaited.

The calls are the user's functions as recorded steps, and the router's own recorded decisions; nothing else records.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Callable, Generator, Mapping, Sequence

from router.errors import NoBranch, NotReached, RouterError
from router.escalation import escalate
from router.flow import Reject
from router.paper.node import Again, Ask, Choose, Function, Node, Run, Take
from router.retry import On
from router.trace import fallback, fallback_async, route
from tracer.catalogue import Target


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function."""

    function: Callable[..., Any]
    inputs: Mapping[str, Any]

    def now(self) -> Any:
        if inspect.iscoroutinefunction(self.function):
            name = getattr(self.function, "__name__", self.function)
            raise RouterError(f"{name} is a coroutine function: call the workflow with await arun(...), not run(...)")
        return self.function(**self.inputs)

    async def later(self) -> Any:
        """A plain function runs on a thread, so that it holds nobody up."""
        if inspect.iscoroutinefunction(self.function):
            return await self.function(**self.inputs)
        import asyncio  # noqa: PLC0415 - who awaits has it loaded; it takes longer than all of the router

        value = await asyncio.to_thread(self.function, **self.inputs)
        return await value if inspect.isawaitable(value) else value


@dataclass(frozen=True, slots=True)
class Fall:
    """Calls to be tried in order, by the names of their functions."""

    name: str
    calls: Mapping[str, Call]
    on: On
    reject: Reject | None

    @property
    def targets(self) -> Sequence[Target]:
        return [Target(name) for name in self.calls]

    def now(self) -> Any:
        def call(target: Target) -> Any:
            return self.calls[target.name].now()

        return fallback(self.targets, call, on=self.on, reject=self.reject, name=self.name).value

    async def later(self) -> Any:
        async def call(target: Target) -> Any:
            return await self.calls[target.name].later()

        answered = await fallback_async(self.targets, call, on=self.on, reject=self.reject, name=self.name)
        return answered.value


@dataclass(frozen=True, slots=True)
class Done:
    """What a node gave, and which way it took if it is a route."""

    value: Any
    took: str | None = None


Flow = Generator[Call | Fall, Any, Done]


def perform(node: Node, given: Mapping[Take, Any]) -> Done:
    """Do what the node does, on this thread."""
    flow, answer = _flow(node, given), None
    while True:
        try:
            asked = flow.send(answer)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # a StopIteration's value is Any
        answer = asked.now()


async def perform_async(node: Node, given: Mapping[Take, Any]) -> Done:
    """The same, awaited."""
    flow, answer = _flow(node, given), None
    while True:
        try:
            asked = flow.send(answer)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # likewise
        answer = await asked.later()


def _flow(node: Node, given: Mapping[Take, Any]) -> Flow:
    match node.work:
        case Run():
            return _run(node, node.work, given)
        case Choose():
            return _choose(node, node.work, given)
        case Ask():
            return _ask(node.work, given)
        case Again():
            return _again(node, node.work, given)


def _run(node: Node, work: Run, given: Mapping[Take, Any]) -> Flow:
    calls = {function.name: _call(function, given) for function in work.functions}
    if work.on is None:
        (only,) = calls.values()
        return Done((yield only))
    return Done((yield Fall(node.name, calls, work.on, work.reject)))


def _choose(node: Node, work: Choose, given: Mapping[Take, Any]) -> Flow:
    answer = yield _call(work.by, given)
    if work.bands is not None:
        choice = yield Call(route, {"confidence": answer, "bands": work.bands})
        return Done(choice, _way(node, work, choice.band))
    return Done(answer, _way(node, work, answer))


def _way(node: Node, work: Choose, answer: Any) -> str | None:
    for value, target in work.to.items():
        if value == answer:
            return target
    if not work.otherwise:
        raise NoBranch(node.name, answer, tuple(work.to), node.place)
    return work.otherwise[0]


def _ask(work: Ask, given: Mapping[Take, Any]) -> Flow:
    context = {take.parameter: given[take] for take in work.context if take in given}
    inputs = {"question": work.question.format(**context), "options": work.options, "context": context}
    return Done((yield Call(escalate, {**inputs, **work.terms})))


def _again(node: Node, work: Again, given: Mapping[Take, Any]) -> Flow:
    inputs = dict(_call(work.function, given).inputs)
    last_round = [take.parameter for take in work.function.takes if take.value == node.gives]
    value = None
    for _ in range(work.at_most):
        value = yield Call(work.function.call, inputs)
        if work.until(value):
            return Done(value)
        inputs |= dict.fromkeys(last_round, value)
    if work.otherwise == "last":
        return Done(value)
    raise NotReached(node.name, work.at_most, value, node.place)


def _call(function: Function, given: Mapping[Take, Any]) -> Call:
    return Call(function.call, {take.parameter: given[take] for take in function.takes if take in given})
