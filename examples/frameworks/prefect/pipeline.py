"""A support desk as Prefect flows: mapped and submitted tasks, a tool, retries, and an async flow.

Prefect's decorators stand outside, playhead's inside. Context variables reach Prefect's tasks on whatever thread, so
parents are right as they are; ``install()`` keeps the requests to Prefect's own API out of the record, and lets a
replay run flows and tasks as the functions they are, without a Prefect server.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from openai import AsyncOpenAI, OpenAI
from prefect import flow, get_run_logger, task

from tracer import effect, step, workflow
from tracer.adapters import prefect

prefect.install()

MODEL = "gpt-4o-mini"
ORDERS = {"1042": "left our house on Monday"}
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "lookup_order",
            "description": "What we know of an order.",
            "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
        },
    }
]


@task(retries=2, retry_delay_seconds=0)
@step
def classify(ticket: str) -> str:
    client = OpenAI(max_retries=0)  # Prefect does the retrying
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": f"Choose one of: billing, delivery, other\n{ticket}"}]
    )
    return answer.choices[0].message.content or "other"


@task
@step(kind="tool")
def lookup_order(number: int) -> str:
    return ORDERS.get(str(number), "is not known")


@task
@step
def research(ticket: str) -> str:
    """Let the model ask its tool, which is a task as well, until it has an answer."""
    client = OpenAI()
    messages: list[Any] = [{"role": "user", "content": ticket}]
    while True:
        said = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS).choices[0].message
        if not said.tool_calls:
            return said.content or ""
        messages.append(said.model_dump(exclude_none=True))
        for call in said.tool_calls:
            found = lookup_order(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": found})


@task
@step
def draft(ticket: str, intent: str, facts: str) -> str:
    client = OpenAI()
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": f"Reply to this {intent} ticket. {facts}\n{ticket}"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


@task
@effect
def send(replies: list[str]) -> int:
    return len(replies)


@flow
@workflow
def support(tickets: list[str]) -> dict[str, Any]:
    get_run_logger().info("%d tickets", len(tickets))
    intents = classify.map(tickets)
    facts = [research.submit(ticket) for ticket in tickets]
    drafts = draft.map(tickets, intents, facts)
    replies = drafts.result()
    return {"intents": intents.result(), "replies": replies, "sent": send(replies)}


@task(retries=1)
@step
async def shorten(text: str) -> str:
    async with AsyncOpenAI(max_retries=0) as client:
        answer = await client.responses.create(model=MODEL, instructions="Shorten.", input=text)
        return answer.output_text


@flow
@workflow
async def digest(texts: list[str]) -> str:
    return "\n".join(await asyncio.gather(*(shorten(text) for text in texts)))
