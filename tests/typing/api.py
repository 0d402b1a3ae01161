"""What a type checker must see: mypy reads this file in a test, and each ignored error must be there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from router import Confidence, Guardrails, Reply, Rules, Spoken, ask, ask_stream, cascade, decide, guarded, vote
from tracer import effect, step, workflow


def how_sure(value: int) -> Confidence:
    return Confidence(min(1.0, value / 10), "stated")


@workflow
def bare(question: str, k: int = 3) -> list[str]:
    return [question] * k


@workflow(name="other", tags={"a": 1})
async def with_arguments(question: str) -> int:
    return len(question)


@step(kind="llm", model="m")
def items(n: int) -> Iterator[int]:
    yield n


@effect(stand_in=None)
async def stream(n: int) -> AsyncIterator[int]:
    yield n


@guarded(Guardrails())
def draft(ticket: str, *, more: object = ()) -> str:
    return ticket


class Agent:
    @step
    def method(self, x: int) -> str:
        return str(x)

    @classmethod
    @step()
    def on_class(cls, x: int) -> str:
        return str(x)


assert_type(bare("a"), list[str])
assert_type(items(1), Iterator[int])
assert_type(stream(1), AsyncIterator[int])
assert_type(draft("a"), str)
assert_type(Agent().method(1), str)
assert_type(Agent.on_class(1), str)
assert_type(ask("small", "hi"), Reply[str])
assert_type(ask("small", "hi", list[int]).value, list[int])
assert_type(ask_stream("small", "hi", Agent), Spoken[Agent])
assert_type(decide(Rules([(bool, 1)], otherwise=2), "hi").target, int)
assert_type(cascade(["a"], len, confidence=how_sure, accept=0.8).value, int)
assert_type(vote(["a"], len).value, int)
ask("small", "hi", temprature=0)  # type: ignore[call-overload]
bare(1)  # type: ignore[arg-type]
bare("a", depth=1)  # type: ignore[call-arg]
Agent().method("x")  # type: ignore[arg-type]
step("not a function")  # type: ignore[call-overload]
step(kind="lmm")  # type: ignore[call-overload]


async def use() -> None:
    assert_type(await with_arguments("a"), int)
