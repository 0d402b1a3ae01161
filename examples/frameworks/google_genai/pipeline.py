"""A desk on Google's SDK: structured output, a function that the SDK calls by itself, a stream and an embedding.

google-genai runs on httpx2; all of it is seen and nothing needs an adapter. A function given as a tool is called by the
SDK between two model calls, below the step that asked. Where aiohttp is installed, the SDK's async calls go by aiohttp.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from google import genai
from google.genai import types
from pydantic import BaseModel

from tracer import step, workflow

MODEL = "gemini-2.5-flash"
#: The SDK retries only where it is told to.
RETRIES = types.HttpOptions(retry_options=types.HttpRetryOptions(attempts=3, initial_delay=0.05, max_delay=0.1))


class Sorted(BaseModel):
    intent: Literal["billing", "delivery", "other"]


@step(kind="tool")
def find_order(order: int) -> str:
    """Say where an order is."""
    return f"{order} left the warehouse on Monday"


@step
async def classify(ticket: str) -> str:
    typed = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Sorted)
    async with genai.Client(http_options=RETRIES).aio as client:
        said = await client.models.generate_content(model=MODEL, contents=ticket, config=typed)
    assert isinstance(said.parsed, Sorted)
    return said.parsed.intent


@step
def look_up(ticket: str) -> str:
    tools = types.GenerateContentConfig(tools=[find_order])
    with genai.Client(http_options=RETRIES) as client:
        return client.models.generate_content(model=MODEL, contents=ticket, config=tools).text or ""


@step
async def draft(ticket: str, known: str) -> dict[str, Any]:
    asked = f"Known: {known}\nAnswer kindly: {ticket}"
    async with genai.Client(http_options=RETRIES).aio as client:
        stream = await client.models.generate_content_stream(model=MODEL, contents=asked)
        pieces = [piece.text or "" async for piece in stream]
    return {"reply": "".join(pieces), "streamed": len(pieces) > 1}


@workflow
async def desk(tickets: list[str]) -> dict[str, Any]:
    intents = await asyncio.gather(*(classify(ticket) for ticket in tickets))
    return {"intents": list(intents), **await draft(tickets[0], look_up(tickets[0]))}
