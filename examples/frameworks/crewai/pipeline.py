"""A CrewAI crew of two: a clerk finds out about an order with a tool and sorts the ticket, a writer answers it.

CrewAI calls its models through the OpenAI SDK, on httpx. All of it is seen, in a kickoff of many (CrewAI's own threads)
too, and nothing needs an adapter. A kickoff writes to a database of its own in the user's home, where a replay that
runs one again stops: ``--allow answer`` lets the step do so. CrewAI's traces and telemetry are requests and no model
calls; set ``OTEL_SDK_DISABLED=true`` and ``CREWAI_TRACING_ENABLED=false`` where they are to stay out of the record.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from crewai import LLM, Agent, Crew, Process, Task
from crewai.tools import tool
from pydantic import BaseModel

from tracer import step, workflow


class Sorted(BaseModel):
    intent: Literal["billing", "delivery", "other"]
    order: int


@tool("find_order")
@step(kind="tool", name="find_order")
def find_order(order: int) -> str:
    """Say where an order is."""
    return f"{order} left the warehouse on Monday"


def support_crew() -> Crew:
    llm = LLM(model="openai/gpt-4o-mini")
    clerk = Agent(role="Clerk", goal="Find out what a ticket is about", backstory="Knows the orders.", llm=llm)
    writer = Agent(role="Writer", goal="Write kind replies", backstory="Has written thousands.", llm=llm)
    look = Task(
        description="Look the order of this ticket up: {ticket}",
        expected_output="Where the order is",
        agent=clerk,
        tools=[find_order],
    )
    sort = Task(
        description="Sort this ticket: {ticket}",
        expected_output="Its intent and its order",
        agent=clerk,
        context=[],
        output_pydantic=Sorted,
    )
    reply = Task(
        description="Answer this ticket: {ticket}",
        expected_output="One friendly sentence",
        agent=writer,
        context=[look, sort],
    )
    return Crew(agents=[clerk, writer], tasks=[look, sort, reply], process=Process.sequential)


@step
async def answer(ticket: str) -> dict[str, str]:
    done = await support_crew().kickoff_async(inputs={"ticket": ticket})
    looked, sorted_, reply = done.tasks_output
    return {"known": looked.raw, "intent": sorted_.pydantic.intent, "reply": reply.raw}


@workflow
async def desk(tickets: list[str]) -> list[dict[str, str]]:
    return list(await asyncio.gather(*(answer(ticket) for ticket in tickets)))
