"""Work that is routed, for the pages of routes, canaries and thresholds: recorded for real."""

from __future__ import annotations

from random import Random

import tracer
from router import Breaker, CircuitOpen, Consecutive, Retry, Router, Target
from router.registry import Registry
from tracer import current, span, step, workflow
from tracer.decisions import DECISION, Decision

BREAKER = "limited"


class Clock:
    """A breaker's clock that moves when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def failing(model: str, times: dict[str, int]) -> str:
    if times.get(model, 0):
        times[model] -= 1
        raise ConnectionError("429 <b>slow</b> down")
    return f"{model} answered"


@workflow
def support(times: dict[str, int]) -> str:
    """``times`` says how often each target fails before it answers."""
    retry = Retry(on=ConnectionError, attempts=2, base_s=0.0)
    router = Router([Target("limited"), Target("steady")], retry=retry, name="draft")
    return router.call(lambda attempt, left: failing(attempt.name, left), dict(times)).value


def breaks(clock: Clock) -> tuple[str, str]:
    """A breaker that opens in one trace, and closes in the next."""
    breaker = Breaker(BREAKER, trip=Consecutive(2), open_s=10.0, clock=clock)

    @workflow
    def trips() -> str:
        for _ in range(2):
            breaker.admit().failed("429 <b>slow</b> down")
        try:
            breaker.admit()
        except CircuitOpen:
            return "open"
        return "closed"

    @workflow
    def heals() -> str:
        clock.now += 10.0
        breaker.admit().succeeded()
        return "closed"

    return trips(), heals()


@workflow
def rollout(registry: Registry, user: str, failing: str) -> str:
    pick = registry.pick("draft", user)
    if pick.target == failing:
        raise ConnectionError("429")
    return pick.target


def roll(registry: Registry, number: int, *, failing: str = "") -> None:
    for user in range(number):
        try:
            rollout(registry, f"user-{user}", failing)
        except ConnectionError:
            continue


@step(kind="llm")
def chat(model: str, question: str) -> str:
    current().set(model=model, usage={"input_tokens": 1, "output_tokens": 1})
    return "right" if model in question.split() else "wrong"


def _asked(model: str, question: str) -> str:
    with span(model, kind="attempt") as attempt:
        attempt.output = chat(model, question)
        return str(attempt.output)


@workflow
def solve(question: str, confidence: float, accept: float = 0.6, explore: float = 0.0) -> str:
    with span("cascade", kind="router") as decided:
        answer = _asked("cheap", question)
        is_sure = confidence >= accept
        explores = is_sure and tracer.random() < explore
        if explores or not is_sure:
            dear = _asked("dear", question)
            answer = answer if is_sure else dear
        decision = Decision(
            "cascade",
            chosen="cheap" if is_sure else "dear",
            candidates=("cheap", "dear"),
            confidence=confidence,
            thresholds={"accept": accept},
            propensity=(explore if explores else 1 - explore) if is_sure else 1.0,
            fell_back=not is_sure,
        )
        decided.set(tags={DECISION: decision.as_tag()})
    current().score("gold", "right")
    return answer


def cascade(number: int = 60, *, accept: float = 0.6, explore: float = 0.0) -> None:
    """The dear one is right four times of five, the cheap one as often as it is confident."""
    chance = Random(4)
    for n in range(number):
        confidence = round(chance.random(), 3)
        right = [name for name, p in (("cheap", confidence), ("dear", 0.8)) if chance.random() < p]
        solve(" ".join([str(n), *right]), confidence, accept, explore)
