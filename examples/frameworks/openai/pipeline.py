"""A support desk on OpenAI's SDK: structured output, a tool, a stream, embeddings from threads, and an async digest.

Nothing is adapted: the SDK's calls, and each of its retries, are seen at the transport of httpx2, the client it stands
on. What a plain ThreadPoolExecutor does belongs to the step that handed it over.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tracer import step, workflow

MODEL = "gpt-4o-mini"
ORDERS = {"1042": "left our house on Monday", "77": "waits for payment"}
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "lookup_order",
            "description": "What we know of an order.",
            "parameters": {
                "type": "object",
                "properties": {"number": {"type": "integer"}},
                "required": ["number"],
                "additionalProperties": False,
            },
        },
    }
]

client = OpenAI()


class Ticket(BaseModel):
    """What a customer wants."""

    intent: Literal["billing", "delivery", "other"]
    urgent: bool


@step
def classify(text: str) -> Ticket:
    answer = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "system", "content": "Sort the customer's message."}, {"role": "user", "content": text}],
        response_format=Ticket,
    )
    ticket = answer.choices[0].message.parsed
    assert ticket is not None
    return ticket


@step(kind="tool")
def lookup_order(number: int) -> str:
    return ORDERS.get(str(number), "is not known")


@step
def look_up(text: str) -> str:
    """Let the model ask its tool, until it has an answer."""
    messages: list[Any] = [{"role": "user", "content": text}]
    while True:
        said = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS).choices[0].message
        if not said.tool_calls:
            return said.content or ""
        messages.append(said.model_dump(exclude_none=True))
        for call in said.tool_calls:
            found = lookup_order(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": found})


@step
def draft(text: str, facts: str) -> str:
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "system", "content": f"Answer kindly. {facts}"}, {"role": "user", "content": text}],
        stream=True,
        stream_options={"include_usage": True},
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


@step
def similar(texts: list[str]) -> list[list[float]]:
    def embed(text: str) -> list[float]:
        return client.embeddings.create(model="text-embedding-3-small", input=text).data[0].embedding

    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(embed, texts))


@workflow
def support(text: str) -> dict[str, Any]:
    ticket = classify(text)
    facts = look_up(text)
    return {
        "intent": ticket.intent,
        "reply": draft(text, facts),
        "near": [round(vector[0], 3) for vector in similar([text, facts, ticket.intent])],
    }


@step
async def summarise(text: str) -> str:
    async with AsyncOpenAI() as model:
        answer = await model.responses.create(model=MODEL, instructions="Summarise.", input=text)
        return answer.output_text


@step
async def conclude(parts: list[str]) -> str:
    said = ""
    async with AsyncOpenAI() as model:
        stream = await model.responses.create(model=MODEL, input="\n".join(parts), stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                said += event.delta
    return said


@workflow
async def digest(texts: list[str]) -> str:
    return await conclude(await asyncio.gather(*(summarise(text) for text in texts)))
