"""The steps of the pipeline: a worker runs them, and Temporal tries them again where they fail.

Apart from the Temporal workflow, whose sandbox keeps model clients out.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from openai import AsyncOpenAI, OpenAI
from temporalio import activity

from tracer import effect, workflow

LABELS = ("billing", "technical", "other")


@dataclass
class Reply:
    intent: str
    text: str


@activity.defn
@workflow
async def classify(ticket: str) -> str:
    async with AsyncOpenAI(max_retries=0) as client:  # Temporal does the retrying
        answer = await client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": f"Choose one of: {', '.join(LABELS)}\n{ticket}"}],
        )
    said = (answer.choices[0].message.content or "").lower()
    return next((label for label in LABELS if label in said), "other")


@activity.defn
@workflow
def draft(ticket: str, intent: str) -> str:
    """Not async: a worker runs it on a thread. Two models at once, and the longer answer wins."""

    async def one(model: str) -> str:
        async with AsyncOpenAI() as client:
            answer = await client.responses.create(model=model, input=f"Reply to a {intent} ticket: {ticket}")
            return answer.output_text

    async def both() -> list[str]:
        return await asyncio.gather(one("gpt-4o-mini"), one("gpt-4o"))

    return max(sorted(asyncio.run(both())), key=len)


@activity.defn
@workflow
def polish(text: str) -> str:
    """Streamed."""
    with OpenAI() as client:
        stream = client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": f"Make this shorter: {text}"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


@activity.defn
@workflow
def send(reply: Reply) -> str:
    return deliver(reply.text)


@effect
def deliver(text: str) -> str:
    return f"sent {len(text)} characters"
