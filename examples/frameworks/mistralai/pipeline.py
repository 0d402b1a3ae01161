"""A desk on Mistral's SDK: structured output, a tool, a stream, embeddings.

mistralai runs on httpx2; all of it is seen and nothing needs an adapter. It marks its streams by a fragment in the
address (``#stream``), which is never sent and takes no part in how a replay matches. It retries only where it is told.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any, Literal

from mistralai.client import Mistral
from mistralai.client.utils import BackoffStrategy, RetryConfig
from pydantic import BaseModel

from tracer import step, workflow

MODEL = "mistral-small-latest"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "find_order",
        "description": "Say where an order is.",
        "parameters": {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]},
    },
}


class Sorted(BaseModel):
    intent: Literal["billing", "delivery", "other"]


def mistral() -> Mistral:
    retries = RetryConfig("backoff", BackoffStrategy(20, 100, 1.5, 5000), retry_connection_errors=False)
    return Mistral(server_url=os.environ.get("PROVIDER_URL"), retry_config=retries)


@step(kind="tool")
def find_order(order: int) -> str:
    return f"{order} left the warehouse on Monday"


@step
async def classify(ticket: str) -> str:
    async with mistral() as client:
        said = await client.chat.parse_async(Sorted, model=MODEL, messages=[{"role": "user", "content": ticket}])
    return said.choices[0].message.parsed.intent


@step
def look_up(ticket: str) -> str:
    """Let the model ask its tool, until it has an answer."""
    messages: list[Any] = [{"role": "user", "content": ticket}]
    with mistral() as client:
        while True:
            said = client.chat.complete(model=MODEL, messages=messages, tools=[TOOL]).choices[0].message
            if not said.tool_calls:
                return str(said.content)
            messages.append(said)
            for call in said.tool_calls:
                found = find_order(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "name": "find_order", "content": found})


@step
def draft(ticket: str, known: str) -> dict[str, Any]:
    asked: Any = [{"role": "system", "content": f"Known: {known}"}, {"role": "user", "content": ticket}]
    with mistral() as client, client.chat.stream(model=MODEL, messages=asked) as events:
        pieces = [str(event.data.choices[0].delta.content or "") for event in events]
    return {"reply": "".join(pieces), "streamed": len(pieces) > 1}


@step
def embed(tickets: list[str]) -> list[list[float]]:
    with mistral() as client:
        return [list(each.embedding) for each in client.embeddings.create(model="mistral-embed", inputs=tickets).data]


@workflow
async def desk(tickets: list[str]) -> dict[str, Any]:
    intents = await asyncio.gather(*(classify(ticket) for ticket in tickets))
    vectors = embed(tickets)
    return {"intents": list(intents), "width": len(vectors[0]), **draft(tickets[0], look_up(tickets[0]))}
