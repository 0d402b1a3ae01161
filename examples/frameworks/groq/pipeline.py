"""A desk on Groq's SDK: JSON by a schema, a tool, a stream.

The SDK runs on httpx; all of it is seen, each of its retries included, and nothing needs an adapter.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from groq import AsyncGroq, Groq

from tracer import step, workflow

MODEL = "llama-3.3-70b-versatile"
INTENT: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "intent",
        "schema": {
            "type": "object",
            "properties": {"intent": {"enum": ["billing", "delivery", "other"]}},
            "required": ["intent"],
        },
    },
}
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "find_order",
        "description": "Say where an order is.",
        "parameters": {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]},
    },
}


@step(kind="tool")
def find_order(order: int) -> str:
    return f"{order} left the warehouse on Monday"


@step
async def classify(ticket: str) -> str:
    async with AsyncGroq() as client:
        asked: Any = [{"role": "user", "content": ticket}]
        said = await client.chat.completions.create(model=MODEL, messages=asked, response_format=INTENT)
    return str(json.loads(said.choices[0].message.content or "")["intent"])


@step
def look_up(ticket: str) -> str:
    """Let the model ask its tool, until it has an answer."""
    messages: list[Any] = [{"role": "user", "content": ticket}]
    with Groq() as client:
        while True:
            said = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL]).choices[0].message
            if not said.tool_calls:
                return said.content or ""
            messages.append(said.model_dump(exclude_none=True))
            for call in said.tool_calls:
                found = find_order(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": found})


@step
def draft(ticket: str, known: str) -> dict[str, Any]:
    asked: Any = [{"role": "system", "content": f"Known: {known}"}, {"role": "user", "content": ticket}]
    with Groq() as client:
        stream = client.chat.completions.create(model=MODEL, messages=asked, stream=True)
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    return {"reply": "".join(pieces), "streamed": len(pieces) > 1}


@workflow
async def desk(tickets: list[str]) -> dict[str, Any]:
    intents = await asyncio.gather(*(classify(ticket) for ticket in tickets))
    return {"intents": list(intents), **draft(tickets[0], look_up(tickets[0]))}
