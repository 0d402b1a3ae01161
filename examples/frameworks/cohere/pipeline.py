"""A desk on Cohere's SDK: JSON by a schema, a tool, a stream, embeddings.

The SDK runs on httpx; all of it is seen, each of its retries included, and nothing needs an adapter.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import cohere

from tracer import step, workflow

MODEL = "command-a-03-2025"
INTENT: Any = {
    "type": "json_object",
    "schema": {
        "type": "object",
        "properties": {"intent": {"enum": ["billing", "delivery", "other"]}},
        "required": ["intent"],
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
#: Said outright: the SDK reads CO_API_URL only while it is imported.
WHERE = os.environ.get("CO_API_URL")


@step(kind="tool")
def find_order(order: int) -> str:
    return f"{order} left the warehouse on Monday"


@step
async def classify(ticket: str) -> str:
    async with cohere.AsyncClientV2(base_url=WHERE) as client:
        asked: Any = [{"role": "user", "content": ticket}]
        said = await client.chat(model=MODEL, messages=asked, response_format=INTENT)
    return str(json.loads(_text(said.message))["intent"])


@step
def look_up(ticket: str) -> str:
    """Let the model ask its tool, until it has an answer."""
    messages: list[Any] = [{"role": "user", "content": ticket}]
    with cohere.ClientV2(base_url=WHERE) as client:
        while True:
            said = client.chat(model=MODEL, messages=messages, tools=[TOOL]).message
            if not said.tool_calls:
                return _text(said)
            messages.append(said)
            for call in said.tool_calls:
                found = find_order(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": found})


@step
def draft(ticket: str, known: str) -> dict[str, Any]:
    asked: Any = [{"role": "system", "content": f"Known: {known}"}, {"role": "user", "content": ticket}]
    with cohere.ClientV2(base_url=WHERE) as client:
        stream = client.chat_stream(model=MODEL, messages=asked)
        pieces = [event.delta.message.content.text for event in stream if event.type == "content-delta"]
    return {"reply": "".join(pieces), "streamed": len(pieces) > 1}


@step
def embed(tickets: list[str]) -> list[list[float]]:
    with cohere.ClientV2(base_url=WHERE) as client:
        said = client.embed(model="embed-v4.0", texts=tickets, input_type="search_query", embedding_types=["float"])
    return said.embeddings.float_ or []


def _text(message: Any) -> str:
    return "".join(part.text for part in message.content or [] if part.type == "text")


@workflow
async def desk(tickets: list[str]) -> dict[str, Any]:
    intents = await asyncio.gather(*(classify(ticket) for ticket in tickets))
    vectors = embed(tickets)
    return {"intents": list(intents), "width": len(vectors[0]), **draft(tickets[0], look_up(tickets[0]))}
