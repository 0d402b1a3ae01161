"""A support agent in pydantic-ai: sorted into a type, answered with a tool, retold by another provider in a stream.

pydantic-ai calls its models through the OpenAI and Anthropic SDKs, on httpx2, always asynchronously (``run_sync`` too).
All of it is seen and nothing needs an adapter. A tool that is no coroutine runs in a thread of pydantic-ai's, and still
below the step that asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic_ai import Agent, RunContext

from tracer import step, workflow


class Sorted(BaseModel):
    intent: Literal["billing", "delivery", "other"]


@dataclass
class Shop:
    """What the agent's tools know."""

    orders: dict[int, str]


@step(kind="tool")
def look_up(order: int, orders: dict[int, str]) -> str:
    return orders.get(order, "unknown")


def find_order(context: RunContext[Shop], order: int) -> str:
    """Say where an order is."""
    return look_up(order, context.deps.orders)


@step
async def classify(ticket: str) -> str:
    sorter = Agent("openai-chat:gpt-4o-mini", output_type=Sorted, instructions="Sort this ticket.")
    return (await sorter.run(ticket)).output.intent


@step
async def answer(ticket: str, shop: Shop) -> str:
    agent = Agent(
        "openai-responses:gpt-4o-mini", deps_type=Shop, tools=[find_order], instructions="Answer the customer."
    )
    return (await agent.run(ticket, deps=shop)).output


@step
async def retell(reply: str) -> dict[str, Any]:
    """The reply in other words, as it comes."""
    pieces = []
    async with Agent("anthropic:claude-haiku-4-5", instructions="Say it in a warmer tone.").run_stream(reply) as said:
        async for piece in said.stream_text(delta=True, debounce_by=None):
            pieces.append(piece)  # noqa: PERF401 - where a user would show it
    return {"reply": "".join(pieces), "streamed": len(pieces) > 1}


@workflow
async def desk(ticket: str, shop: Shop) -> dict[str, Any]:
    intent = await classify(ticket)
    return {"intent": intent, **await retell(await answer(ticket, shop))}
