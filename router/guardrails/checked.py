"""Judging, repairing and asking again as recorded steps. Outside a workflow it does the same and records nothing."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Awaitable, Callable, Generator, Sequence, TypeVar

from router.errors import GuardrailFailed
from router.guardrails.flow import Ask, Checked, FallBack, Judge, broken, checking
from router.guardrails.repair import Repaired, repaired
from router.guardrails.verdict import Guardrails, Verdict
from tracer import span, step
from tracer.decisions import DECISION, TRY, Decision

F = TypeVar("F", bound=Callable[..., Any])

#: What an answer falls back to: a text, or what gives one, told what was broken.
Fallback = str | Callable[[GuardrailFailed], str]
AsyncFallback = str | Callable[[GuardrailFailed], str | Awaitable[str]]

_WAYS = ("answer", "repaired", "asked again", "fallback")


@step(kind="guardrail")
def judge(text: Any, guardrails: Guardrails) -> Verdict:
    """Hold a text, or a request (``asked``), against the rules and give the verdict, whatever it is; a step of kind
    guardrail."""
    return guardrails.judge(text)


@step(kind="guardrail")
def require(text: Any, guardrails: Guardrails) -> Verdict:
    """Hold a text, or a request (``asked``), against the rules; a step of kind guardrail, failing with GuardrailFailed
    at the first one broken."""
    verdict = guardrails.judge(text)
    if not verdict.passed:
        raise broken(verdict, text)
    return verdict


@step(kind="guardrail")
def repair(text: str) -> Repaired:
    """Put right what is certain about a text that was to be JSON; a step of kind guardrail that says what was done."""
    return repaired(text)


def checked(  # noqa: PLR0913 - each is one thing to say about what may be done for an answer
    ask: Callable[[Sequence[Any]], str],
    guardrails: Guardrails,
    *,
    repair: bool = True,
    reask: int = 1,
    fallback: Fallback | None = None,
    name: str = "checked",
) -> Checked:
    """An answer that holds to the rules: repaired, asked for again, or fallen back to.

    ``ask(more)`` gives the model's text; ``more`` are messages to put behind the prompt's own: none at first, then the
    answer that was broken and what was wrong with it. It is asked again at most ``reask`` times. ``fallback`` is a text
    or a function of the GuardrailFailed, and is held against the rules too. What ``ask`` raises is raised as it is.
    Raises GuardrailFailed where nothing held.

    A step of kind router with one of kind attempt per question and one of kind guardrail per verdict and repair.
    """
    flow = _recorded(guardrails, repair=repair, reask=reask, fallback=fallback, name=name)
    try:
        todo = next(flow)
        while True:
            try:
                text = ask(todo.more) if isinstance(todo, Ask) else _fallen(fallback, todo)
            except BaseException as error:  # noqa: BLE001 - the open steps are to end with it
                todo = flow.throw(error)
            else:
                todo = flow.send(text)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # a StopIteration's value is Any


async def checked_async(  # noqa: PLR0913 - likewise
    ask: Callable[[Sequence[Any]], Awaitable[str]],
    guardrails: Guardrails,
    *,
    repair: bool = True,
    reask: int = 1,
    fallback: AsyncFallback | None = None,
    name: str = "checked",
) -> Checked:
    """``checked`` for coroutines; ``fallback`` may be one too."""
    flow = _recorded(guardrails, repair=repair, reask=reask, fallback=fallback, name=name)
    try:
        todo = next(flow)
        while True:
            try:
                given = ask(todo.more) if isinstance(todo, Ask) else _fallen(fallback, todo)
                text = await given if inspect.isawaitable(given) else given
            except BaseException as error:  # noqa: BLE001 - likewise
                todo = flow.throw(error)
            else:
                todo = flow.send(text)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # likewise


def guarded(
    guardrails: Guardrails,
    *,
    repair: bool = True,
    reask: int = 1,
    fallback: Any = None,
) -> Callable[[F], F]:
    """``checked`` as a decorator of a function that gives a text: what it gives then holds to the rules.

    The function takes ``more`` as a keyword, the messages to put behind its own; its callers never pass it::

        @guarded(Guardrails((Parses(("reply",)),)))
        def draft(ticket, *, more=()):
            return client.chat.completions.create(messages=[*prompt(ticket), *more], ...).choices[0].message.content
    """

    def decorate(function: F) -> F:
        if reask and not _takes_more(function):
            raise TypeError(f"{function.__qualname__} is asked again with more=...: it has to take it, or reask=0")
        told: dict[str, Any] = {"repair": repair, "reask": reask, "fallback": fallback, "name": function.__name__}

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> str:
            return checked(lambda more: function(*args, **kwargs, **_with(more)), guardrails, **told).text

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> str:
            done = await checked_async(lambda more: function(*args, **kwargs, **_with(more)), guardrails, **told)
            return done.text

        return call_async if inspect.iscoroutinefunction(function) else call  # type: ignore[return-value]  # of F's form

    return decorate


def _recorded(
    guardrails: Guardrails, *, repair: bool, reask: int, fallback: Any, name: str
) -> Generator[Ask | FallBack, str, Checked]:
    """The flow, with what needs no model done and everything recorded: only questions and the fallback come through."""
    if reask < 0:
        raise ValueError(f"reask is how often to ask again, not {reask}")
    flow = checking(guardrails, repair=repair, reask=reask, falls_back=fallback is not None)
    with span(name, kind="router", input={"rules": [rule.name for rule in guardrails.rules]}) as recorded:
        asked = 0
        try:
            todo = next(flow)
            while True:
                if isinstance(todo, Ask):
                    asked = todo.number
                todo = flow.send((yield from _done(todo, guardrails)))
        except StopIteration as ended:
            done: Checked = ended.value
            decided = _decision(done.how, _why(done), done.asked, fell_back=done.fell_back)
            recorded.set(tags={DECISION: decided.as_tag()})
            recorded.output = done
            return done
        except GuardrailFailed as error:
            reason = f"{error.rule}: {error.offence}"
            recorded.set(tags={DECISION: _decision(None, reason, asked, fell_back=fallback is not None).as_tag()})
            raise


def _done(todo: Any, guardrails: Guardrails) -> Generator[Ask | FallBack, str, Any]:
    if isinstance(todo, Judge):
        return judge(todo.text, guardrails)
    if isinstance(todo, Ask):
        with span("ask", kind="attempt", tags={TRY: {"number": todo.number}}) as attempt:
            attempt.output = text = yield todo
        return text
    if isinstance(todo, FallBack):
        with span("fallback", kind="attempt") as attempt:
            attempt.output = text = yield todo
        return text
    return repair(todo.text)


def _decision(chosen: str | None, reason: str, asked: int, *, fell_back: bool) -> Decision:
    return Decision("guardrail", chosen, reason, _WAYS, attempts=asked, retries=max(asked - 1, 0), fell_back=fell_back)


def _why(done: Checked) -> str:
    """What was wrong on the way, or nothing."""
    wrong = [f"{verdict.rule}: {verdict.offence}" for verdict in done.verdicts if not verdict.passed]
    return "; then ".join(wrong)


def _fallen(fallback: Any, todo: FallBack) -> Any:
    return fallback(todo.failed) if callable(fallback) else fallback


def _with(more: Sequence[Any]) -> dict[str, Sequence[Any]]:
    return {"more": more} if more else {}


def _takes_more(function: Callable[..., Any]) -> bool:
    named = inspect.signature(function).parameters
    return "more" in named or any(each.kind is each.VAR_KEYWORD for each in named.values())
