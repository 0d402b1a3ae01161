"""Flows that do what Prefect offers them, and say what they saw."""

from __future__ import annotations

from typing import Any

from openai import OpenAI
from prefect import allow_failure, flow, task, unmapped
from prefect.futures import as_completed, wait
from prefect.variables import Variable

from tracer import step, workflow
from tracer.adapters import prefect

prefect.install()

tries: list[str] = []


@task
@step
def ask(text: str) -> str:
    answer = OpenAI().responses.create(model="gpt-4o-mini", input=text)
    return answer.output_text


@task
@step
def add(one: int, *more: int, factor: int = 1) -> int:
    return (one + sum(more)) * factor


@task
@step
async def slowly(one: int) -> int:
    return one + 1


def only_lookups(_task: Any, _run: Any, state: Any) -> bool:
    return isinstance(state.result(raise_on_failure=False), LookupError)


@task(retries=2, retry_condition_fn=only_lookups)
def picky(name: str, fail_times: int, error: type[Exception]) -> int:
    """Not recorded, so that it runs in a replay as well."""
    tries.append(name)
    if tries.count(name) <= fail_times:
        raise error(name)
    return tries.count(name)


@flow(retries=1)
@workflow
def inner(one: int) -> int:
    """Its parameter is a text where it is called."""
    return add(one, picky("in a flow", 1, LookupError)) if tries.count("in a flow") else picky("in a flow", 1, OSError)


@flow
@workflow
def zoo() -> dict[str, Any]:
    tries.clear()
    first = add.submit(1, 2)
    second = add.submit(first, factor=10, wait_for=[first])
    mapped = add.map([1, 2, 3], factor=unmapped(2))
    broken = picky.submit("wrong", 9, ValueError)
    states = [add(1, return_state=True), broken.state if wait([broken]).done else None]
    return {
        "said": ask("hello"),
        "submitted": [first.result(), second.result()],
        "mapped": mapped.result(),
        "in any order": sorted(each.result() for each in as_completed(mapped)),
        "async": slowly.submit(1).result(),
        "states": [(each.name, each.is_completed()) for each in states],
        "not raised": repr(broken.result(raise_on_failure=False)),
        "after a failure": add.submit(5, wait_for=[allow_failure(broken)]).result(),
        "tried": [picky("often", 2, LookupError), tries.count("often"), tries.count("wrong")],
        "inner": inner("3"),  # type: ignore[arg-type]
    }


@flow
@workflow
async def aquarium() -> dict[str, Any]:
    fish = [slowly.submit(each) for each in (1, 2)]
    return {"said": ask("hello"), "fish": [each.result() for each in fish], "here": await slowly(7)}


@flow
@workflow
def signpost(name: str) -> str:
    """Asks Prefect's API for something itself."""
    return ask(name) + str(Variable.get(name, default="nowhere"))
