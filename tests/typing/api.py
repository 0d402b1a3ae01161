"""What a type checker must see: mypy reads this file in a test, and each ignored error must be there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from router import Guardrails, guarded
from tracer import effect, step, workflow


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
bare(1)  # type: ignore[arg-type]
bare("a", depth=1)  # type: ignore[call-arg]
Agent().method("x")  # type: ignore[arg-type]
step("not a function")  # type: ignore[call-overload]
step(kind="lmm")  # type: ignore[call-overload]


async def use() -> None:
    assert_type(await with_arguments("a"), int)
