"""Tickets taken apart with instructor: types out of text, checked, and asked again where they do not hold.

instructor calls its models through the OpenAI and Anthropic SDKs, on httpx2. All of it is seen and nothing needs an
adapter. An answer that does not validate is asked for again, the error in the prompt: a second model call below the
same step. What instructor gives is of a class of its own making, so a replay does not hand the recorded one over: it
runs the body of such a step, and serves the calls in it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import instructor
from pydantic import BaseModel, Field

from tracer import step, workflow


class Sorted(BaseModel):
    """What a ticket is about."""

    intent: Literal["billing", "delivery", "other"]
    order: int = Field(ge=1, description="The number of the order")


class Summary(BaseModel):
    """A ticket in a few words."""

    title: str
    urgent: bool


@step
def sort(ticket: str) -> Sorted:
    client = instructor.from_provider("openai/gpt-4o-mini")
    return client.create(response_model=Sorted, messages=[{"role": "user", "content": ticket}], max_retries=2)


@step
async def summarize(ticket: str) -> Summary:
    client = instructor.from_provider("anthropic/claude-haiku-4-5", async_client=True)
    return await client.create(response_model=Summary, messages=[{"role": "user", "content": ticket}], max_tokens=200)


@step
def draft(ticket: str) -> dict[str, Any]:
    """The summary once more, as it grows."""
    client = instructor.from_provider("openai/gpt-4o-mini")
    asked: Any = [{"role": "user", "content": ticket}]
    usage = {"include_usage": True}
    drafts = list(client.create_partial(response_model=Summary, messages=asked, stream_options=usage))
    return {"title": drafts[-1].title, "streamed": len(drafts) > 1}


@workflow
async def desk(tickets: list[str]) -> dict[str, Any]:
    summaries = await asyncio.gather(*(summarize(ticket) for ticket in tickets))
    sorted_ = [sort(ticket) for ticket in tickets]
    return {
        "intents": [each.intent for each in sorted_],
        "titles": [each.title for each in summaries],
        **draft(tickets[0]),
    }
